"""
Plays the worker for an answer: carries out its steps on plain bytes.
"""

from __future__ import annotations

import hashlib

from runners.bits import ValueType
from runners.hosts.host import (
    Grow,
    Host,
    HostCall,
    OutOfBoundsError,
    Peek,
    Poke,
    Reenter,
    Step,
    StepReply,
)
from runners.hosts.recording import RecordedCall, RecordedStep


def call_of(
    key: str,
    *values: tuple[ValueType, int],
    results: tuple[ValueType, ...] = (),
) -> HostCall:
    """
    A call of `module.name` with typed bits.
    """
    module, _, name = key.partition(".")
    kinds = tuple(kind for kind, _ in values)
    return HostCall(module, name, kinds, results, tuple(bits for _, bits in values))


def i32s(*values: int) -> tuple[tuple[ValueType, int], ...]:
    """
    Arguments of type i32.
    """
    return tuple(("i32", value) for value in values)


PAGE = 65_536
_I32: ValueType = "i32"


class Guest:
    """
    A guest's memory, and exports that give what they are told to.
    """

    def __init__(self, size: int = 4096, exports: dict[str, tuple[int, ...]] | None = None) -> None:
        """
        Memory of zeros.
        """
        self.memory = bytearray(size)
        self.exports = exports or {}
        self.most_pages = 16
        self.log: list[RecordedCall] = []

    def ask(self, host: Host, call: HostCall) -> tuple[int, ...]:
        """
        The results of a call; raises HostStopError.
        """
        record = RecordedCall(call)
        self.log.append(record)
        answer = host.answer(call)
        try:
            step = next(answer)
            while True:
                try:
                    reply = self._taken(step)
                except OutOfBoundsError as error:
                    step = answer.throw(error)
                    continue
                record.steps.append(_recorded(step, reply))
                step = answer.send(reply)
        except StopIteration as end:
            record.results = end.value
            return record.results or ()

    def _taken(self, step: Step) -> StepReply:
        match step:
            case Peek(address, size):
                self._inside("peek", address, size)
                return bytes(self.memory[address : address + size])
            case Poke(address, data):
                self._inside("poke", address, len(data))
                self.memory[address : address + len(data)] = data
                return None
            case Grow(pages):
                before = len(self.memory) // PAGE
                if before + pages > self.most_pages:
                    return (0xFFFFFFFF,)
                self.memory += bytes(pages * PAGE)
                return (before,)
            case Reenter(export, _):
                return self.exports[export]

    def _inside(self, what: str, address: int, size: int) -> None:
        if address + size > len(self.memory):
            message = f"a {what} at {address}"
            raise OutOfBoundsError(message)


def _recorded(step: Step, reply: StepReply) -> RecordedStep:
    kinds: tuple[ValueType, ...] = (_I32,) * (len(reply) if isinstance(reply, tuple) else 0)
    given: tuple[ValueType, ...] = (_I32,) * (
        len(step.arguments) if isinstance(step, Reenter) else 0
    )
    known = hashlib.sha256(reply).hexdigest() if isinstance(reply, bytes) else ""
    return RecordedStep(step, reply, results=kinds, parameters=given, sha256=known)
