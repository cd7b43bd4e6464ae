"""
The fixed 128-bit SIMD instructions: rows of the opcode table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_UNARY = "v128 -> v128"
_BINARY = "v128 v128 -> v128"
_SHIFT = "v128 i32 -> v128"
_TEST = "v128 -> i32"
_LOAD = "i32 -> v128"
_LOAD_LANE = "i32 v128 -> v128"
_STORE_LANE = "i32 v128 ->"

# Number | immediates | signature | names of consecutive numbers; `_` stands for a hole.
_TABLE: Final = (
    (0x00, "memarg:4", _LOAD, "v128.load"),
    (0x01, "memarg:3", _LOAD, "v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u"),
    (0x05, "memarg:3", _LOAD, "v128.load32x2_s v128.load32x2_u"),
    (0x07, "memarg:0", _LOAD, "v128.load8_splat"),
    (0x08, "memarg:1", _LOAD, "v128.load16_splat"),
    (0x09, "memarg:2", _LOAD, "v128.load32_splat"),
    (0x0A, "memarg:3", _LOAD, "v128.load64_splat"),
    (0x0B, "memarg:4", "i32 v128 ->", "v128.store"),
    (0x0C, "v128", "-> v128", "v128.const"),
    (0x0D, "lanes", _BINARY, "i8x16.shuffle"),
    (0x0E, "", _BINARY, "i8x16.swizzle"),
    (0x0F, "", "i32 -> v128", "i8x16.splat i16x8.splat i32x4.splat"),
    (0x12, "", "i64 -> v128", "i64x2.splat"),
    (0x13, "", "f32 -> v128", "f32x4.splat"),
    (0x14, "", "f64 -> v128", "f64x2.splat"),
    (0x15, "lane", "v128 -> i32", "i8x16.extract_lane_s i8x16.extract_lane_u"),
    (0x17, "lane", "v128 i32 -> v128", "i8x16.replace_lane"),
    (0x18, "lane", "v128 -> i32", "i16x8.extract_lane_s i16x8.extract_lane_u"),
    (0x1A, "lane", "v128 i32 -> v128", "i16x8.replace_lane"),
    (0x1B, "lane", "v128 -> i32", "i32x4.extract_lane"),
    (0x1C, "lane", "v128 i32 -> v128", "i32x4.replace_lane"),
    (0x1D, "lane", "v128 -> i64", "i64x2.extract_lane"),
    (0x1E, "lane", "v128 i64 -> v128", "i64x2.replace_lane"),
    (0x1F, "lane", "v128 -> f32", "f32x4.extract_lane"),
    (0x20, "lane", "v128 f32 -> v128", "f32x4.replace_lane"),
    (0x21, "lane", "v128 -> f64", "f64x2.extract_lane"),
    (0x22, "lane", "v128 f64 -> v128", "f64x2.replace_lane"),
    (0x23, "", _BINARY, "i8x16: eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (0x2D, "", _BINARY, "i16x8: eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (0x37, "", _BINARY, "i32x4: eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (0x41, "", _BINARY, "f32x4: eq ne lt gt le ge"),
    (0x47, "", _BINARY, "f64x2: eq ne lt gt le ge"),
    (0x4D, "", _UNARY, "v128.not"),
    (0x4E, "", _BINARY, "v128: and andnot or xor"),
    (0x52, "", "v128 v128 v128 -> v128", "v128.bitselect"),
    (0x53, "", _TEST, "v128.any_true"),
    (0x54, "memarg:0 lane", _LOAD_LANE, "v128.load8_lane"),
    (0x55, "memarg:1 lane", _LOAD_LANE, "v128.load16_lane"),
    (0x56, "memarg:2 lane", _LOAD_LANE, "v128.load32_lane"),
    (0x57, "memarg:3 lane", _LOAD_LANE, "v128.load64_lane"),
    (0x58, "memarg:0 lane", _STORE_LANE, "v128.store8_lane"),
    (0x59, "memarg:1 lane", _STORE_LANE, "v128.store16_lane"),
    (0x5A, "memarg:2 lane", _STORE_LANE, "v128.store32_lane"),
    (0x5B, "memarg:3 lane", _STORE_LANE, "v128.store64_lane"),
    (0x5C, "memarg:2", _LOAD, "v128.load32_zero"),
    (0x5D, "memarg:3", _LOAD, "v128.load64_zero"),
    (0x5E, "", _UNARY, "f32x4.demote_f64x2_zero f64x2.promote_low_f32x4"),
    (0x60, "", _UNARY, "i8x16: abs neg popcnt"),
    (0x63, "", _TEST, "i8x16: all_true bitmask"),
    (0x65, "", _BINARY, "i8x16: narrow_i16x8_s narrow_i16x8_u"),
    (0x67, "", _UNARY, "f32x4: ceil floor trunc nearest"),
    (0x6B, "", _SHIFT, "i8x16: shl shr_s shr_u"),
    (0x6E, "", _BINARY, "i8x16: add add_sat_s add_sat_u sub sub_sat_s sub_sat_u"),
    (0x74, "", _UNARY, "f64x2: ceil floor"),
    (0x76, "", _BINARY, "i8x16: min_s min_u max_s max_u"),
    (0x7A, "", _UNARY, "f64x2.trunc"),
    (0x7B, "", _BINARY, "i8x16.avgr_u"),
    (0x7C, "", _UNARY, "i16x8: extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u"),
    (0x7E, "", _UNARY, "i32x4: extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u"),
    (0x80, "", _UNARY, "i16x8: abs neg"),
    (0x82, "", _BINARY, "i16x8.q15mulr_sat_s"),
    (0x83, "", _TEST, "i16x8: all_true bitmask"),
    (0x85, "", _BINARY, "i16x8: narrow_i32x4_s narrow_i32x4_u"),
    (0x87, "", _UNARY, "i16x8: extend_low_i8x16_s extend_high_i8x16_s"),
    (0x89, "", _UNARY, "i16x8: extend_low_i8x16_u extend_high_i8x16_u"),
    (0x8B, "", _SHIFT, "i16x8: shl shr_s shr_u"),
    (0x8E, "", _BINARY, "i16x8: add add_sat_s add_sat_u sub sub_sat_s sub_sat_u"),
    (0x94, "", _UNARY, "f64x2.nearest"),
    (0x95, "", _BINARY, "i16x8: mul min_s min_u max_s max_u _ avgr_u"),
    (0x9C, "", _BINARY, "i16x8: extmul_low_i8x16_s extmul_high_i8x16_s"),
    (0x9E, "", _BINARY, "i16x8: extmul_low_i8x16_u extmul_high_i8x16_u"),
    (0xA0, "", _UNARY, "i32x4: abs neg"),
    (0xA3, "", _TEST, "i32x4: all_true bitmask"),
    (0xA7, "", _UNARY, "i32x4: extend_low_i16x8_s extend_high_i16x8_s"),
    (0xA9, "", _UNARY, "i32x4: extend_low_i16x8_u extend_high_i16x8_u"),
    (0xAB, "", _SHIFT, "i32x4: shl shr_s shr_u"),
    (0xAE, "", _BINARY, "i32x4: add _ _ sub _ _ _ mul min_s min_u max_s max_u dot_i16x8_s"),
    (0xBC, "", _BINARY, "i32x4: extmul_low_i16x8_s extmul_high_i16x8_s"),
    (0xBE, "", _BINARY, "i32x4: extmul_low_i16x8_u extmul_high_i16x8_u"),
    (0xC0, "", _UNARY, "i64x2: abs neg"),
    (0xC3, "", _TEST, "i64x2: all_true bitmask"),
    (0xC7, "", _UNARY, "i64x2: extend_low_i32x4_s extend_high_i32x4_s"),
    (0xC9, "", _UNARY, "i64x2: extend_low_i32x4_u extend_high_i32x4_u"),
    (0xCB, "", _SHIFT, "i64x2: shl shr_s shr_u"),
    (0xCE, "", _BINARY, "i64x2: add _ _ sub _ _ _ mul eq ne lt_s gt_s le_s ge_s"),
    (0xDC, "", _BINARY, "i64x2: extmul_low_i32x4_s extmul_high_i32x4_s"),
    (0xDE, "", _BINARY, "i64x2: extmul_low_i32x4_u extmul_high_i32x4_u"),
    (0xE0, "", _UNARY, "f32x4: abs neg _ sqrt"),
    (0xE4, "", _BINARY, "f32x4: add sub mul div min max pmin pmax"),
    (0xEC, "", _UNARY, "f64x2: abs neg _ sqrt"),
    (0xF0, "", _BINARY, "f64x2: add sub mul div min max pmin pmax"),
    (0xF8, "", _UNARY, "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u"),
    (0xFA, "", _UNARY, "f32x4.convert_i32x4_s f32x4.convert_i32x4_u"),
    (0xFC, "", _UNARY, "i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero"),
    (0xFE, "", _UNARY, "f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u"),
)


def _rows() -> Iterator[str]:
    for first, immediates, signature, names in _TABLE:
        shape, _, operations = names.rpartition(": ")
        for number, operation in enumerate(operations.split(), first):
            if operation != "_":
                name = f"{shape}.{operation}" if shape else operation
                yield f"fd{number:02x} | simd | {immediates} | {signature} | {name}"


SIMD_ROWS: Final = "\n".join(_rows())
"""Rows in the form of `opcodes.CORE_ROWS`, one instruction each."""
