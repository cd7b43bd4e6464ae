"""
Instructions on whole memories, tables and segments, and on references.

Source: core specification 2.0, sections 4.4.3 (reference), 4.4.6 (table), 4.4.7 (memory
instructions). Each checks all of its bounds before it writes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from conformance.wasm.evaluate.stops import TrappedError

if TYPE_CHECKING:
    from conformance.wasm.evaluate.instance import Instance

Handler = Callable[["Instance", list[Any], tuple[Any, ...]], None]
"""Takes the instance, the operand stack, which it changes, and the immediates."""


def _memory_size(instance: Instance, stack: list[Any], _: tuple[Any, ...]) -> None:
    stack.append(instance.memories[0].pages)


def _memory_grow(instance: Instance, stack: list[Any], _: tuple[Any, ...]) -> None:
    stack.append(instance.memories[0].grow(stack.pop()))


def _memory_init(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    size, source, target = stack.pop(), stack.pop(), stack.pop()
    memory, segment = instance.memories[0], instance.data[immediates[0]]
    if source + size > len(segment):
        raise TrappedError("memory out of bounds")
    memory.data[memory.span(target, size)] = segment[source : source + size]


def _data_drop(instance: Instance, _: list[Any], immediates: tuple[Any, ...]) -> None:
    instance.data[immediates[0]] = b""


def _memory_copy(instance: Instance, stack: list[Any], _: tuple[Any, ...]) -> None:
    size, source, target = stack.pop(), stack.pop(), stack.pop()
    memory = instance.memories[0]
    # The right side is a copy: regions may overlap.
    taken = memory.data[memory.span(source, size)]
    memory.data[memory.span(target, size)] = taken


def _memory_fill(instance: Instance, stack: list[Any], _: tuple[Any, ...]) -> None:
    size, value, target = stack.pop(), stack.pop(), stack.pop()
    memory = instance.memories[0]
    memory.data[memory.span(target, size)] = bytes([value & 0xFF]) * size


def _table_get(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    items = instance.tables[immediates[0]].items
    index = stack.pop()
    if index >= len(items):
        raise TrappedError("table out of bounds")
    stack.append(items[index])


def _table_set(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    items = instance.tables[immediates[0]].items
    value, index = stack.pop(), stack.pop()
    if index >= len(items):
        raise TrappedError("table out of bounds")
    items[index] = value


def _table_size(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    stack.append(len(instance.tables[immediates[0]].items))


def _table_grow(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    count, value = stack.pop(), stack.pop()
    stack.append(instance.tables[immediates[0]].grow(count, value))


def _table_fill(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    size, value, target = stack.pop(), stack.pop(), stack.pop()
    table = instance.tables[immediates[0]]
    table.items[table.span(target, size)] = [value] * size


def _table_copy(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    size, source, target = stack.pop(), stack.pop(), stack.pop()
    to, origin = (instance.tables[index] for index in immediates)
    taken = origin.items[origin.span(source, size)]
    to.items[to.span(target, size)] = taken


def _table_init(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    size, source, target = stack.pop(), stack.pop(), stack.pop()
    segment, table = instance.elements[immediates[0]], instance.tables[immediates[1]]
    if source + size > len(segment):
        raise TrappedError("table out of bounds")
    table.items[table.span(target, size)] = segment[source : source + size]


def _elem_drop(instance: Instance, _: list[Any], immediates: tuple[Any, ...]) -> None:
    instance.elements[immediates[0]] = ()


def _ref_func(instance: Instance, stack: list[Any], immediates: tuple[Any, ...]) -> None:
    stack.append(instance.functions[immediates[0]])


def _ref_is_null(_: Instance, stack: list[Any], __: tuple[Any, ...]) -> None:
    stack.append(int(stack.pop() is None))


HANDLERS: Final = MappingProxyType(
    {
        "memory.size": _memory_size,
        "memory.grow": _memory_grow,
        "memory.init": _memory_init,
        "data.drop": _data_drop,
        "memory.copy": _memory_copy,
        "memory.fill": _memory_fill,
        "table.get": _table_get,
        "table.set": _table_set,
        "table.size": _table_size,
        "table.grow": _table_grow,
        "table.fill": _table_fill,
        "table.copy": _table_copy,
        "table.init": _table_init,
        "elem.drop": _elem_drop,
        "ref.func": _ref_func,
        "ref.is_null": _ref_is_null,
    }
)
"""By the name of the text format."""
