"""
Integer operators of one operand, against the digits of the number.
"""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wasm.numerics.results import Exact
from conformance.wasm.numerics.scalar import WIDTH_BITS, apply

EXAMPLES = settings(derandomize=True, deadline=None, database=None, max_examples=300)

WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31, 2**31 - 1, 2**32 - 1]))
LONGS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**63 - 1, 2**64 - 1]))


@EXAMPLES
@given(st.sampled_from(["i32", "i64"]), LONGS)
def test_bit_counts_are_those_of_the_digits(kind: str, value: int) -> None:
    n = WIDTH_BITS[kind]
    value %= 2**n
    digits = f"{value:0{n}b}"
    assert apply(f"{kind}.clz", (value,)) == Exact(len(digits) - len(digits.lstrip("0")))
    assert apply(f"{kind}.ctz", (value,)) == Exact(len(digits) - len(digits.rstrip("0")))
    assert apply(f"{kind}.popcnt", (value,)) == Exact(digits.count("1"))
    assert apply(f"{kind}.eqz", (value,)) == Exact(int("1" not in digits))


@EXAMPLES
@given(st.sampled_from([("i32", 8), ("i32", 16), ("i64", 8), ("i64", 16), ("i64", 32)]), LONGS)
def test_sign_extension_copies_the_sign_bit(which: tuple[str, int], value: int) -> None:
    kind, low = which
    n = WIDTH_BITS[kind]
    value %= 2**n
    digits = f"{value:0{n}b}"[-low:]
    assert apply(f"{kind}.extend{low}_s", (value,)) == Exact(int(digits[0] * (n - low) + digits, 2))


@EXAMPLES
@given(WORDS, LONGS)
def test_width_changes_and_reinterpretation(word: int, long: int) -> None:
    unsigned = word.to_bytes(4, "little") + bytes(4)
    number = struct.unpack("<i", word.to_bytes(4, "little"))[0]
    assert apply("i64.extend_i32_u", (word,)) == Exact(int.from_bytes(unsigned, "little"))
    assert apply("i64.extend_i32_s", (word,)) == Exact(
        int.from_bytes(struct.pack("<q", number), "little")
    )
    low = long.to_bytes(8, "little")[:4]
    assert apply("i32.wrap_i64", (long,)) == Exact(int.from_bytes(low, "little"))
    for name in ("i32.reinterpret_f32", "f32.reinterpret_i32"):
        assert apply(name, (word,)) == Exact(word)
    for name in ("i64.reinterpret_f64", "f64.reinterpret_i64"):
        assert apply(name, (long,)) == Exact(long)
