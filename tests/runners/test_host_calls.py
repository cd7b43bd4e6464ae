"""
Host calls from the controller's side: fakes that ask, honestly and not, and hosts that misbehave.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from host_samples import Maker, seat
from pool_samples import LIMITS, block_of, honest_rows, numbers

from runners import hosting
from runners.blocks import BlockOutcome, CaseBlock
from runners.cell import CellLimits
from runners.hosting import LEFT_OUT, MOST_BYTES, MOST_CALLS, MOST_CUT, MOST_REENTRIES, Hosting
from runners.hosts.host import (
    Answer,
    Grow,
    HostCall,
    HostStopError,
    OutOfBoundsError,
    Peek,
    Poke,
    Reenter,
    ReentryError,
    host_node,
)
from runners.hosts.recording import KEPT_BYTES
from runners.interface import interface_of
from runners.pool import Pool
from runners.probe import Probe
from runners.records import Level, Node
from runners.status import Status
from tests.fakes.launches import launch_of

WASM = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "scale" (func $scale (param f64) (result f64)))
      (import "env" "narrow" (func (param i32) (result f64)))
      (memory (export "memory") 1)
      (func (export "infer"))
      (func (export "twice") (param f64) (result f64) (call $scale (local.get 0))))
        """
    )
)
CULPRIT = 13.0
ROW = 13
XS = np.arange(20.0)


def bits(value: float) -> int:
    (found,) = struct.unpack("<Q", struct.pack("<d", value))
    return int(found)


def value(bits: int) -> float:
    (found,) = struct.unpack("<d", struct.pack("<Q", bits))
    return float(found)


def tenfold(call: HostCall) -> Answer:
    """
    Ten times the argument, once memory was looked at.
    """
    yield Peek(0, 16)
    return (bits(10 * value(call.arguments[0])),)


def run(
    answer: Callable[[HostCall], Answer] | Maker,
    block: CaseBlock,
    policy: str = "fresh",
    fake: str = "calls_its_host",
    limits: CellLimits = LIMITS,
    probe: Probe | None = None,
    **parameters: Any,
) -> BlockOutcome:
    maker = answer if isinstance(answer, Maker) else Maker(answer)
    launch = launch_of(fake, **parameters)
    nodes = [seat(launch, maker, policy)]
    with Pool(nodes, limits=limits, probe=probe, hosts={0: maker}) as pool:
        pool.add_module("m", WASM)
        return pool.run(0, "m", block)


def expected(reuse: int, factor: float = 10.0, lost: tuple[int, ...] = ()) -> list[list[float]]:
    _, outputs = honest_rows(XS, reuse, lost)
    outputs[:, 0] *= factor
    rows: list[list[float]] = outputs.tolist()
    return rows


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
def test_every_case_has_a_host_of_its_own(policy: str) -> None:
    maker = Maker(tenfold)
    outcome = run(maker, block_of(XS), policy)
    assert numbers(outcome).tolist() == expected(8 if policy == "reuse(8)" else 1)
    assert outcome.status[7] == Status.TRAP_UNREACHABLE
    assert outcome.host_calls is None
    # One for each of the 19 rows that ask; x[0] = 7 traps before it does.
    assert maker.made == 19


def test_batches_sent_ahead_wait_for_the_conversation() -> None:
    maker = Maker(tenfold)
    with Pool([seat(launch_of("calls_its_host"), maker)], limits=LIMITS, hosts={0: maker}) as pool:
        pool.add_module("m", WASM)
        tickets = [pool.submit(0, "m", block_of(XS + 20 * n)) for n in range(4)]
        done = {item.ticket: item.outcome for item in pool.drain()}
    for n, ticket in enumerate(tickets):
        assert numbers(done[ticket])[:, 0].tolist() == [
            0.0 if x == 7.0 else 30 * x for x in XS + 20 * n
        ]


