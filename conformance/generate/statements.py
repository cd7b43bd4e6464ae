"""
What inference modules are made of, one function per shape of code.

Each leaves the operand stack as it was and its results in locals, globals or memory. Many are those
in which published miscompilations hid: values that are live across calls, more of them than there
are registers, operators folded into addresses, loads of the last bytes, dead stores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.generate.body import PAGE_BYTES, Body
from conformance.generate.choices import between, more, one_of, part
from conformance.generate.operators import CALM, LOADS, STORES, Operator
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import Labels, MemArg
from conformance.wasm.opcodes import ValType

Statement = Callable[[Body], None]

MOST_LIVE: Final = 24
"""Values that are alive at once: more than any machine here has registers."""
_FLOATS: Final[tuple[ValType, ...]] = ("f64", "f32")
_REDUCING: Final = ("add", "mul", "max", "min", "sub")
_WIDENING: Final[dict[ValType, tuple[Operator, ...]]] = {
    "i32": tuple(one for one in CALM["i64"] if one.parameters == ("i32",)),
    "i64": tuple(one for one in CALM["i32"] if one.parameters == ("i64",)),
    "f32": tuple(one for one in CALM["f64"] if one.parameters == ("f32",)),
    "f64": tuple(one for one in CALM["f32"] if one.parameters == ("f64",)),
}
_WIDER: Final[dict[ValType, ValType]] = {"i32": "i64", "i64": "i32", "f32": "f64", "f64": "f32"}


def _combine(body: Body, kind: ValType) -> None:
    """
    A binary operator over two values of *kind* that gives one of it.
    """
    fitting = [one for one in CALM[kind] if one.parameters == (kind, kind)]
    body.emit(one_of(body.choices, fitting).name)


def assign(body: Body) -> None:
    """
    A local gets an expression.
    """
    kind = body.any_kind()
    body.value(kind, 3)
    held = body.locals_of(kind)
    place = body.choices.below(len(held) + 1)
    body.emit("local.set", held[place] if place < len(held) else body.local(kind))


def publish(body: Body) -> None:
    """
    A global gets an expression: what is in globals is observed.
    """
    kind = body.any_kind()
    body.value(kind, 3)
    body.emit("global.set", body.around.globals[kind])


def store(body: Body) -> None:
    """
    Memory gets an expression.
    """
    kind = body.any_kind()
    access = one_of(body.choices, STORES[kind])
    offset = body.address(access.width, 1)
    body.value(kind, 2)
    body.access(access, offset)


def dead_store(body: Body) -> None:
    """
    A store that another overwrites at once, and a local that nobody reads.
    """
    body.patterns.append("dead store")
    kind = body.any_kind()
    access = STORES[kind][0]
    address = body.choices.below(64) * 8
    for _ in range(2):
        body.emit("i32.const", address)
        body.value(kind, 1)
        body.access(access, 0)
    body.value(kind, 1)
    body.emit("local.set", body.local(kind))


def _loop(body: Body, times: int, inside: Callable[[int], None]) -> None:
    """
    Repeat *inside*, which gets the local that counts up from 0, as long as there is fuel.
    """
    counter = body.local("i32")
    body.emit("i32.const", 0)
    body.emit("local.set", counter)
    body.emit("loop", "empty")
    inside(counter)
    body.emit("local.get", counter)
    body.emit("i32.const", 1)
    body.emit("i32.add")
    body.emit("local.tee", counter)
    body.emit("i32.const", times)
    body.emit("i32.lt_u")
    body.emit("global.get", body.around.fuel)
    body.emit("i32.const", 1)
    body.emit("i32.sub")
    body.code.append(op("global.set", body.around.fuel) + op("global.get", body.around.fuel))
    body.emit("i32.const", 0)
    body.emit("i32.gt_s")
    body.emit("i32.and")
    body.emit("br_if", 0)
    body.emit("end")


def reduction(body: Body) -> None:
    """
    A dot product, a sum or a maximum over the table of weights.
    """
    body.patterns.append("reduction")
    kind = one_of(body.choices, _FLOATS)
    total, size = body.local(kind), 8 if kind == "f64" else 4
    reducer = one_of(body.choices, _REDUCING)
    scaled = body.choices.below(2)
    times = between(body.choices, 1, min(16, body.around.weight_bytes // size))

    def inside(counter: int) -> None:
        body.emit("local.get", total)
        body.emit("local.get", counter)
        body.emit("i32.const", size.bit_length() - 1)
        body.emit("i32.shl")
        body.emit(f"{kind}.load", MemArg(0, body.around.weights))
        if scaled:
            body.value(kind, 1)
            body.emit(f"{kind}.mul")
        body.emit(f"{kind}.{reducer}")
        body.emit("local.set", total)

    _loop(body, times, inside)
    body.emit("local.get", total)
    body.emit("global.set", body.around.globals[kind])


def repeated(body: Body) -> None:
    """
    A loop around other statements.
    """
    body.patterns.append("loop")
    times = between(body.choices, 1, 6)
    _loop(body, times, lambda _: some(body, INNER, 2, usual=2))


def activation(body: Body) -> None:
    """
    relu, a clamp, a rational squashing, or 2^n by its exponent bits.
    """
    body.patterns.append("activation")
    kind = one_of(body.choices, _FLOATS)
    x = body.local(kind)
    body.value(kind, 2)
    body.emit("local.set", x)
    shape = body.choices.below(4)
    one = 0x3FF0000000000000 if kind == "f64" else 0x3F800000
    body.emit("local.get", x)
    if shape == 0:
        body.bits(kind, 0)
        body.emit(f"{kind}.max")
    elif shape == 1:
        body.bits(kind, one)
        body.emit(f"{kind}.min")
        body.bits(kind, one | (1 << 63 if kind == "f64" else 1 << 31))
        body.emit(f"{kind}.max")
    elif shape == 2:  # noqa: PLR2004 - of four
        body.bits(kind, one)
        body.emit("local.get", x)
        body.emit(f"{kind}.abs")
        body.emit(f"{kind}.add")
        body.emit(f"{kind}.div")
    else:
        _power_of_two(body, kind)
    body.emit("global.set", body.around.globals[kind])


def _power_of_two(body: Body, kind: ValType) -> None:
    """
    From x on the stack 2^nearest(x), by shifting the exponent into its place.
    """
    integer, bias, shift = ("i64", 1023, 52) if kind == "f64" else ("i32", 127, 23)
    body.emit(f"{kind}.nearest")
    body.emit(f"{integer}.trunc_sat_{kind}_s")
    body.emit(f"{integer}.const", bias)
    body.emit(f"{integer}.add")
    body.emit(f"{integer}.const", shift)
    body.emit(f"{integer}.shl")
    body.emit(f"{kind}.reinterpret_{integer}")


def spill(body: Body) -> None:
    """
    Many values alive at once, a call between their making and their use, then all are folded.
    """
    body.patterns.append("live across a call")
    kind = body.any_kind()
    values: list[int] = []
    while len(values) < MOST_LIVE:
        with part(body.choices):
            if values and not more(body.choices, 11):
                break
            body.value(kind, 1)
            body.value(kind, 0)
            _combine(body, kind)
        values.append(body.local(kind))
        body.emit("local.set", values[-1])
    if body.around.callees:
        callee = one_of(body.choices, body.around.callees)
        for parameter in callee.parameters:
            body.value(parameter, 0)
        body.emit("call", callee.index)
        body.emit("global.set", body.around.globals[callee.result])
    widen = one_of(body.choices, (None, *_WIDENING[kind]))
    target = kind if widen is None else _WIDER[kind]
    for number, place in enumerate(values):
        body.emit("local.get", place)
        if widen is not None:
            body.emit(widen.name)
        if number:
            _combine(body, target)
    body.emit("global.set", body.around.globals[target])


def nan_rich(body: Body) -> None:
    """
    Arithmetic that gives NaNs of several origins, and moves their bits on.
    """
    body.patterns.append("NaN-rich")
    kind = one_of(body.choices, _FLOATS)
    origin = body.choices.below(4)
    infinity = 0x7FF0000000000000 if kind == "f64" else 0x7F800000
    if origin == 0:
        body.bits(kind, 0)
        body.bits(kind, 0)
        body.emit(f"{kind}.div")
    elif origin == 1:
        body.bits(kind, infinity)
        body.bits(kind, infinity)
        body.emit(f"{kind}.sub")
    elif origin == 2:  # noqa: PLR2004 - of four
        body.value(kind, 1)
        body.emit(f"{kind}.sqrt")
    else:
        body.bits(kind, infinity | 1 | body.choices.below(1 << 20))
    for _ in range(between(body.choices, 1, 3)):
        body.value(kind, 1)
        _combine(body, kind)
    integer = "i64" if kind == "f64" else "i32"
    body.emit(f"{integer}.reinterpret_{kind}")
    body.emit("global.set", body.around.globals[integer])  # type: ignore[index]


def branch(body: Body) -> None:
    """
    An `if` around other statements.
    """
    body.value("i32", 2)
    body.emit("if", "empty")
    some(body, INNER, 1, usual=3)
    if body.choices.below(2):
        body.emit("else")
        some(body, INNER, 1, usual=3)
    body.emit("end")


def switch(body: Body) -> None:
    """
    A `br_table` with a statement at each of its labels.
    """
    body.patterns.append("br_table")
    count = between(body.choices, 1, 3)
    for _ in range(count + 1):
        body.emit("block", "empty")
    body.value("i32", 2)
    body.code.append(op("br_table", Labels(tuple(range(count)), count)))
    for place in range(count):
        body.emit("end")
        some(body, SIMPLE, 1, usual=3)
        body.emit("br", count - 1 - place)
    body.emit("end")


def bulk(body: Body) -> None:
    """
    A fill or a copy within the page, to its very end.
    """
    body.patterns.append("bulk memory")
    length = body.choices.below(64)
    at_end = body.choices.below(2)
    body.emit("i32.const", PAGE_BYTES - length if at_end else 2048)
    if body.choices.below(2):
        body.emit("i32.const", body.choices.below(4096))
        body.emit("i32.const", length)
        body.emit("memory.copy", 0, 0)
    else:
        body.value("i32", 1)
        body.emit("i32.const", length)
        body.emit("memory.fill", 0)


def matrix(body: Body) -> None:
    """
    Two nested loops over the weights: a layer, its row kept in memory.
    """
    body.patterns.append("layer")
    kind = one_of(body.choices, _FLOATS)
    size = 8 if kind == "f64" else 4
    access = LOADS[kind][0]
    columns = between(body.choices, 1, max(1, min(4, body.around.weight_bytes // size // 2)))
    total = body.local(kind)

    def row(outer: int) -> None:
        body.bits(kind, 0)
        body.emit("local.set", total)

        def column(inner: int) -> None:
            body.emit("local.get", total)
            body.emit("local.get", outer)
            body.emit("i32.const", columns)
            body.emit("i32.mul")
            body.emit("local.get", inner)
            body.emit("i32.add")
            body.emit("i32.const", size)
            body.emit("i32.mul")
            body.emit(access.name, MemArg(access.alignment, body.around.weights))
            body.value(kind, 1)
            body.emit(f"{kind}.mul")
            body.emit(f"{kind}.add")
            body.emit("local.set", total)

        _loop(body, columns, column)
        body.emit("local.get", outer)
        body.emit("i32.const", 3)
        body.emit("i32.shl")
        body.emit("local.get", total)
        body.emit(f"{kind}.store", MemArg(0, 256))

    _loop(body, 2, row)


SIMPLE: Final[tuple[Statement, ...]] = (publish, assign, store, dead_store, bulk)
INNER: Final[tuple[Statement, ...]] = (*SIMPLE, activation, nan_rich)
STATEMENTS: Final[tuple[Statement, ...]] = (
    publish, assign, store, nan_rich, activation, reduction, spill, dead_store, branch, repeated,
    switch, matrix, bulk, spill, spill,
)  # fmt: skip
"""What a function is made of; the first is the simplest."""


def some(body: Body, statements: tuple[Statement, ...], most: int, *, usual: int) -> None:
    """
    At most *most* of these statements, *usual* ones on average, as long as there is room.
    """
    for _ in range(most):
        with part(body.choices):
            if body.room <= 0 or not more(body.choices, usual):
                return
            one_of(body.choices, statements)(body)
