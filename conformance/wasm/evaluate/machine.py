"""
The loop: executes flat code with a stack of its own, so that guest recursion is only memory.

Source: core specification 2.0, section 4.4 (instructions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from conformance.wasm.evaluate.flat import Code, Kind
from conformance.wasm.evaluate.stops import ExhaustedError, TrappedError
from conformance.wasm.evaluate.store import Function, HostFunction, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.wasm.evaluate.instance import Instance
    from conformance.wasm.items import FunctionType

# As plain integers: the loop compares them some ten million times a second.
LOCAL_GET: Final = int(Kind.LOCAL_GET)
CONST: Final = int(Kind.CONST)
BINARY: Final = int(Kind.BINARY)
UNARY: Final = int(Kind.UNARY)
LOCAL_SET: Final = int(Kind.LOCAL_SET)
LOCAL_TEE: Final = int(Kind.LOCAL_TEE)
LOAD: Final = int(Kind.LOAD)
STORE: Final = int(Kind.STORE)
NOTHING: Final = int(Kind.NOTHING)
BRANCH_IF: Final = int(Kind.BRANCH_IF)
IF: Final = int(Kind.IF)
BRANCH: Final = int(Kind.BRANCH)
BRANCH_TABLE: Final = int(Kind.BRANCH_TABLE)
SKIP: Final = int(Kind.SKIP)
LOAD_SIGNED: Final = int(Kind.LOAD_SIGNED)
CALL: Final = int(Kind.CALL)
CALL_INDIRECT: Final = int(Kind.CALL_INDIRECT)
FINISH: Final = int(Kind.FINISH)
DROP: Final = int(Kind.DROP)
SELECT: Final = int(Kind.SELECT)
GLOBAL_GET: Final = int(Kind.GLOBAL_GET)
GLOBAL_SET: Final = int(Kind.GLOBAL_SET)
UNREACHABLE: Final = int(Kind.UNREACHABLE)


class _Frames:
    """
    The open calls below the present one, and what all of them hold.
    """

    def __init__(self, instance: Instance) -> None:
        self.limits = instance.limits
        self.saved: list[tuple[Any, ...]] = []
        self.slots = 0

    def enter(self, code: Code, stack: list[Value]) -> list[Value]:
        """
        Locals of a new call, whose arguments leave the caller's *stack*.
        """
        self.slots += code.slots
        if len(self.saved) >= self.limits.frames or self.slots > self.limits.slots:
            sentence = f"{len(self.saved)} calls with {self.slots} locals and operands are open"
            raise ExhaustedError("stack", sentence)
        first = len(stack) - code.parameters
        found = stack[first:]
        del stack[first:]
        found.extend(code.locals)
        return found


def run(  # noqa: C901, PLR0912, PLR0915 - one loop: a call per instruction would halve its speed
    instance: Instance, function: Function, arguments: list[Value]
) -> Sequence[Value]:
    """
    Call *function*; `instance.fuel` goes down by the instructions executed.

    Raises TrappedError, or ExhaustedError for the stack or the fuel.
    """
    if isinstance(function, HostFunction):
        return function.call(instance, *arguments)
    meter = instance
    instance = function.instance
    frames = _Frames(meter)
    saved = frames.saved
    code = instance.program.code(function.place)
    locals_ = frames.enter(code, arguments)
    entries, place, stack = code.entries, 0, []
    memory = instance.memories[0].data if instance.memories else bytearray()
    fuel = meter.fuel
    try:
        while True:
            kind, a, b = entries[place]
            place += 1
            fuel -= 1
            # The syntax's marks cost nothing, not even the last unit.
            if fuel < 0 and kind not in (SKIP, FINISH):
                raise ExhaustedError("fuel", "the fuel is used up")
            if kind == LOCAL_GET:
                stack.append(locals_[a])
            elif kind == CONST:
                stack.append(a)
            elif kind == BINARY:
                right = stack.pop()
                stack[-1] = a(stack[-1], right)
            elif kind == UNARY:
                stack[-1] = a(stack[-1])
            elif kind == LOCAL_SET:
                locals_[a] = stack.pop()
            elif kind == LOCAL_TEE:
                locals_[a] = stack[-1]
            elif kind == LOAD:
                start = stack[-1] + a
                if start + b > len(memory):
                    raise TrappedError("memory out of bounds")
                stack[-1] = int.from_bytes(memory[start : start + b], "little")
            elif kind == STORE:
                value = stack.pop()
                start = stack.pop() + a
                if start + b > len(memory):
                    raise TrappedError("memory out of bounds")
                memory[start : start + b] = (value & ((1 << 8 * b) - 1)).to_bytes(b, "little")
            elif kind == NOTHING:
                pass
            elif kind == BRANCH_IF:
                if stack.pop():
                    place = _branch(stack, a)
            elif kind == IF:
                if not stack.pop():
                    place = a
            elif kind == BRANCH:
                place = _branch(stack, a)
            elif kind == SKIP:
                fuel += 1
                place = a
            elif kind == LOAD_SIGNED:
                width, extend = b
                start = stack[-1] + a
                if start + width > len(memory):
                    raise TrappedError("memory out of bounds")
                stack[-1] = extend(int.from_bytes(memory[start : start + width], "little"))
            elif kind == GLOBAL_GET:
                stack.append(instance.globals[a].value)
            elif kind == GLOBAL_SET:
                instance.globals[a].value = stack.pop()
            elif kind == DROP:
                stack.pop()
            elif kind == SELECT:
                condition, other = stack.pop(), stack.pop()
                if not condition:
                    stack[-1] = other
            elif kind == BRANCH_TABLE:
                place = _branch(stack, a[min(stack.pop(), len(a) - 1)])
            elif kind in (CALL, CALL_INDIRECT):
                if kind == CALL:
                    called = instance.functions[a]
                else:
                    called = _indirect(instance, stack.pop(), a, b)
                if isinstance(called, HostFunction):
                    meter.fuel = fuel
                    _call_host(instance, called, stack)
                    fuel = meter.fuel
                    continue
                saved.append((entries, place, locals_, stack, instance, memory, code))
                code = called.instance.program.code(called.place)
                locals_ = frames.enter(code, stack)
                entries, place, stack = code.entries, 0, []
                if called.instance is not instance:
                    instance = called.instance
                    memory = instance.memories[0].data if instance.memories else bytearray()
            elif kind == FINISH:
                fuel += 1
                if not saved:
                    return stack
                results = stack
                frames.slots -= code.slots
                entries, place, locals_, stack, instance, memory, code = saved.pop()
                stack.extend(results)
            elif kind == UNREACHABLE:
                raise TrappedError("unreachable")
            else:
                a(instance, stack, b)
    finally:
        meter.fuel = max(fuel, 0)


def _branch(stack: list[Value], target: tuple[int, int, int]) -> int:
    """
    Keep the values that a branch carries and drop those of the blocks it leaves.
    """
    place, arity, height = target
    if len(stack) > height + arity:
        stack[height:] = stack[-arity:] if arity else ()
    return place


def _indirect(instance: Instance, index: int, wanted: FunctionType, table: int) -> Function:
    """
    The function that `call_indirect` finds in a table.
    """
    items = instance.tables[table].items
    if index >= len(items):
        raise TrappedError("table out of bounds")
    found: Function | None = items[index]
    if found is None:
        raise TrappedError("indirect call to null")
    if found.type != wanted:
        raise TrappedError("indirect call type mismatch")
    return found


def _call_host(instance: Instance, function: HostFunction, stack: list[Value]) -> None:
    """
    Let the embedder compute.
    """
    first = len(stack) - len(function.type.parameters)
    arguments = stack[first:]
    del stack[first:]
    stack.extend(function.call(instance, *arguments))
