from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from attacks.bench import Bench, NodeLostError, NodeUnableError, Target
from attacks.environment.nondeterministic_imports import (
    WORLDS,
    nondeterministic_imports,
    worlds_of,
)
from attacks.records import Result
from conformance.manifest.records import RunPart
from runners.bits import ValueType
from runners.blocks import BlockOutcome, CaseBlock
from runners.hosts.host import Host, HostCall, HostMaker
from runners.records import AtAddress, Budget, Buffer, Call, EngineId, Node
from runners.status import Status

CALL = Call(
    entry="infer", input=Buffer(AtAddress(0), 8), output=Buffer(AtAddress(8), 8),
    memory="memory", globals=("calls",),
)  # fmt: skip
F64: ValueType = "f64"
ROWS = (struct.pack("<d", 0.75), struct.pack("<d", -3.5))
NODES = (Node(EngineId("toy", "1")), Node(EngineId("toy", "2")))
CLOCK, EXP, COPY = "env.emscripten_get_now", "env.exp", "env.emscripten_memcpy_big"


def asked(host: Host, key: str, *arguments: int) -> int:
    kinds = (F64,) * len(arguments)
    module, _, name = key.partition(".")
    answer = host.answer(HostCall(module, name, kinds, (F64,), arguments))
    with pytest.raises(StopIteration) as end:
        next(answer)
    bits: int = end.value.value[0]
    return bits


@dataclass(slots=True)
class Toy:
    """
    An instance that asks its clock and exp, and lets them into what it is told to.
    """

    host: Host
    leaks: frozenset[str]

    def memory(self) -> bytes:
        return bytes(65536)

    def run(self, block: CaseBlock, /) -> BlockOutcome:
        (value,) = struct.unpack("<Q", block.inputs[0].tobytes())
        clock = asked(self.host, CLOCK) & 0xFF
        exp = asked(self.host, EXP, 0x3FF0000000000000) & 0xFF
        result = value ^ (clock if "output" in self.leaks else 0)
        result ^= exp if "maths" in self.leaks else 0
        result ^= (clock & exp & 1) if "both" in self.leaks else 0
        trapped = "trap" in self.leaks and clock & 1
        status = Status.TRAP_UNREACHABLE if trapped else Status.RETURNED
        ended = "host" in self.leaks or ("host sometimes" in self.leaks and value >> 63)
        if ended:
            trapped, status = True, Status.TRAP_HOST
        if "left out" in self.leaks or ("left out sometimes" in self.leaks and clock & 1):
            trapped, status = True, Status.PENDING
        seen = bytes([clock]) if "memory" in self.leaks else b""
        return BlockOutcome(
            status=np.array([status], np.uint8),
            outputs=np.frombuffer(struct.pack("<Q", 0 if trapped else result), np.uint8)[None],
            pages=np.array([1 + (clock if "pages" in self.leaks else 0)], np.uint32),
            memory=np.frombuffer(hashlib.sha256(seen).digest(), np.uint8)[None],
            globals=np.array([[clock if "globals" in self.leaks else 0]], "<u8").view(np.uint8),
            gas=np.array([100 + (clock if "fuel" in self.leaks else 0)], np.uint64),
            meter="fuel:toy@1",
            details={0: "the script has ended"} if ended else {},
        )


@dataclass(slots=True)
class Engine:
    leaks: frozenset[str]
    fails: Callable[[int], Exception | None] = lambda _: None
    opened: list[tuple[int, str]] = field(default_factory=list)

    @contextmanager
    def __call__(self, place: int, _: Call, host: HostMaker | None = None, /) -> Iterator[Toy]:
        assert host is not None
        self.opened.append((place, host.digest()))
        error = self.fails(len(self.opened))
        if error is not None:
            raise error
        yield Toy(host.host(), self.leaks)


def bench(engine: Engine, policy: str = "fresh", imports: tuple[str, ...] = (CLOCK, EXP)) -> Bench:
    return Bench(
        run=RunPart(abi="emscripten", imports=imports, policy=policy),
        budget=Budget(),
        stateful=True,
        targets=(Target(CALL, ((0, "f64", 1),), ROWS),),
        nodes=NODES,
        open=engine,
        imports=imports,
    )


def attack(*leaks: str, policy: str = "fresh") -> Result:
    return nondeterministic_imports(bench(Engine(frozenset(leaks)), policy))


def test_a_module_that_ignores_its_host_is_not_caught() -> None:
    engine = Engine(frozenset())
    result = nondeterministic_imports(bench(engine))
    assert result.breaches == ()
    assert (result.worlds, result.cases) == (1 + 2 * WORLDS, 2)
    assert result.nodes == tuple(node.label() for node in NODES)
    assert len(engine.opened) == 2 * 2 * (1 + WORLDS)


