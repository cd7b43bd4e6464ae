"""
The operands that the operator module is swept with: where implementations are known to slip.

Per number type, as hexadecimal bits; binary operators meet every pair.
"""

from __future__ import annotations

from typing import Final

I32: Final = (
    "00000000",
    "00000001",
    "00000002",
    "0000001f",  # greatest shift count
    "00000020",  # shift count that is taken modulo the width
    "00000080",  # sign bit of extend8_s
    "00008000",  # sign bit of extend16_s
    "01000001",  # 2^24 + 1: tie in binary32, rounds down to even
    "01000003",  # 2^24 + 3: tie in binary32, rounds up to even
    "7fffffff",
    "80000000",  # least; divided by -1 it overflows
    "80000001",
    "fffffffb",  # -5: signs of quotient and remainder
    "ffffffff",  # -1
)

I64: Final = (
    "0000000000000000",
    "0000000000000001",
    "0000000000000002",
    "000000000000003f",  # greatest shift count
    "0000000000000040",  # shift count that is taken modulo the width
    "0000000000000080",  # sign bit of extend8_s
    "0000000000008000",  # sign bit of extend16_s
    "0000000080000000",  # 2^31: sign bit of extend32_s
    "00000000ffffffff",  # 2^32 - 1
    "0000000100000000",  # 2^32
    "0020000000000001",  # 2^53 + 1: tie in binary64, rounds down to even
    "0020000000000003",  # 2^53 + 3: tie in binary64, rounds up to even
    "0040000040000001",  # just above a tie in binary32; wrong when rounded by way of binary64
    "7ffffffffffffe00",  # 2^63 - 512: tie in binary64, rounds up to 2^63
    "7fffffffffffffff",
    "8000000000000000",  # least; divided by -1 it overflows
    "8000000000000001",
    "fffffffffffffffb",  # -5: signs of quotient and remainder
    "ffffffffffffffff",  # -1
)

F32: Final = (
    "00000000",  # +0
    "80000000",  # -0
    "00000001",  # least subnormal
    "807fffff",  # greatest subnormal, negative
    "00800000",  # least normal
    "3effffff",  # just below 0.5: floor(x + 0.5) gives 1
    "bf000000",  # -0.5: tie, rounds to -0
    "3f800000",  # 1
    "bf800001",  # just below -1: unsigned conversion traps
    "3fc00000",  # 1.5: tie, rounds to 2
    "40200000",  # 2.5: tie, rounds to 2
    "4b000001",  # 2^23 + 1: floor(x + 0.5) gives 2^23 + 2
    "4f000000",  # 2^31
    "cf000000",  # -2^31: least i32
    "4f800000",  # 2^32
    "5f000000",  # 2^63
    "5f7fffff",  # just below 2^64
    "5f800000",  # 2^64
    "ff7fffff",  # least finite: below every signed integer
    "7f800000",  # +inf
    "ff800000",  # -inf
    "7fc00000",  # canonical NaN
    "ffc00001",  # quiet NaN with payload, negative
    "7f800001",  # signalling NaN, least payload
    "ffa00000",  # signalling NaN, negative
)

F64: Final = (
    "0000000000000000",  # +0
    "8000000000000000",  # -0
    "0000000000000001",  # least subnormal
    "800fffffffffffff",  # greatest subnormal, negative
    "0010000000000000",  # least normal
    "3fdfffffffffffff",  # just below 0.5: floor(x + 0.5) gives 1
    "3fe0000000000000",  # 0.5: tie, rounds to 0
    "bfe0000000000000",  # -0.5: tie, rounds to -0
    "3ff0000000000000",  # 1
    "3ff0000000000001",  # one ulp above 1
    "bff0000000000000",  # -1: greatest whose unsigned conversion traps
    "3ff8000000000000",  # 1.5: tie, rounds to 2
    "c004000000000000",  # -2.5: tie, rounds to -2
    "3690000000000000",  # 2^-150: demotes to a tie between 0 and the least subnormal
    "3ff0000010000000",  # 1 + 2^-24: demotes to a tie, rounds down to even
    "47efffffefffffff",  # demotes to the greatest finite binary32
    "47effffff0000000",  # demotes to the tie that rounds to infinity
    "41dfffffffc00000",  # 2^31 - 1
    "41e0000000000000",  # 2^31
    "c1e00000001ccccd",  # -2^31 - 0.9: truncates to the least i32
    "c1e0000000200000",  # -2^31 - 1
    "41efffffffe00000",  # 2^32 - 1
    "41f0000000000000",  # 2^32
    "4330000000000001",  # 2^52 + 1: floor(x + 0.5) gives 2^52 + 2
    "43e0000000000000",  # 2^63
    "c3e0000000000000",  # -2^63: least i64
    "43efffffffffffff",  # just below 2^64
    "43f0000000000000",  # 2^64
    "ffefffffffffffff",  # least finite: below every signed integer
    "7ff0000000000000",  # +inf
    "fff0000000000000",  # -inf
    "7ff8000000000000",  # canonical NaN
    "fff8000000000001",  # quiet NaN with payload, negative
    "7ff0000000000001",  # signalling NaN, least payload
    "fff4000000000000",  # signalling NaN, negative
)

EDGES: Final[dict[str, tuple[str, ...]]] = {"i32": I32, "i64": I64, "f32": F32, "f64": F64}
"""Number type -> its edge values, in the order that `expected.json` counts in."""
