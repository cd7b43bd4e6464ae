from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from attacks.bench import Bench, NodeLostError, NodeUnableError, Target
from attacks.isolation.residue import secret_of_an_earlier_call
from attacks.records import Result
from conformance.manifest.records import RunPart
from runners.blocks import BlockOutcome, CaseBlock
from runners.hosts.host import HostMaker
from runners.records import AtAddress, Budget, Buffer, Call, EngineId, Node
from runners.status import Status

CALL = Call(
    entry="infer",
    input=Buffer(AtAddress(0), 32),
    output=Buffer(AtAddress(64), 8),
    memory="memory",
    globals=("calls",),
)
SECRET = struct.pack(
    "<4d", 0.8591514029146747, 0.45280525771537583, 0.50165093, -0.7169281940781043
)
NEXT = struct.pack("<4d", -0.29037838588212206, 0.12345678912345, -0.9459684060717066, 0.3333333333)
COLUMNS = ((0, "f64", 4),)
NODES = (Node(EngineId("toy", "1")), Node(EngineId("toy", "2")))


@dataclass(slots=True)
class Toy:
    """
    A model of an instance: infer copies positive inputs to address 128 and adds up what is there.
    """

    data: bytearray
    faults: frozenset[str]
    calls: int = 0

    def memory(self) -> bytes:
        return bytes(self.data)

    def run(self, block: CaseBlock, /) -> BlockOutcome:
        status = Status.RETURNED
        output = bytes(block.call.output_bytes)
        before = self.calls
        if block.call.entry == "infer":
            row = block.inputs[0].tobytes()
            if "traps" in self.faults and row == SECRET:
                self.data[0:32] = row
                status = Status.TRAP_UNREACHABLE
            elif "left out" in self.faults or ("left out later" in self.faults and row == NEXT):
                status = Status.PENDING
            elif "host" in self.faults or ("host on secrets" in self.faults and row == SECRET):
                status = Status.TRAP_HOST
            else:
                output = self.infer(row)
        elif block.call.entry == "reset":
            status = self.reset()
        else:
            status = Status.REJECTED_ENTRY
        ended = status < Status.REJECTED_COMPILE
        if status is not Status.RETURNED:
            output = bytes(len(output))
        gas = 100 + (before if "counts fuel" in self.faults else 0)
        shown = self.calls if block.call.globals else 0
        return BlockOutcome(
            status=np.array([status], np.uint8),
            outputs=np.frombuffer(output, np.uint8).reshape(1, -1),
            pages=np.array([len(self.data) // 65536], np.uint32) if ended else None,
            memory=np.frombuffer(digest(self.data), np.uint8).reshape(1, 32) if ended else None,
            globals=np.array([[shown]], "<u8").view(np.uint8)[:, : 8 * len(block.call.globals)],
            gas=np.array([gas], np.uint64),
            meter="fuel:toy@1",
            details={0: "the script has ended"} if status is Status.TRAP_HOST else {},
        )

    def infer(self, row: bytes) -> bytes:
        self.data[0:32] = row
        for at in range(0, 32, 8):
            value = struct.unpack_from("<d", row, at)[0]
            wiped = 0.0 if "leaks" not in self.faults else None
            stored = value if value > 0 else wiped
            if stored is not None:
                struct.pack_into("<d", self.data, 128 + at, stored)
        if "counts calls" in self.faults:
            self.calls += 1
        if "grows" in self.faults:
            self.data += bytes(65536)
        total = sum(struct.unpack_from("<4d", self.data, 128))
        struct.pack_into("<d", self.data, 64, total)
        return bytes(self.data[64:72])

    def reset(self) -> Status:
        if "reset traps" in self.faults:
            return Status.TRAP_UNREACHABLE
        self.data[0:72] = bytes(72)
        if "reset forgets" not in self.faults:
            self.data[128:160] = bytes(32)
        return Status.RETURNED


def digest(data: bytearray) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(slots=True)
class Engine:
    """
    Opens toys; with the fault `keeps` each has the memory of the one before.
    """

    faults: frozenset[str]
    last: Toy | None = None
    opened: list[int] = field(default_factory=list)
    fails: Callable[[int], Exception | None] = lambda _: None

    @contextmanager
    def __call__(self, place: int, _: Call, __: HostMaker | None = None, /) -> Iterator[Toy]:
        self.opened.append(place)
        error = self.fails(place)
        if error is not None:
            raise error
        kept = self.last.data if self.last is not None and "keeps" in self.faults else None
        dirt = bytearray([len(self.opened)]) if "dirt" in self.faults else bytearray(1)
        self.last = Toy(kept if kept is not None else bytearray(65535) + dirt, self.faults)
        yield self.last


def attack(
    *faults: str, policy: str = "fresh", reset: str | None = None, stateful: bool = True
) -> Result:
    return secret_of_an_earlier_call(bench(Engine(frozenset(faults)), policy, reset, stateful))


def bench(engine: Engine, policy: str, reset: str | None, stateful: bool = True) -> Bench:  # noqa: FBT001, FBT002 - a test's own
    return Bench(
        run=RunPart(policy=policy, reset=reset),
        budget=Budget(),
        stateful=stateful,
        targets=(Target(CALL, COLUMNS, (SECRET, NEXT)),),
        nodes=NODES[:1],
        open=engine,
    )


def aspects(result: Result) -> list[str]:
    return [breach.aspect for breach in result.breaches]


# -------------------------------------------------------------------------------- new instances


def test_an_honest_engine_leaves_nothing_to_the_next_instance() -> None:
    result = attack()
    assert result.breaches == ()
    assert result.nodes == (NODES[0].label(),)
    assert (result.entries, result.remarks) == (1, ())


def test_a_leaking_module_is_innocent_in_new_instances_and_that_is_remarked() -> None:
    result = attack("leaks")
    assert result.breaches == ()
    (remark,) = result.remarks
    assert remark == "it needs a new instance for each call: output would depend on the call before"


def test_an_engine_that_keeps_memory_is_caught_by_the_search() -> None:
    result = attack("keeps")
    assert aspects(result)[0] == "secret"
    assert "of 4 bit patterns of the secret are in the next instance's memory" in (
        result.breaches[0].sentence
    )


def test_an_engine_that_keeps_memory_changes_results_of_a_leaking_module() -> None:
    assert {"secret", "output", "memory"} <= set(aspects(attack("keeps", "leaks")))


def test_a_new_instance_with_other_memory_is_caught_without_any_secret_in_it() -> None:
    result = attack("dirt")
    assert aspects(result) == ["new memory", "memory"]
    assert "from address 65535 on" in result.breaches[0].sentence


def test_a_secret_whose_call_traps_is_searched_for_all_the_same() -> None:
    assert attack("traps").breaches == ()
    assert "secret" in aspects(attack("traps", "keeps"))


# ----------------------------------------------------------------------------------------- reuse


def test_a_module_that_wipes_passes() -> None:
    result = attack("leaks", policy="reuse(8)", reset="reset")
    assert result.breaches == ()


def test_a_reset_that_forgets_is_caught_by_memory_and_by_results() -> None:
    result = attack("leaks", "reset forgets", policy="reuse(8)", reset="reset")
    assert aspects(result) == ["secret", "output", "memory"]
    assert result.breaches[0].sentence == (
        "3 of 4 bit patterns of the secret are in memory after the reset export reset, the first"
        " at address 128"
    )
    assert result.breaches[0].history == ("bytes:" + SECRET.hex(), "bytes:" + NEXT.hex())


def test_no_reset_is_red_for_a_module_that_can_keep_something() -> None:
    result = attack(policy="reuse(8)")
    assert aspects(result)[0] == "reset"
    assert "names no [reset]" in result.breaches[0].sentence


def test_no_reset_is_fine_where_nothing_can_be_kept() -> None:
    call = Call(entry="infer", input=CALL.input, output=CALL.output)
    engine = Engine(frozenset())
    given = bench(engine, "reuse(8)", None, stateful=False)
    given = replace(given, targets=(Target(call, COLUMNS, (SECRET, NEXT)),))
    result = secret_of_an_earlier_call(given)
    assert [b.aspect for b in result.breaches if b.aspect == "reset"] == []


@pytest.mark.parametrize(
    ("fault", "aspect"),
    [("counts calls", "globals"), ("counts fuel", "gas"), ("grows", "pages")],
)
def test_every_observation_is_compared(fault: str, aspect: str) -> None:
    faults = (fault, "counts calls")
    assert aspect in aspects(attack(*faults, policy="reuse(8)", reset="reset"))
    assert aspect not in aspects(attack(*faults))


def test_a_reset_that_traps_or_is_missing_is_red() -> None:
    assert aspects(attack("reset traps", policy="reuse(8)", reset="reset")) == ["reset"]
    assert aspects(attack(policy="reuse(8)", reset="absent")) == ["reset"]


def test_an_instance_that_trapped_is_not_reused() -> None:
    result = attack("traps", "leaks", policy="reuse(8)", reset="reset")
    assert result.breaches == ()
    assert result.remarks == ("infer(secret) does not return, so its instance is used no further",)


# ----------------------------------------------------------------------------------------- nodes


@pytest.mark.parametrize(("error", "lost"), [(NodeLostError, True), (NodeUnableError, False)])
def test_a_node_that_falls_is_named_and_the_others_are_asked(
    error: type[Exception],
    lost: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    engine = Engine(frozenset(), fails=lambda place: error("gone") if place == 0 else None)
    given = replace(bench(engine, "fresh", None), nodes=NODES)
    result = secret_of_an_earlier_call(given)
    assert [(u.node, u.reason, u.lost) for u in result.unasked] == [
        (NODES[0].label(), "gone", lost)
    ]
    assert result.nodes == (NODES[1].label(),)


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
@pytest.mark.parametrize("fault", ["left out", "left out later"])
def test_a_case_that_was_left_out_proves_nothing(fault: str, policy: str) -> None:
    result = attack(fault, policy=policy, reset=None)
    told = [(item.node, item.reason, item.lost) for item in result.unasked]
    assert told == [(NODES[0].label(), "a case was left out", False)]
    assert (result.nodes, result.breaches, result.usual, result.host_ended) == ((), (), 0, 0)
    assert attack(policy=policy, reset=None).nodes == (NODES[0].label(),)


def test_a_worker_that_falls_once_is_not_held_against_it() -> None:
    engine = Engine(frozenset({"keeps"}))
    engine.fails = lambda _: NodeLostError("gone") if len(engine.opened) == 3 else None
    result = secret_of_an_earlier_call(bench(engine, "fresh", None))
    assert result.unasked == ()
    assert result.nodes == (NODES[0].label(),)
    assert aspects(result).count("secret") == 1
    engine = Engine(frozenset())
    engine.fails = lambda _: NodeLostError("gone") if len(engine.opened) in (2, 4) else None
    assert [u.lost for u in secret_of_an_earlier_call(bench(engine, "fresh", None)).unasked] == [
        True
    ]


def test_memory_that_is_not_exported_is_said_not_to_be_searched() -> None:
    call = Call(entry="infer", input=CALL.input, output=CALL.output)
    given = bench(Engine(frozenset({"leaks", "keeps"})), "fresh", None)
    given = replace(given, targets=(Target(call, COLUMNS, (SECRET, NEXT)),))
    result = secret_of_an_earlier_call(given)
    assert "no memory is exported, so none was searched" in result.remarks
    assert aspects(result)[0] == "output"


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
@pytest.mark.parametrize(("fault", "ended"), [("host", 2), ("host on secrets", 1), ("traps", 0)])
def test_calls_that_the_host_ends_are_counted(policy: str, fault: str, ended: int) -> None:
    result = attack(fault, policy=policy, reset="reset")
    assert (result.usual, result.host_ended) == (2, ended)
    assert result.host_words == ("the script has ended" if ended else "")
