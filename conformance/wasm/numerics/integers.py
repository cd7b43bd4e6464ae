"""
The integer operators of WebAssembly, on unsigned integers of n bits.

Source: WebAssembly Core Specification, chapter "Numerics", section "Integer Operations"; the
names follow it without the leading i. Every operand lies in 0 .. 2^n - 1.
"""

from __future__ import annotations

from conformance.wasm.numerics.results import Exact, Result, Trap

DIVIDE_BY_ZERO = Trap("integer divide by zero")
OVERFLOW = Trap("integer overflow")


def signed(n: int, value: int) -> int:
    """
    Read n bits as a two's complement number.
    """
    return value - (1 << n) if value >> (n - 1) else value


def wrapped(n: int, value: int) -> Exact:
    """
    Keep the n low bits of any integer.
    """
    return Exact(value & ((1 << n) - 1))


def add(n: int, left: int, right: int) -> Result:
    """
    Sum modulo 2^n.
    """
    return wrapped(n, left + right)


def sub(n: int, left: int, right: int) -> Result:
    """
    Difference modulo 2^n.
    """
    return wrapped(n, left - right)


def mul(n: int, left: int, right: int) -> Result:
    """
    Product modulo 2^n.
    """
    return wrapped(n, left * right)


def div_u(n: int, left: int, right: int) -> Result:
    """
    Quotient rounded toward zero; traps for a divisor of 0.
    """
    return wrapped(n, left // right) if right else DIVIDE_BY_ZERO


def rem_u(n: int, left: int, right: int) -> Result:
    """
    Remainder of `div_u`; traps for a divisor of 0.
    """
    return wrapped(n, left % right) if right else DIVIDE_BY_ZERO


def div_s(n: int, left: int, right: int) -> Result:
    """
    Signed quotient rounded toward zero; traps for a divisor of 0 and where it would be 2^(n-1).
    """
    dividend, divisor = signed(n, left), signed(n, right)
    if divisor == 0:
        return DIVIDE_BY_ZERO
    quotient = abs(dividend) // abs(divisor)
    if (dividend < 0) != (divisor < 0):
        quotient = -quotient
    return OVERFLOW if quotient == 1 << (n - 1) else wrapped(n, quotient)


def rem_s(n: int, left: int, right: int) -> Result:
    """
    Signed remainder with the dividend's sign; traps for a divisor of 0 alone.
    """
    dividend, divisor = signed(n, left), signed(n, right)
    if divisor == 0:
        return DIVIDE_BY_ZERO
    remainder = abs(dividend) % abs(divisor)
    return wrapped(n, -remainder if dividend < 0 else remainder)


def and_(n: int, left: int, right: int) -> Result:
    """
    Bitwise conjunction.
    """
    return wrapped(n, left & right)


def or_(n: int, left: int, right: int) -> Result:
    """
    Bitwise disjunction.
    """
    return wrapped(n, left | right)


def xor(n: int, left: int, right: int) -> Result:
    """
    Bitwise exclusive disjunction.
    """
    return wrapped(n, left ^ right)


def shl(n: int, left: int, right: int) -> Result:
    """
    Shift left by *right* modulo n.
    """
    return wrapped(n, left << right % n)


def shr_u(n: int, left: int, right: int) -> Result:
    """
    Shift right by *right* modulo n, filled with 0.
    """
    return wrapped(n, left >> right % n)


def shr_s(n: int, left: int, right: int) -> Result:
    """
    Shift right by *right* modulo n, filled with the sign.
    """
    return wrapped(n, signed(n, left) >> right % n)


def rotl(n: int, left: int, right: int) -> Result:
    """
    Rotate left by *right* modulo n.
    """
    count = right % n
    return wrapped(n, left << count | left >> (n - count))


def rotr(n: int, left: int, right: int) -> Result:
    """
    Rotate right by *right* modulo n.
    """
    count = right % n
    return wrapped(n, left >> count | left << (n - count))


def clz(n: int, value: int) -> Result:
    """
    Count leading zero bits; n for 0.
    """
    return Exact(n - value.bit_length())


def ctz(n: int, value: int) -> Result:
    """
    Count trailing zero bits; n for 0.
    """
    return Exact((value & -value).bit_length() - 1 if value else n)


def popcnt(n: int, value: int) -> Result:
    """
    Count one bits.
    """
    return wrapped(n, value.bit_count())


def extend_low_s(n: int, low: int, value: int) -> Result:
    """
    Sign-extend the *low* low bits to n bits: `extend8_s`, `extend16_s`, `extend32_s`, and more.
    """
    return wrapped(n, signed(low, value & ((1 << low) - 1)))


def eqz(_n: int, value: int) -> Result:
    """
    1 for 0, else 0.
    """
    return Exact(int(value == 0))


def eq(_n: int, left: int, right: int) -> Result:
    """
    1 if equal, else 0.
    """
    return Exact(int(left == right))


def ne(_n: int, left: int, right: int) -> Result:
    """
    1 if not equal, else 0.
    """
    return Exact(int(left != right))


def lt_u(_n: int, left: int, right: int) -> Result:
    """
    1 if less, unsigned.
    """
    return Exact(int(left < right))


def gt_u(_n: int, left: int, right: int) -> Result:
    """
    1 if greater, unsigned.
    """
    return Exact(int(left > right))


def le_u(_n: int, left: int, right: int) -> Result:
    """
    1 if less or equal, unsigned.
    """
    return Exact(int(left <= right))


def ge_u(_n: int, left: int, right: int) -> Result:
    """
    1 if greater or equal, unsigned.
    """
    return Exact(int(left >= right))


def lt_s(n: int, left: int, right: int) -> Result:
    """
    1 if less, signed.
    """
    return Exact(int(signed(n, left) < signed(n, right)))


def gt_s(n: int, left: int, right: int) -> Result:
    """
    1 if greater, signed.
    """
    return Exact(int(signed(n, left) > signed(n, right)))


def le_s(n: int, left: int, right: int) -> Result:
    """
    1 if less or equal, signed.
    """
    return Exact(int(signed(n, left) <= signed(n, right)))


def ge_s(n: int, left: int, right: int) -> Result:
    """
    1 if greater or equal, signed.
    """
    return Exact(int(signed(n, left) >= signed(n, right)))
