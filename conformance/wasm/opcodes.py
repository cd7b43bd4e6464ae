"""
The instructions as data: code, name, immediates, signature and the proposal that brought each.

Source: the WebAssembly core specification 2.0, sections 5.4 (binary format) and 7.9 (index of
instructions). A code is the opcode byte, or `prefix << 8 | number` for the prefixes 0xfc and 0xfd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from conformance.wasm.simd import SIMD_ROWS

ValType = Literal["i32", "i64", "f32", "f64", "v128", "funcref", "externref"]
"""A value type."""

Immediate = Literal[
    "block",  # block type
    "label",
    "labels",  # a vector of labels and a default label
    "function",
    "type",
    "table",
    "local",
    "global",
    "data",
    "element",
    "i32",
    "i64",
    "f32",
    "f64",
    "v128",
    "memarg",  # alignment exponent and offset
    "memory",  # the zero byte that names the only memory
    "lane",
    "lanes",  # sixteen lanes
    "heap",  # reference type of a null
    "types",  # a vector of value types
]
"""Kind of one immediate."""


@dataclass(frozen=True, slots=True)
class Signature:
    """
    Operand types, the topmost last, and result types.
    """

    parameters: tuple[ValType, ...]
    results: tuple[ValType, ...]


@dataclass(frozen=True, slots=True)
class Opcode:
    """
    One instruction of the specification.
    """

    code: int
    name: str
    immediates: tuple[Immediate, ...]
    signature: Signature | None
    """None where the types depend on the context: control, variables, `drop`, `select`, tables."""
    proposal: str
    """`mvp`, or a name of the worker protocol's list of proposals."""
    alignment: int | None = None
    """Memory accesses: log2 of the access width in bytes, the greatest valid alignment."""

    @property
    def encoding(self) -> bytes:
        """
        The opcode's bytes in their shortest form.
        """
        if self.code <= 0xFF:  # noqa: PLR2004 - codes above one byte carry a prefix
            return bytes([self.code])
        prefix, number = self.code >> 8, self.code & 0xFF
        if number < 0x80:  # noqa: PLR2004 - LEB128 continues from 0x80 on
            return bytes([prefix, number])
        return bytes([prefix, number, 1])

    @property
    def computes_floats(self) -> bool:
        """
        Whether it makes or judges float values: not loads, stores, constants or lane moves.
        """
        shape, _, operation = self.name.partition(".")
        if operation.startswith(_MOVES):
            return False
        return shape in _FLOAT_SHAPES or "_f32" in operation or "_f64" in operation


_FLOAT_SHAPES: Final = frozenset({"f32", "f64", "f32x4", "f64x2"})
_MOVES: Final = ("load", "store", "const", "splat", "extract_lane", "replace_lane", "reinterpret")

