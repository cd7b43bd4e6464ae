"""
What a host is: it is given one import call at a time and answers, looking into memory if it must.

An answer is a generator of steps, so that the seat that serves a worker never waits for one: it
sends a step to the worker, and resumes the answer with the reply.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, Protocol

import msgspec

from runners.bits import ValueType
from runners.records import Node


class HostCall(NamedTuple):
    """
    One call of an imported function.
    """

    module: str
    name: str
    parameters: tuple[ValueType, ...]
    results: tuple[ValueType, ...]
    arguments: tuple[int, ...]
    """Bits, zero-extended, one for each parameter."""


class Peek(NamedTuple):
    """
    Read the guest's memory; the answer is resumed with the bytes.
    """

    address: int
    size: int


class Poke(NamedTuple):
    """
    Write the guest's memory; the answer is resumed with None.
    """

    address: int
    data: bytes


class Reenter(NamedTuple):
    """
    Call an export of the guest; the answer is resumed with the results' bits.
    """

    export: str
    arguments: tuple[int, ...]


class Grow(NamedTuple):
    """
    Grow the guest's memory, as `memory.grow` would.

    The answer is resumed with (pages before,), or (0xffffffff,) if growth is refused.
    """

    pages: int


Step = Peek | Poke | Reenter | Grow
StepReply = bytes | tuple[int, ...] | None
Answer = Generator[Step, StepReply, tuple[int, ...]]
"""Returns the call's results as bits, one for each result type."""


class HostStopError(Exception):
    """
    The host refuses to go on: the call ends as `trapped(host error)`; the text says why.
    """


class OutOfBoundsError(HostStopError):
    """
    Thrown into an answer whose peek or poke lies outside the guest's memory, or that has none.
    """


class ReentryError(HostStopError):
    """
    Thrown into an answer whose re-entry trapped or was not possible.
    """


class Host(Protocol):
    """
    Answers the calls of one case. A new one is made for each case, so that no case sees another.
    """

    def answer(self, call: HostCall) -> Answer:
        """
        Answer a call; raises HostStopError to end the case.
        """
        ...

    def ended(self) -> str | None:
        """
        Asked when the case has returned: a complaint, such as a script with answers left, or None.
        """
        ...


class HostMaker(Protocol):
    """
    Makes hosts that all answer alike: a node's host is one of these.
    """

    def digest(self) -> str:
        """
        SHA-256 over all that the answers depend on; part of the key of evidence.
        """
        ...

    def host(self) -> Host:
        """
        A host for the next case.
        """
        ...


def host_node(node: Node, maker: HostMaker) -> Node:
    """
    The node whose imports *maker* answers: what a pool takes together with it.
    """
    return msgspec.structs.replace(node, host=maker.digest())
