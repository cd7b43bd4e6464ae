"""
Scalar operators against z3's theories of floating-point numbers and of bit-vectors.
"""

from __future__ import annotations

import random

import pytest
import z3

from conformance.wasm.numerics.results import AnyNan, Exact, Trap
from conformance.wasm.numerics.scalar import WIDTH_BITS, apply
from vectors.build.operators_edges import EDGES


def _z3_value(term: z3.ExprRef) -> int | None:
    """
    Bits of a constant term; None for a NaN.
    """
    term = z3.simplify(term)
    if z3.is_fp(term):
        if z3.is_true(z3.simplify(z3.fpIsNaN(term))):
            return None
        term = z3.simplify(z3.fpToIEEEBV(term))
    assert z3.is_bv_value(term)
    bits: int = term.as_long()
    return bits


def _z3_float_cases(kind: str) -> dict[str, tuple[int, z3.ExprRef]]:
    """
    Operator -> number of operands and its term over the free bit-vectors a and b.
    """
    width = WIDTH_BITS[kind]
    sort = z3.Float32() if kind == "f32" else z3.Float64()
    a, b = (z3.fpBVToFP(z3.BitVec(name, width), sort) for name in "ab")
    even = z3.RNE()
    return {
        "add": (2, z3.fpAdd(even, a, b)),
        "sub": (2, z3.fpSub(even, a, b)),
        "mul": (2, z3.fpMul(even, a, b)),
        "div": (2, z3.fpDiv(even, a, b)),
        "sqrt": (1, z3.fpSqrt(even, a)),
        "ceil": (1, z3.fpRoundToIntegral(z3.RTP(), a)),
        "floor": (1, z3.fpRoundToIntegral(z3.RTN(), a)),
        "trunc": (1, z3.fpRoundToIntegral(z3.RTZ(), a)),
        "nearest": (1, z3.fpRoundToIntegral(even, a)),
    }


def _seeded_floats(kind: str, seed: int) -> list[int]:
    """
    List the edge values that the operator module is swept with, and as many random patterns.
    """
    generator = random.Random(seed)  # noqa: S311 - a test's own seeded stream
    edges = [int(bits, 16) for bits in EDGES[kind]]
    return edges + [generator.getrandbits(WIDTH_BITS[kind]) for _ in edges]


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_float_operators_are_z3s(kind: str) -> None:
    width = WIDTH_BITS[kind]
    variables = [z3.BitVec(name, width) for name in "ab"]
    values = _seeded_floats(kind, seed=2026)
    partners = random.Random(7).sample(values, len(values))  # noqa: S311 - a test's own stream
    for name, (count, term) in _z3_float_cases(kind).items():
        for operands in zip(values, partners, strict=True):
            pairs = [
                (variable, z3.BitVecVal(bits, width))
                for variable, bits in zip(variables, operands, strict=True)
            ]
            bits = _z3_value(z3.substitute(term, *pairs))
            result = apply(f"{kind}.{name}", operands[:count])
            expected = isinstance(result, AnyNan) if bits is None else result == Exact(bits)
            assert expected, (name, operands, bits, result)


def _z3_integer_cases(a: z3.BitVecRef, b: z3.BitVecRef, n: int) -> dict[str, z3.ExprRef]:
    one, zero = z3.BitVecVal(1, 32), z3.BitVecVal(0, 32)
    count = z3.URem(b, z3.BitVecVal(n, n))
    truths = {
        "eq": a == b, "ne": a != b, "lt_s": a < b, "gt_s": a > b, "le_s": a <= b, "ge_s": a >= b,
        "lt_u": z3.ULT(a, b), "gt_u": z3.UGT(a, b), "le_u": z3.ULE(a, b), "ge_u": z3.UGE(a, b),
    }  # fmt: skip
    return {
        "add": a + b, "sub": a - b, "mul": a * b, "div_s": a / b, "div_u": z3.UDiv(a, b),
        "rem_s": z3.SRem(a, b), "rem_u": z3.URem(a, b), "and": a & b, "or": a | b, "xor": a ^ b,
        "shl": a << count, "shr_s": a >> count, "shr_u": z3.LShR(a, count),
        "rotl": z3.RotateLeft(a, b), "rotr": z3.RotateRight(a, b),
        **{name: z3.If(truth, one, zero) for name, truth in truths.items()},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["i32", "i64"])
def test_integer_operators_are_z3s(kind: str) -> None:
    n = WIDTH_BITS[kind]
    least = 1 << (n - 1)
    generator = random.Random(n)  # noqa: S311 - a test's own seeded stream
    edges = [
        0,
        1,
        2,
        5,
        n - 1,
        n,
        n + 1,
        0x80,
        0x8000,
        least - 1,
        least,
        least + 1,
        2**n - 5,
        2**n - 1,
    ]
    pairs = [(a, b) for a in edges for b in edges]
    pairs += [(generator.getrandbits(n), generator.getrandbits(n)) for _ in range(20)]
    for a, b in pairs:
        terms = _z3_integer_cases(z3.BitVecVal(a, n), z3.BitVecVal(b, n), n)
        for name, term in terms.items():
            result = apply(f"{kind}.{name}", (a, b))
            if b == 0 and name[:3] in {"div", "rem"}:
                assert result == Trap("integer divide by zero")
            elif name == "div_s" and (a, b) == (least, 2**n - 1):
                assert result == Trap("integer overflow")
            else:
                assert result == Exact(_z3_value(term) or 0), (name, a, b)