def test_a_node_without_a_host_refuses_every_import() -> None:
    launch = launch_of("calls_its_host")
    with Pool([(Node(launch.engine), launch)], limits=LIMITS) as pool:
        pool.add_module("m", WASM)
        outcome = pool.run(0, "m", block_of([1.0, 7.0]))
    assert outcome.status.tolist() == [Status.TRAP_HOST, Status.TRAP_UNREACHABLE]
    assert outcome.details[0] == "env.scale: the node's host refuses every import"


def test_a_pool_takes_no_host_that_is_not_its_nodes() -> None:
    launch, maker = launch_of("honest"), Maker(tenfold)
    node = Node(launch.engine)
    for nodes, hosts in (([node], {0: maker}), ([host_node(node, maker)], {})):
        with pytest.raises(ValueError, match="not the node's"):
            Pool([(item, launch) for item in nodes], hosts=hosts)
    assert host_node(node, maker).digest() != node.digest()
    assert "host=5a5a5a5a" in host_node(node, maker).label()


# ------------------------------------------------------------------------------------ the log


def test_the_log_of_one_case_is_kept_and_its_digest_compared() -> None:
    def answer(call: HostCall) -> Answer:
        yield Poke(8, b"abc")
        data = yield Peek(8, 3)
        assert data == b"abc"
        assert (yield Grow(1)) == (0xFFFFFFFF,)
        twice = yield Reenter("twice", call.arguments)
        assert isinstance(twice, tuple)
        return twice

    outcome = run(answer, block_of([3.0], level=Level.FULL))
    assert outcome.host_log is not None
    (line,) = [call.line() for call in outcome.host_log]
    abc = hashlib.sha256(b"abc").hexdigest()
    three, six = "f64:4008000000000000", "f64:4018000000000000"
    assert line == (
        f"env.scale({three}) {{poke 8+3 sha256:{abc}; peek 8+3 sha256:{abc};"
        f" grow 1 -> i32:ffffffff; reenter twice({three}) -> {six}}} -> {six}"
    )
    assert outcome.host_calls is not None
    assert outcome.host_calls[0].tobytes() == hashlib.sha256(f"{line}\n".encode()).digest()
    assert numbers(outcome)[0].tolist() == [18.0, 1.0]


def test_digests_of_a_block_tell_cases_apart_by_what_they_asked() -> None:
    block = block_of([1.0, 1.0, 2.0, 7.0, 9.0], level=Level.FULL)
    outcome = run(tenfold, block)
    assert outcome.host_calls is not None
    rows = [row.tobytes() for row in outcome.host_calls]
    # What was peeked is the input, so equal cases have equal logs; x[0] = 9 asks twice.
    assert rows[0] == rows[1]
    assert len(set(rows)) == 4
    assert rows[3] == hashlib.sha256(b"").digest()
    assert outcome.host_log is None
    other = run(Maker(tenfold), block, "reuse(1)")
    assert other.host_calls is not None
    assert [row.tobytes() for row in other.host_calls] == rows


def test_another_answer_is_another_digest() -> None:
    def eleven(call: HostCall) -> Answer:
        yield Peek(0, 16)
        return (bits(11 * value(call.arguments[0])),)

    block = block_of([1.0], level=Level.FULL)
    first, second = run(tenfold, block), run(eleven, block)
    assert first.host_calls is not None
    assert second.host_calls is not None
    assert first.host_calls.tolist() != second.host_calls.tolist()


# ---------------------------------------------------------------------------- hosts that stop


def test_a_host_ends_its_case_alone_and_says_why() -> None:
    def answer(call: HostCall) -> Answer:
        if value(call.arguments[0]) == CULPRIT:
            message = "thirteen"
            raise HostStopError(message)
        return (yield from tenfold(call))

    outcome = run(answer, block_of(XS), "reuse(8)")
    assert outcome.status[ROW] == Status.TRAP_HOST
    assert outcome.details[ROW] == "env.scale: thirteen"
    assert numbers(outcome).tolist() == expected(8, lost=(ROW,))


