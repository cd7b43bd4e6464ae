"""
binary32 and binary64 arithmetic in integers alone: the reference that no FPU can bend.

Sources: IEEE 754-2019, and the WebAssembly Core Specification, chapter "Numerics", section
"Floating-Point Operations". Rounding is to nearest, ties to even; nothing is flushed to zero; NaN
results follow the specification's propagation rule. A float is the unsigned integer of its bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from conformance.wasm.numerics.integers import OVERFLOW, wrapped
from conformance.wasm.numerics.results import AnyNan, Exact, Result, Trap

INVALID_CONVERSION = Trap("invalid conversion to integer")
CANONICAL = AnyNan("canonical")
ARITHMETIC = AnyNan("arithmetic")


@dataclass(frozen=True, slots=True)
class Format:
    """
    A binary interchange format: *width* bits, of which *fraction* are the trailing significand.
    """

    width: int
    fraction: int

    sign: int
    """Mask of the sign bit."""
    infinity: int
    """Bits of +inf; greater magnitudes are NaNs."""
    canonical: int
    """Bits of the positive canonical NaN."""
    least: int
    """Exponent of the least subnormal: it is 2^least."""


def _binary(width: int, fraction: int) -> Format:
    bias = (1 << (width - fraction - 2)) - 1
    infinity = ((1 << (width - fraction - 1)) - 1) << fraction
    return Format(
        width=width,
        fraction=fraction,
        sign=1 << (width - 1),
        infinity=infinity,
        canonical=infinity | 1 << (fraction - 1),
        least=1 - bias - fraction,
    )


F32 = _binary(32, 23)
F64 = _binary(64, 52)


def magnitude(form: Format, bits: int) -> int:
    """
    Clear the sign bit.
    """
    return bits & ~form.sign


def is_nan(form: Format, bits: int) -> bool:
    """
    Whether the bits are a NaN, quiet or signalling.
    """
    return magnitude(form, bits) > form.infinity


def propagated(form: Format, *operands: int) -> AnyNan:
    """
    Class of the NaN that an operator gives for these operands.

    Canonical when every NaN among them is canonical, or none is there; arithmetic otherwise
    (section "NaN Propagation").
    """
    for bits in operands:
        if is_nan(form, bits) and magnitude(form, bits) != form.canonical:
            return ARITHMETIC
    return CANONICAL


def unpacked(form: Format, bits: int) -> tuple[int, int, int]:
    """
    Sign s, significand m >= 0 and exponent e of a finite number: (-1)^s * m * 2^e.
    """
    field = magnitude(form, bits) >> form.fraction
    trailing = bits & ((1 << form.fraction) - 1)
    sign = bits >> (form.width - 1)
    if field == 0:
        return sign, trailing, form.least
    return sign, trailing | 1 << form.fraction, form.least + field - 1


def rounded(form: Format, sign: int, significand: int, exponent: int, *, more: bool = False) -> int:
    """
    Bits of the float nearest to (-1)^sign * significand * 2^exponent, ties to even.

    *more*: the true magnitude is greater by less than one unit of the significand, which must then
    have at least two bits more than the format's precision. Zero keeps the sign; what is beyond
    the greatest finite number by half a unit or more is infinite.
    """
    precision = form.fraction + 1
    unit = max(significand.bit_length() + exponent - precision, form.least)
    drop = unit - exponent
    if drop <= 0:
        kept = significand << -drop
    else:
        kept = significand >> drop
        rest = significand - (kept << drop)
        half = 1 << (drop - 1)
        if rest > half or (rest == half and (more or kept & 1)):
            kept += 1
    # The implicit one of *kept* adds itself to the exponent field, and so does a carry into it.
    bits = ((unit - form.least) << form.fraction) + kept if kept else 0
    return (form.sign if sign else 0) | min(bits, form.infinity)


def add(form: Format, left: int, right: int) -> Result:
    """
    Sum; an exact zero of operands of unlike signs is +0; inf + -inf is a NaN.
    """
    if is_nan(form, left) or is_nan(form, right):
        return propagated(form, left, right)
    infinite = [bits for bits in (left, right) if magnitude(form, bits) == form.infinity]
    if infinite:
        return Exact(infinite[0]) if len(set(infinite)) == 1 else CANONICAL
    (sign1, m1, e1), (sign2, m2, e2) = unpacked(form, left), unpacked(form, right)
    exponent = min(e1, e2)
    total = (-m1 if sign1 else m1) << (e1 - exponent)
    total += (-m2 if sign2 else m2) << (e2 - exponent)
    if total == 0:
        return Exact(form.sign if sign1 and sign2 else 0)
    return Exact(rounded(form, int(total < 0), abs(total), exponent))


def sub(form: Format, left: int, right: int) -> Result:
    """
    Difference: the sum with the negated right operand (a NaN's sign decides nothing here).
    """
    return add(form, left, right ^ form.sign)


def mul(form: Format, left: int, right: int) -> Result:
    """
    Product; 0 * inf is a NaN.
    """
    if is_nan(form, left) or is_nan(form, right):
        return propagated(form, left, right)
    sign = (left ^ right) & form.sign
    m1, m2 = magnitude(form, left), magnitude(form, right)
    if form.infinity in (m1, m2):
        return CANONICAL if 0 in (m1, m2) else Exact(sign | form.infinity)
    (_, m1, e1), (_, m2, e2) = unpacked(form, left), unpacked(form, right)
    return Exact(rounded(form, sign, m1 * m2, e1 + e2))


def div(form: Format, left: int, right: int) -> Result:
    """
    Quotient; 0 / 0 and inf / inf are NaNs, any other x / 0 is infinite.
    """
    if is_nan(form, left) or is_nan(form, right):
        return propagated(form, left, right)
    sign = (left ^ right) & form.sign
    m1, m2 = magnitude(form, left), magnitude(form, right)
    if (m1 == 0 and m2 == 0) or (m1 == form.infinity and m2 == form.infinity):
        return CANONICAL
    if m1 == form.infinity or m2 == 0:
        return Exact(sign | form.infinity)
    if m2 == form.infinity or m1 == 0:
        return Exact(sign)
    (_, m1, e1), (_, m2, e2) = unpacked(form, left), unpacked(form, right)
    scale = max(0, form.fraction + 3 + m2.bit_length() - m1.bit_length())
    quotient, rest = divmod(m1 << scale, m2)
    return Exact(rounded(form, sign, quotient, e1 - e2 - scale, more=rest != 0))


def sqrt(form: Format, value: int) -> Result:
    """
    Square root; -0 gives -0, every other negative number a NaN.
    """
    if is_nan(form, value):
        return propagated(form, value)
    if value in (0, form.sign, form.infinity):
        return Exact(value)
    if value & form.sign:
        return CANONICAL
    _, significand, exponent = unpacked(form, value)
    scale = 2 * (form.fraction + 3)
    scale += (exponent - scale) % 2
    root = isqrt(significand << scale)
    more = root * root != significand << scale
    return Exact(rounded(form, 0, root, (exponent - scale) // 2, more=more))


def _ordered(form: Format, bits: int) -> int:
    """
    Map to an integer that orders as the numbers do, with both zeros at 0. Not for NaNs.
    """
    return -magnitude(form, bits) if bits & form.sign else bits


def min_(form: Format, left: int, right: int) -> Result:
    """
    Pick the lesser operand, -0 being less than +0; a NaN if either is one.
    """
    if is_nan(form, left) or is_nan(form, right):
        return propagated(form, left, right)
    first, second = _ordered(form, left), _ordered(form, right)
    if first == second:
        return Exact(left | right)
    return Exact(left if first < second else right)


def max_(form: Format, left: int, right: int) -> Result:
    """
    Pick the greater operand, +0 being greater than -0; a NaN if either is one.
    """
    if is_nan(form, left) or is_nan(form, right):
        return propagated(form, left, right)
    first, second = _ordered(form, left), _ordered(form, right)
    if first == second:
        return Exact(left & right)
    return Exact(left if first > second else right)


def _integral(form: Format, bits: int, mode: str) -> Result:
    """
    Round to an integral number in the same format; a zero result has the operand's sign.
    """
    if is_nan(form, bits):
        return propagated(form, bits)
    sign, significand, exponent = unpacked(form, bits)
    if magnitude(form, bits) == form.infinity or exponent >= 0:
        return Exact(bits)
    whole = significand >> -exponent
    rest = significand - (whole << -exponent)
    half = 1 << (-exponent - 1)
    away = {
        "ceil": rest > 0 and not sign,
        "floor": rest > 0 and bool(sign),
        "trunc": False,
        "nearest": rest > half or (rest == half and whole & 1 == 1),
    }[mode]
    return Exact(rounded(form, sign, whole + away, 0))


def ceil(form: Format, value: int) -> Result:
    """
    Round toward +inf.
    """
    return _integral(form, value, "ceil")


def floor(form: Format, value: int) -> Result:
    """
    Round toward -inf.
    """
    return _integral(form, value, "floor")


def trunc(form: Format, value: int) -> Result:
    """
    Round toward zero.
    """
    return _integral(form, value, "trunc")


def nearest(form: Format, value: int) -> Result:
    """
    Round to the nearest integral number, ties to the even one.
    """
    return _integral(form, value, "nearest")


def abs_(form: Format, value: int) -> Result:
    """
    Clear the sign bit, of a NaN too.
    """
    return Exact(magnitude(form, value))


def neg(form: Format, value: int) -> Result:
    """
    Flip the sign bit, of a NaN too.
    """
    return Exact(value ^ form.sign)


def copysign(form: Format, left: int, right: int) -> Result:
    """
    Give the left operand the right one's sign bit, NaNs included.
    """
    return Exact(magnitude(form, left) | right & form.sign)


def compare(form: Format, left: int, right: int) -> int | None:
    """
    Negative, zero or positive as *left* is less, equal or greater; None when unordered.
    """
    if is_nan(form, left) or is_nan(form, right):
        return None
    return _ordered(form, left) - _ordered(form, right)


def eq(form: Format, left: int, right: int) -> Result:
    """
    1 if equal; 0 with a NaN.
    """
    return Exact(int(compare(form, left, right) == 0))


def ne(form: Format, left: int, right: int) -> Result:
    """
    1 if not equal; 1 with a NaN.
    """
    return Exact(int(compare(form, left, right) != 0))


def lt(form: Format, left: int, right: int) -> Result:
    """
    1 if less; 0 with a NaN.
    """
    order = compare(form, left, right)
    return Exact(int(order is not None and order < 0))


def gt(form: Format, left: int, right: int) -> Result:
    """
    1 if greater; 0 with a NaN.
    """
    order = compare(form, left, right)
    return Exact(int(order is not None and order > 0))


def le(form: Format, left: int, right: int) -> Result:
    """
    1 if less or equal; 0 with a NaN.
    """
    order = compare(form, left, right)
    return Exact(int(order is not None and order <= 0))


def ge(form: Format, left: int, right: int) -> Result:
    """
    1 if greater or equal; 0 with a NaN.
    """
    order = compare(form, left, right)
    return Exact(int(order is not None and order >= 0))


def change_format(source: Format, target: Format, value: int) -> Result:
    """
    Promote or demote; a NaN that is not canonical becomes any arithmetic NaN.
    """
    if is_nan(source, value):
        return propagated(source, value)
    sign = value >> (source.width - 1)
    if magnitude(source, value) == source.infinity:
        return Exact((target.sign if sign else 0) | target.infinity)
    return Exact(rounded(target, *unpacked(source, value)))


def from_integer(form: Format, number: int) -> Result:
    """
    Round an integer to the nearest float.
    """
    return Exact(rounded(form, int(number < 0), abs(number), 0))


def _toward_zero(form: Format, bits: int) -> int:
    """
    Integer part of a finite number.
    """
    sign, significand, exponent = unpacked(form, bits)
    whole = significand << exponent if exponent >= 0 else significand >> -exponent
    return -whole if sign else whole


def to_integer(form: Format, n: int, low: int, high: int, value: int) -> Result:
    """
    Integer part as n bits; traps for NaN, for infinities and outside low .. high.
    """
    if is_nan(form, value):
        return INVALID_CONVERSION
    if magnitude(form, value) == form.infinity:
        return OVERFLOW
    whole = _toward_zero(form, value)
    return wrapped(n, whole) if low <= whole <= high else OVERFLOW


def to_integer_sat(form: Format, n: int, low: int, high: int, value: int) -> Result:
    """
    Integer part as n bits, the nearer of *low* and *high* outside them; 0 for NaN.
    """
    if is_nan(form, value):
        return Exact(0)
    if magnitude(form, value) == form.infinity:
        return wrapped(n, low if value & form.sign else high)
    return wrapped(n, min(max(_toward_zero(form, value), low), high))
