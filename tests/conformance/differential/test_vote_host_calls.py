"""
Nodes whose hosts answer differently, from the call in the guest to the finding.
"""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime

from conformance.differential.profiles import OutputShape
from conformance.differential.records import FindingClass
from conformance.differential.vote import Voice, vote
from runners.blocks import CaseBlock
from runners.environments import Environments
from runners.hosts.host import Answer, HostCall, host_node
from runners.pool import Pool
from runners.records import Budget, Call, EngineId, Level, Node

pytestmark = pytest.mark.engines

WASM = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "clock" (func $clock (result i64)))
      (func (export "ignores") (result i64) (drop (call $clock)) (i64.const 4))
      (func (export "tells") (result i64) (call $clock)))
        """
    )
)


class Clock:
    """
    Hosts, and the maker of them, whose clock stands still.
    """

    def __init__(self, now: int) -> None:
        """
        Set it.
        """
        self.now = now

    def digest(self) -> str:
        """
        The time as a digest.
        """
        return f"{self.now:x}".ljust(64, "0")

    def host(self) -> Clock:
        """
        The clock itself.
        """
        return self

    def answer(self, call: HostCall) -> Answer:
        """
        The time.
        """
        yield from ()
        assert call.name == "clock"
        return (self.now,)

    def ended(self) -> None:
        """
        No complaint.
        """


def classes(entry: str, *times: int) -> list[FindingClass]:
    """
    What a vote of wasmtime's compilers finds whose clocks show these times.
    """
    environments = Environments()
    engines = [EngineId("wasmtime", "50.0.1", name) for name in ("cranelift", "winch")]
    launches = [environments.launch(engine) for engine in engines]
    clocks = dict(enumerate(map(Clock, times)))
    nodes = [
        (host_node(Node(launch.engine), clocks[index]), launch)
        for index, launch in enumerate(launches)
    ]
    call = Call(entry=entry, results=("i64",))
    ids, inputs = np.arange(2, dtype=np.uint64), np.zeros((2, 0), np.uint8)
    block = CaseBlock(call, Budget(), Level.FULL, ids, inputs)
    with Pool(nodes, hosts=clocks) as pool:
        pool.add_module("m", WASM)
        voices = [
            Voice(node, launch.families, pool.run(index, "m", block))
            for index, (node, launch) in enumerate(nodes)
        ]
    verdict = vote(block, OutputShape(((0, "i64", 1),)), voices, "exact", 0)
    return sorted({item.kind for item in verdict.disagreements})


def test_equal_hosts_leave_nothing_to_find() -> None:
    assert classes("tells", 7, 7) == []
    assert classes("ignores", 7, 7) == []


def test_hosts_that_answer_differently_are_found_even_if_the_result_is_the_same() -> None:
    assert classes("ignores", 7, 8) == [FindingClass.HOST_CALLS]


def test_where_values_differ_too_the_values_are_the_finding() -> None:
    assert classes("tells", 7, 8) == [FindingClass.VALUE]