# First code | proposal | immediates | operands -> results | names of consecutive codes.
# `*` is a signature that depends on the context; `memarg:N` has natural alignment 2^N bytes.
CORE_ROWS: Final = """
00 | mvp | | * | unreachable
01 | mvp | | -> | nop
02 | mvp | block | * | block loop if
05 | mvp | | * | else
0b | mvp | | * | end
0c | mvp | label | * | br br_if
0e | mvp | labels | * | br_table
0f | mvp | | * | return
10 | mvp | function | * | call
11 | mvp | type table | * | call_indirect
1a | mvp | | * | drop select
1c | reference-types | types | * | select_t
20 | mvp | local | * | local.get local.set local.tee
23 | mvp | global | * | global.get global.set
25 | reference-types | table | * | table.get table.set
28 | mvp | memarg:2 | i32 -> i32 | i32.load
29 | mvp | memarg:3 | i32 -> i64 | i64.load
2a | mvp | memarg:2 | i32 -> f32 | f32.load
2b | mvp | memarg:3 | i32 -> f64 | f64.load
2c | mvp | memarg:0 | i32 -> i32 | i32.load8_s i32.load8_u
2e | mvp | memarg:1 | i32 -> i32 | i32.load16_s i32.load16_u
30 | mvp | memarg:0 | i32 -> i64 | i64.load8_s i64.load8_u
32 | mvp | memarg:1 | i32 -> i64 | i64.load16_s i64.load16_u
34 | mvp | memarg:2 | i32 -> i64 | i64.load32_s i64.load32_u
36 | mvp | memarg:2 | i32 i32 -> | i32.store
37 | mvp | memarg:3 | i32 i64 -> | i64.store
38 | mvp | memarg:2 | i32 f32 -> | f32.store
39 | mvp | memarg:3 | i32 f64 -> | f64.store
3a | mvp | memarg:0 | i32 i32 -> | i32.store8
3b | mvp | memarg:1 | i32 i32 -> | i32.store16
3c | mvp | memarg:0 | i32 i64 -> | i64.store8
3d | mvp | memarg:1 | i32 i64 -> | i64.store16
3e | mvp | memarg:2 | i32 i64 -> | i64.store32
3f | mvp | memory | -> i32 | memory.size
40 | mvp | memory | i32 -> i32 | memory.grow
41 | mvp | i32 | -> i32 | i32.const
42 | mvp | i64 | -> i64 | i64.const
43 | mvp | f32 | -> f32 | f32.const
44 | mvp | f64 | -> f64 | f64.const
45 | mvp | | i32 -> i32 | i32.eqz
46 | mvp | | i32 i32 -> i32 | i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u
4e | mvp | | i32 i32 -> i32 | i32.ge_s i32.ge_u
50 | mvp | | i64 -> i32 | i64.eqz
51 | mvp | | i64 i64 -> i32 | i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u
59 | mvp | | i64 i64 -> i32 | i64.ge_s i64.ge_u
5b | mvp | | f32 f32 -> i32 | f32.eq f32.ne f32.lt f32.gt f32.le f32.ge
61 | mvp | | f64 f64 -> i32 | f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
67 | mvp | | i32 -> i32 | i32.clz i32.ctz i32.popcnt
6a | mvp | | i32 i32 -> i32 | i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u
71 | mvp | | i32 i32 -> i32 | i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
79 | mvp | | i64 -> i64 | i64.clz i64.ctz i64.popcnt
7c | mvp | | i64 i64 -> i64 | i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u
83 | mvp | | i64 i64 -> i64 | i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
8b | mvp | | f32 -> f32 | f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt
92 | mvp | | f32 f32 -> f32 | f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign
99 | mvp | | f64 -> f64 | f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt
a0 | mvp | | f64 f64 -> f64 | f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign
a7 | mvp | | i64 -> i32 | i32.wrap_i64
a8 | mvp | | f32 -> i32 | i32.trunc_f32_s i32.trunc_f32_u
aa | mvp | | f64 -> i32 | i32.trunc_f64_s i32.trunc_f64_u
ac | mvp | | i32 -> i64 | i64.extend_i32_s i64.extend_i32_u
ae | mvp | | f32 -> i64 | i64.trunc_f32_s i64.trunc_f32_u
b0 | mvp | | f64 -> i64 | i64.trunc_f64_s i64.trunc_f64_u
b2 | mvp | | i32 -> f32 | f32.convert_i32_s f32.convert_i32_u
b4 | mvp | | i64 -> f32 | f32.convert_i64_s f32.convert_i64_u
b6 | mvp | | f64 -> f32 | f32.demote_f64
b7 | mvp | | i32 -> f64 | f64.convert_i32_s f64.convert_i32_u
b9 | mvp | | i64 -> f64 | f64.convert_i64_s f64.convert_i64_u
bb | mvp | | f32 -> f64 | f64.promote_f32
bc | mvp | | f32 -> i32 | i32.reinterpret_f32
bd | mvp | | f64 -> i64 | i64.reinterpret_f64
be | mvp | | i32 -> f32 | f32.reinterpret_i32
bf | mvp | | i64 -> f64 | f64.reinterpret_i64
c0 | sign-extension | | i32 -> i32 | i32.extend8_s i32.extend16_s
c2 | sign-extension | | i64 -> i64 | i64.extend8_s i64.extend16_s i64.extend32_s
d0 | reference-types | heap | * | ref.null
d1 | reference-types | | * | ref.is_null
d2 | reference-types | function | -> funcref | ref.func
fc00 | saturating-conversion | | f32 -> i32 | i32.trunc_sat_f32_s i32.trunc_sat_f32_u
fc02 | saturating-conversion | | f64 -> i32 | i32.trunc_sat_f64_s i32.trunc_sat_f64_u
fc04 | saturating-conversion | | f32 -> i64 | i64.trunc_sat_f32_s i64.trunc_sat_f32_u
fc06 | saturating-conversion | | f64 -> i64 | i64.trunc_sat_f64_s i64.trunc_sat_f64_u
fc08 | bulk-memory | data memory | i32 i32 i32 -> | memory.init
fc09 | bulk-memory | data | -> | data.drop
fc0a | bulk-memory | memory memory | i32 i32 i32 -> | memory.copy
fc0b | bulk-memory | memory | i32 i32 i32 -> | memory.fill
fc0c | bulk-memory | element table | i32 i32 i32 -> | table.init
fc0d | bulk-memory | element | -> | elem.drop
fc0e | bulk-memory | table table | i32 i32 i32 -> | table.copy
fc0f | reference-types | table | * | table.grow
fc10 | reference-types | table | -> i32 | table.size
fc11 | reference-types | table | * | table.fill
"""