def careless(step: object, results: object = (0,)) -> Callable[[HostCall], Answer]:
    """
    A host that takes one step, then answers, both whatever they are.
    """

    def answer(call: HostCall) -> Answer:
        del call
        yield step  # type: ignore[misc]  # on purpose: what a careless host would yield
        return results  # type: ignore[return-value]  # as above

    return answer


def broken(call: HostCall) -> Answer:
    """
    A host with a fault.
    """
    yield Peek(0, 0)
    raise KeyError(call.name)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (careless(Peek(0, 0), (1, 2)), "the host answered (1, 2), due are f64"),
        (careless(Peek(0, 0), (1 << 64,)), "the host answered"),
        (careless(Peek(0, 0), (1.5,)), "the host answered (1.5,)"),
        (careless(Peek(0, 0), None), "the host answered None"),
        (broken, "the host failed: KeyError: 'scale'"),
        (careless("peek"), "took a step that is none: peek"),
        (careless(Peek("0", 1)), "took a step that is none: Peek"),  # type: ignore[arg-type]
        (careless(Poke(0, bytearray(2))), "took a step that is none: Poke"),  # type: ignore[arg-type]
        (careless(Peek(65535, 2)), "peek"),
        (careless(Poke(-1, b"x")), "a poke at -1+1"),
        (careless(Peek(0, 1 << 40)), "a peek at 0+1099511627776"),
        (careless(Reenter("none", ())), "there is no exported function none"),
        (careless(Reenter("twice", (1, 2))), "twice does not take (1, 2)"),
        (careless(Grow(1 << 20)), "cannot grow by 1048576 pages"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_a_fault_of_the_host_is_the_cases_and_never_the_runs(
    answer: Callable[[HostCall], Answer], words: str
) -> None:
    outcome = run(answer, block_of([1.0, 7.0, 2.0], level=Level.FULL))
    assert outcome.status.tolist() == [26, 16, 26]
    assert words in outcome.details[0]
    assert outcome.details[0].startswith("env.scale: ")
    assert not outcome.unstable


def test_a_host_may_catch_what_could_not_be_done() -> None:
    def answer(call: HostCall) -> Answer:
        assert call.name == "scale"
        caught = 0
        for step in (Peek(65535, 2), Poke(1 << 33, b"x"), Poke(-5, b"")):
            try:
                yield step
            except OutOfBoundsError:
                caught += 1
        for again in (Reenter("none", ()), Reenter("twice", ())):
            try:
                yield again
            except ReentryError:
                caught += 1
        return (bits(float(caught)),)

    assert numbers(run(answer, block_of([1.0])))[0].tolist() == [15.0, 1.0]


def test_a_trap_in_a_reentry_ends_the_case_even_if_the_host_would_go_on() -> None:
    def answer(call: HostCall) -> Answer:
        with suppress(ReentryError):
            yield Reenter("twice", (bits(7.0),))
        return call.arguments

    outcome = run(answer, block_of([1.0]))
    assert outcome.status.tolist() == [Status.TRAP_HOST]
    assert outcome.details[0] == "env.scale: twice, called by the host, trapped: unreachable"


def test_a_complaint_at_the_end_makes_a_trap_of_a_case_that_returned() -> None:
    outcome = run(Maker(tenfold, "2 answers are left"), block_of([1.0, 7.0], level=Level.STATE))
    assert outcome.status.tolist() == [Status.TRAP_HOST, Status.TRAP_UNREACHABLE]
    assert outcome.details[0] == "2 answers are left"
    assert not outcome.outputs.any()
    assert outcome.memory is not None


def test_a_host_is_asked_at_the_end_of_cases_that_never_called_it() -> None:
    maker = Maker(tenfold, "all answers are left")
    outcome = run(maker, block_of([1.0, 2.0]), fake="honest")
    assert outcome.status.tolist() == [Status.TRAP_HOST] * 2
    assert run(tenfold, block_of([1.0]), fake="honest").status.tolist() == [Status.RETURNED]


# ------------------------------------------------------------------------------------ limits


def limited(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """
    Set limits of hosts that are reached sooner.
    """
    defaults = Hosting.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setattr(Hosting.__init__, "__kwdefaults__", {**defaults, **limits})


def test_calls_of_one_case_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_CALLS == 10_000
    limited(monkeypatch, most_calls=1)
    outcome = run(tenfold, block_of([1.0, 9.0, 2.0]))
    assert outcome.status.tolist() == [1, 26, 1]
    assert outcome.details[1] == "env.scale: more than 1 host calls"


def test_after_a_few_cases_that_call_too_often_others_are_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited(monkeypatch, most_calls=1)
    often, once = 9.0, 2.0
    outcome = run(tenfold, block_of([often, once, often, often, once, often]))
    assert outcome.status.tolist() == [26, 1, 26, 26, Status.PENDING, Status.PENDING]
    assert outcome.cut == MOST_CUT
    assert outcome.details[4] == LEFT_OUT
    assert 5 not in outcome.details
    assert not outcome.outputs[4:].any()
    # One fewer, and all of them run.
    few = run(tenfold, block_of([often, once, often, once, once]))
    assert few.status.tolist() == [26, 1, 26, 1, 1]
    assert few.cut == MOST_CUT - 1


def test_bytes_of_one_case_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_BYTES == 64 << 20

    def reading(call: HostCall) -> Answer:
        for _ in range(2 if value(call.arguments[0]) == CULPRIT else 1):
            yield Peek(0, 16)
        return (call.arguments[0],)

    limited(monkeypatch, most_bytes=16)
    outcome = run(reading, block_of([1.0, 13.0, 2.0]))
    assert outcome.status.tolist() == [1, 26, 1]
    assert outcome.details[1] == "env.scale: more than 16 bytes read and written for it"
    limited(monkeypatch, most_bytes=32)
    assert run(reading, block_of([1.0, 13.0, 2.0])).status.tolist() == [1, 1, 1]


def test_of_long_readings_the_digest_alone_is_recorded() -> None:
    def reading(call: HostCall) -> Answer:
        for size in (KEPT_BYTES, KEPT_BYTES + 1):
            yield Peek(0, size)
        return (call.arguments[0],)

    outcome = run(reading, block_of([1.0], level=Level.FULL))
    assert outcome.host_log is not None
    short, long = outcome.host_log[0].steps
    assert isinstance(short.reply, bytes)
    assert hashlib.sha256(short.reply).hexdigest() == short.sha256
    assert (long.reply, len(long.sha256)) == (None, 64)
    assert long.sha256 in outcome.host_log[0].line()


def test_a_host_that_swallows_the_end_of_its_bytes_goes_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = 0

    def greedy(_: HostCall) -> Answer:
        nonlocal steps
        while True:
            try:
                yield Peek(0, 16)
                steps += 1
            except HostStopError:
                continue

    limited(monkeypatch, most_bytes=64)
    assert run(greedy, block_of([1.0])).status.tolist() == [Status.TRAP_HOST]
    assert steps == 4


def test_reentries_within_each_other_are_counted() -> None:
    interface = interface_of(WASM)
    depth = 0

    def answer(call: HostCall) -> Answer:
        nonlocal depth
        depth += 1
        return (yield Reenter("twice", call.arguments))  # type: ignore[return-value]

    found = Hosting(interface, Maker(answer), count=1, logged=True)
    asked = {"turn": "host_call", "module": "env", "name": "scale", "row": 0}
    turns = [found.turn(asked, [bytes(8)], 0) for _ in range(MOST_REENTRIES + 1)]
    assert [turn.header["turn"] for turn in turns] == ["reenter"] * MOST_REENTRIES + ["host_trap"]
    assert turns[-1].header["text"] == "env.scale: twice is re-entered more than 8 deep"
    assert depth == MOST_REENTRIES + 1
    assert found.log(0)[-1].line().endswith("{reenter twice(f64:0000000000000000) -> failed}"
                                            " -> host error")  # fmt: skip


def test_a_host_that_never_comes_to_an_end_is_cut_by_the_deadline() -> None:
    def endless(call: HostCall) -> Answer:
        while value(call.arguments[0]) == CULPRIT:
            yield Peek(0, 1)
        return (yield from tenfold(call))

    outcome = run(endless, block_of([12.0, CULPRIT, 14.0], deadline_ms=300))
    assert outcome.status.tolist() == [1, Status.TIMED_OUT, 1]
    assert numbers(outcome)[2].tolist() == [420.0, 1.0]


# -------------------------------------------------------------------------------- lying workers

LIES = [
    ("stranger", "host-call"),
    ("many", "host-call"),
    ("wide", "host-call"),
    ("row", "host-call"),
    ("nameless", "host-call"),
    ("unasked", "host-turn"),
    ("short", "host-turn"),
    ("silent", "host-turn"),
    ("other", "host-turn"),
    ("impatient", "host-turn"),
    ("early", "host-turn"),
    ("deaf", "host-turn"),
]


def ends_thirteen(call: HostCall) -> Answer:
    """
    As `tenfold`, but for 130 there is no answer.
    """
    yield Peek(0, 16)
    if value(call.arguments[0]) == CULPRIT:
        message = "thirteen"
        raise HostStopError(message)
    return (bits(10 * value(call.arguments[0])),)


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
@pytest.mark.parametrize(("lie", "rule"), LIES)
def test_every_rule_of_host_calls_is_named_for_its_row(lie: str, rule: str, policy: str) -> None:
    answer = ends_thirteen if lie == "deaf" else tenfold
    outcome = run(answer, block_of(XS), policy, "lies_to_its_host", lie=lie, at=CULPRIT)
    reuse = 8 if policy == "reuse(8)" else 1
    status, _ = honest_rows(XS, reuse, (ROW,))
    status[ROW] = Status.BROKE_PROTOCOL
    assert outcome.status.tolist() == status.tolist()
    assert numbers(outcome).tolist() == expected(reuse, lost=(ROW,))
    assert outcome.details[ROW].split(":")[0].split()[0] == rule
    assert not outcome.unstable


@pytest.mark.parametrize("lie", [lie for lie, _ in LIES])
def test_the_same_fake_breaks_nothing_without_its_culprit(lie: str) -> None:
    outcome = run(tenfold, block_of(XS), "reuse(8)", "lies_to_its_host", lie=lie, at=-1.0)
    assert numbers(outcome).tolist() == expected(8)


def test_a_host_call_while_nothing_runs_breaks_the_protocol() -> None:
    outcome = run(tenfold, block_of([1.0, 2.0]), fake="lies_to_its_host", lie="idle", at=1.0)
    assert set(outcome.status) == {Status.BROKE_PROTOCOL}
    assert "host-turn" in outcome.details[0]


def test_a_host_call_of_a_module_without_imports_breaks_the_protocol() -> None:
    maker = Maker(tenfold)
    plain = bytes(wasmtime.wat2wasm('(module (func (export "infer")))'))
    nodes = [seat(launch_of("calls_its_host"), maker)]
    with Pool(nodes, limits=LIMITS, hosts={0: maker}) as pool:
        pool.add_module("m", plain)
        outcome = pool.run(0, "m", block_of([1.0, 7.0]))
    assert outcome.status.tolist() == [Status.BROKE_PROTOCOL, Status.TRAP_UNREACHABLE]


def test_the_limits_are_those_of_the_protocol() -> None:
    words = (Path(hosting.__file__).parent / "PROTOCOL.md").read_text()
    assert f"{MOST_CALLS:,} host calls" in words
    assert f"{MOST_BYTES:,} bytes read and written" in words
    assert f"After {MOST_CUT} cases of a batch" in words
    assert f"{MOST_REENTRIES} re-entries" in words
