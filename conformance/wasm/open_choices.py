"""
Where the specification leaves a result open, and where a module can ask: what two correct engines
may answer differently. A static look: what is listed may differ. Of vectors, whose lanes any
integer operator can read, only the usual ways out are listed.

Sources: core specification 2.0, 4.3.3 (NaN propagation) and 4.4.7 (growth); 3.0, "Profiles".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct

from conformance.wasm.calls import CallGraph
from conformance.wasm.imports import check_imports
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES

OpenKind = Literal[
    "nan-made",  # an operator whose NaN has open sign and payload
    "nan-shown",  # something through which bits of a NaN become a value, memory or an output
    "conversion-between-floats",  # demote and promote
    "growth",
    "host",
    "call-depth",
]


class OpenChoice(Struct, frozen=True):
    """
    One kind of place where engines may differ.
    """

    kind: OpenKind
    what: str
    """An operator, an import or an export; for `call-depth` the functions."""
    count: int
    first_offset: int | None
    """Byte offset of the first place; None where it is no place in the file."""
    sentence: str


_ARITHMETIC: Final = frozenset(
    {"add", "sub", "mul", "div", "sqrt", "ceil", "floor", "trunc", "nearest", "min", "max"}
)
_SHAPES: Final = ("f32", "f64", "f32x4", "f64x2")
NAN_MAKERS: Final = frozenset(
    opcode.name
    for opcode in OPCODES.values()
    if opcode.name.partition(".")[0] in _SHAPES and opcode.name.partition(".")[2] in _ARITHMETIC
)
"""Operators whose NaN result has a sign and payload that the specification leaves open."""
CONVERSIONS: Final = frozenset(
    {"f32.demote_f64", "f64.promote_f32", "f32x4.demote_f64x2_zero", "f64x2.promote_low_f32x4"}
)
"""As `NAN_MAKERS`; engines that canonicalise leave these out."""
_SHOWS: Final = {
    "i32.reinterpret_f32": "its bits become an integer",
    "i64.reinterpret_f64": "its bits become an integer",
    "f32.copysign": "the sign of a NaN decides",
    "f64.copysign": "the sign of a NaN decides",
    "f32.store": "its bits go to memory",
    "f64.store": "its bits go to memory",
    "v128.store": "bits of its lanes go to memory",
    "v128.store8_lane": "bits of a lane go to memory",
    "v128.store16_lane": "bits of a lane go to memory",
    "v128.store32_lane": "bits of a lane go to memory",
    "v128.store64_lane": "bits of a lane go to memory",
    "i32x4.extract_lane": "lanes are read as integers",
    "i64x2.extract_lane": "lanes are read as integers",
    "i8x16.extract_lane_s": "lanes are read as integers",
    "i8x16.extract_lane_u": "lanes are read as integers",
    "i16x8.extract_lane_s": "lanes are read as integers",
    "i16x8.extract_lane_u": "lanes are read as integers",
    "i8x16.bitmask": "sign bits are read as an integer",
    "i16x8.bitmask": "sign bits are read as an integer",
    "i32x4.bitmask": "sign bits are read as an integer",
    "i64x2.bitmask": "sign bits are read as an integer",
    "v128.any_true": "lanes are read as integers",
}
_GROWTH: Final = {
    "memory.grow": "an engine may refuse, with -1, whatever the maximum",
    "table.grow": "an engine may refuse, with -1, whatever the maximum",
}
_FLOATS: Final = frozenset({"f32", "f64", "v128"})


def open_choices(module: Module, graph: CallGraph) -> tuple[OpenChoice, ...]:
    """
    Every kind of place of a valid *module* where engines may differ, in the order of `OpenKind`.

    A module that makes no NaN of its own can still be given one; that is not listed.
    """
    made = sorted(NAN_MAKERS & set(module.operators))
    converted = sorted(CONVERSIONS & set(module.operators))
    found = list(_operators(module, "nan-made", made, "sign and payload of a NaN result are open"))
    if made or converted:
        found += _shown(module)
    found += _operators(
        module, "conversion-between-floats", converted,
        "as above; engines that make NaNs canonical do not do it here",
    )  # fmt: skip
    for name, sentence in _GROWTH.items():
        found += _operators(module, "growth", [name], sentence)
    found += _hosts(module)
    if graph.recursive:
        functions = [index for component in graph.recursive for index in component]
        sentence = "how deep calls may go before the stack is exhausted is each engine's own"
        names = ", ".join(module.function_name(index) for index in functions[:4])
        more = f" and {len(functions) - 4} more" if len(functions) > 4 else ""  # noqa: PLR2004 - named above
        found.append(OpenChoice("call-depth", names + more, len(functions), None, sentence))
    return tuple(found)


def _operators(
    module: Module, kind: OpenKind, names: Iterable[str], sentence: str
) -> Iterator[OpenChoice]:
    for name in names:
        use = module.operators.get(name)
        if use is not None:
            yield OpenChoice(kind, name, use.count, use.first_offset, sentence)


def _shown(module: Module) -> Iterator[OpenChoice]:
    """
    Ways on which bits of a NaN leave the floats.
    """
    for name, sentence in _SHOWS.items():
        yield from _operators(module, "nan-shown", [name], sentence)
    for index, item in enumerate(i for i in module.imports if i.kind == "function"):
        count = sum(kind in _FLOATS for kind in module.function_type(index).parameters)
        if count:
            yield OpenChoice(
                "nan-shown", item.key, count, item.span.start, "the host is given floats"
            )
    for export in module.exports:
        start = export.span.start
        if export.kind == "function":
            count = sum(kind in _FLOATS for kind in module.function_type(export.index).results)
            if count:
                sentence = "it returns floats"
                yield OpenChoice("nan-shown", export.name, count, start, sentence)
        elif export.kind == "global" and module.global_types[export.index].type in _FLOATS:
            yield OpenChoice("nan-shown", export.name, 1, start, "it is an exported float")


def _hosts(module: Module) -> Iterator[OpenChoice]:
    """
    Imports: what the host answers is not the module's.
    """
    for problem in check_imports(module, ()):
        sentence = problem.sentence.partition(f"{problem.key!r}: ")[2]
        yield OpenChoice("host", problem.key, 1, problem.offset, sentence)