# First code | last code | proposal whose instructions lie there.
_REFUSED_ROWS: Final = """
06 0a exceptions
12 13 tail-calls
14 14 function-references
15 15 tail-calls
18 19 exceptions
1f 1f exceptions
d3 d3 gc
d4 d6 function-references
e0 e6 stack-switching
fb fb gc
fc12 fc12 memory-control
fc13 fc16 wide-arithmetic
fe fe threads
"""


def _rows() -> Iterator[Opcode]:
    for line in (CORE_ROWS + SIMD_ROWS).strip().splitlines():
        first, proposal, immediates, types, names = (part.strip() for part in line.split("|"))
        kinds = [kind.partition(":") for kind in immediates.split()]
        alignments = [int(exponent) for _, _, exponent in kinds if exponent]
        signature = None
        if types != "*":
            parameters, _, results = types.partition("->")
            signature = Signature(tuple(parameters.split()), tuple(results.split()))  # type: ignore[arg-type]
        for code, name in enumerate(names.split(), int(first, 16)):
            yield Opcode(
                code,
                name,
                tuple(kind for kind, _, _ in kinds),  # type: ignore[misc]
                signature,
                proposal,
                alignments[0] if alignments else None,
            )


def _refused() -> Iterator[tuple[int, str]]:
    for line in _REFUSED_ROWS.split("\n"):
        if line:
            first, last, proposal = line.split()
            for code in range(int(first, 16), int(last, 16) + 1):
                yield code, proposal


OPCODES: Final[Mapping[int, Opcode]] = MappingProxyType({row.code: row for row in _rows()})
"""Code -> instruction, in ascending order of code."""

BY_NAME: Final[Mapping[str, Opcode]] = MappingProxyType({r.name: r for r in OPCODES.values()})
"""Name of the text format -> instruction (`select_t` is `select` with a type)."""

REFUSED: Final[Mapping[int, str]] = MappingProxyType(dict(_refused()))
"""Code, or prefix byte, -> proposal outside the admitted ones that owns it."""

PROPOSALS: Final = (
    "mutable-global",
    "sign-extension",
    "saturating-conversion",
    "bulk-memory",
    "multi-value",
    "reference-types",
    "simd",
)
"""What is admitted beyond the MVP, in the order of the worker protocol."""