@pytest.mark.parametrize(("fault", "ended"), [("host", 4), ("host sometimes", 2), ("", 0)])
def test_calls_that_the_usual_host_ends_are_counted(fault: str, ended: int) -> None:
    result = attack(fault)
    assert (result.usual, result.host_ended) == (4, ended)
    assert result.host_words == ("the script has ended" if ended else "")
    assert result.breaches == ()


def test_calls_of_an_attempt_that_was_lost_are_not_counted() -> None:
    fails = [None, None, None, NodeLostError("gone")]
    engine = Engine(frozenset({"host"}), lambda at: fails[at] if at < len(fails) else None)
    result = nondeterministic_imports(bench(engine))
    assert (result.usual, result.host_ended) == (4, 4)


def test_each_node_sees_worlds_that_no_other_sees() -> None:
    engine = Engine(frozenset())
    nondeterministic_imports(bench(engine))
    seen = [{digest for at, digest in engine.opened if at == place} for place in (0, 1)]
    assert len(seen[0]) == len(seen[1]) == 1 + WORLDS
    assert len(seen[0] & seen[1]) == 1  # the manifest's own
    assert not set(worlds_of(0)) & set(worlds_of(1))


@pytest.mark.parametrize(
    ("leak", "aspects", "imports"),
    [
        ("output", {"output"}, (CLOCK,)),
        ("maths", {"output"}, (EXP,)),
        ("trap", {"kind"}, (CLOCK,)),
        ("globals", {"globals"}, (CLOCK,)),
        ("pages", {"pages"}, (CLOCK,)),
        ("fuel", {"gas"}, (CLOCK,)),
    ],
)
def test_what_moves_is_named_with_its_import(
    leak: str, aspects: set[str], imports: tuple[str, ...]
) -> None:
    result = attack(leak)
    assert {breach.aspect for breach in result.breaches} == aspects
    assert {breach.imports for breach in result.breaches} == {imports}
    assert {breach.node for breach in result.breaches} == set(NODES)
    assert all(breach.usual != breach.outcome for breach in result.breaches)
    assert imports[0] in result.breaches[0].sentence


def test_the_bits_are_in_the_sentence() -> None:
    sentence = attack("output").breaches[0].sentence
    assert sentence.startswith(f"infer depends on what {CLOCK} answers: its result bits differ")
    assert "output byte 0: 3fe80000000000" in sentence


def test_both_imports_are_named_if_both_move_it() -> None:
    both = {breach.imports for breach in attack("output", "maths").breaches}
    assert any(set(imports) == {CLOCK, EXP} for imports in both)


def test_memory_counts_where_the_next_call_sees_it() -> None:
    fresh = attack("memory")
    assert fresh.breaches == ()
    assert fresh.remarks == (
        f"{CLOCK} moves memory after infer, which is dropped with its instance",
    )
    assert {breach.aspect for breach in attack("memory", policy="reuse(8)").breaches} == {
        "memory kept"
    }


@pytest.mark.parametrize(
    ("imports", "remark"),
    [((), "no imports"), ((COPY,), "all its imports are answered alike everywhere")],
)
def test_without_an_answer_that_may_differ_nothing_is_run(
    imports: tuple[str, ...], remark: str
) -> None:
    engine = Engine(frozenset({"output"}))
    result = nondeterministic_imports(bench(engine, imports=imports))
    assert (engine.opened, result.breaches, result.worlds) == ([], (), 0)
    assert result.remarks == (remark,)


@pytest.mark.parametrize("leak", ["left out", "left out sometimes"])
def test_a_case_that_was_left_out_proves_nothing(leak: str) -> None:
    result = nondeterministic_imports(bench(Engine(frozenset({leak}))))
    told = [(item.node, item.reason, item.lost) for item in result.unasked]
    assert told == [(node.label(), "a case was left out", False) for node in NODES]
    assert (result.nodes, result.breaches, result.usual, result.host_ended) == ((), (), 0, 0)
    whole = nondeterministic_imports(bench(Engine(frozenset())))
    assert whole.nodes == tuple(node.label() for node in NODES)


def test_a_lost_worker_gets_a_second_try_and_an_unable_one_does_not() -> None:
    once = Engine(frozenset({"output"}), lambda n: NodeLostError("died") if n == 3 else None)
    assert len(nondeterministic_imports(bench(once)).nodes) == 2
    lost = nondeterministic_imports(bench(Engine(frozenset(), lambda _: NodeLostError("died"))))
    assert [item.lost for item in lost.unasked] == [True, True]
    unable = nondeterministic_imports(bench(Engine(frozenset(), lambda _: NodeUnableError("no"))))
    assert [item.lost for item in unable.unasked] == [False, False]
    assert unable.nodes == ()
