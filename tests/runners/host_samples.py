"""
A module with imports, and hosts that answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from runners.bits import ValueType
from runners.blocks import CaseBlock
from runners.hosts.host import Answer, HostCall, host_node
from runners.launch import Launch
from runners.records import Budget, Call, Level, Node, Slot


class Answering:
    """
    A host that answers by a function, and complains at the end with what it was told to say.
    """

    def __init__(self, answer: Callable[[HostCall], Answer], complaint: str | None = None) -> None:
        """
        Keep the function.
        """
        self._answer, self._complaint = answer, complaint

    def answer(self, call: HostCall) -> Answer:
        """
        Whatever the function does.
        """
        return self._answer(call)

    def ended(self) -> str | None:
        """
        The complaint.
        """
        return self._complaint


class Maker:
    """
    Makes hosts of one function.
    """

    def __init__(self, answer: Callable[[HostCall], Answer], complaint: str | None = None) -> None:
        """
        Keep the function.
        """
        self._answer, self._complaint = answer, complaint
        self.made = 0

    def digest(self) -> str:
        """
        A digest that no other kind of host has.
        """
        return "5a" * 32

    def host(self) -> Answering:
        """
        Another host.
        """
        self.made += 1
        return Answering(self._answer, self._complaint)


def seat(launch: Launch, maker: Maker, policy: str = "fresh") -> tuple[Node, Launch]:
    """
    A node whose host is the maker's.
    """
    return host_node(Node(launch.engine, policy=policy), maker), launch


def block_of(
    entry: str,
    parameters: tuple[ValueType, ...],
    results: tuple[ValueType, ...],
    rows: Sequence[Sequence[int]],
    level: Level = Level.RESULT,
    *,
    deadline_ms: int = 60_000,
) -> CaseBlock:
    """
    Cases of an entry of numbers; a row is the bits of its arguments.
    """
    call = Call(
        entry=entry,
        arguments=tuple(Slot(index, kind) for index, kind in enumerate(parameters)),
        results=results,
        memory="memory",
    )
    words = np.array(rows, "<u8").reshape(len(rows), len(parameters))
    return CaseBlock(
        call,
        Budget(deadline_ms=deadline_ms),
        level,
        np.arange(len(rows), dtype=np.uint64),
        np.ascontiguousarray(words).view(np.uint8).reshape(len(rows), 8 * len(parameters)),
    )
