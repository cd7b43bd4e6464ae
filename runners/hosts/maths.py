"""
Host maths: functions that modules import instead of bringing their own.

Correctly rounded by MPFR, so that the plain world answers alike on every machine; another world
may be one ulp off, as libraries of mathematics are. Results that are exact are never moved.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import gmpy2  # type: ignore[import-untyped]

from runners.bits import ValueType
from runners.hosts.host import HostCall, HostStopError
from runners.hosts.world import World

_ONE: Final = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc",
    "exp", "exp10", "exp2", "expm1", "lgamma", "log", "log10", "log1p", "log2", "sin", "sinh",
    "sqrt", "tan", "tanh", "tgamma",
)  # fmt: skip
_TWO: Final = ("atan2", "fmod", "hypot", "pow")
_MPFR: Final = {"tgamma": "gamma"}
_EMSCRIPTEN_PREFIX: Final = "emscripten_math_"

_QUIET: Final[dict[str, int]] = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}
_INFINITY: Final[dict[str, int]] = {"f32": 0x7F800000, "f64": 0x7FF0000000000000}
_SIGN: Final[dict[str, int]] = {"f32": 1 << 31, "f64": 1 << 63}


def meant_function(name: str) -> str | None:
    """
    The function that an import such as `exp`, `expf` or `emscripten_math_exp` is; None: no such.
    """
    bare = name.removeprefix(_EMSCRIPTEN_PREFIX)
    for candidate in (bare, bare.removesuffix("f")):
        if candidate in _ONE or candidate in _TWO:
            return candidate
    return None


def answer_maths(call: HostCall, function: str, world: World) -> int:
    """
    Bits of the result of *function*; raises HostStopError for an import of another type.
    """
    count = 2 if function in _TWO else 1
    kind = call.results[0] if len(call.results) == 1 else "i32"
    if kind not in ("f32", "f64") or call.parameters != (kind,) * count:
        shown = f"({', '.join(call.parameters)}) -> ({', '.join(call.results)})"
        message = f"{function} is imported with the type {shown}, it takes {count} f64 or f32"
        raise HostStopError(message)
    bits, exact = rounded(function, kind, call.arguments)
    move = 0 if exact else world.ulps(function, call.arguments)
    return moved(bits, kind, move)


def rounded(function: str, kind: ValueType, arguments: tuple[int, ...]) -> tuple[int, bool]:
    """
    Bits of the correctly rounded result (ties to even, quiet NaN), and whether it is exact.
    """
    with _context(kind) as context:
        values = [gmpy2.mpfr(_float(bits, kind)) for bits in arguments]
        context.inexact = False
        value = _function(function)(*values)
        exact = not context.inexact
    if gmpy2.is_nan(value):
        return _QUIET[kind], True
    return _bits(float(value), kind), exact


def moved(bits: int, kind: ValueType, ulps: int) -> int:
    """
    The float *ulps* further from zero, of the same sign; zeros, infinities and NaNs stay.
    """
    sign, magnitude = bits & _SIGN[kind], bits & ~_SIGN[kind]
    if magnitude == 0 or magnitude >= _INFINITY[kind]:
        return bits
    return sign | min(max(magnitude + ulps, 1), _INFINITY[kind])


def _context(kind: ValueType) -> Any:
    """
    MPFR as binary32 or binary64, subnormals included.
    """
    precision, emax, emin = (24, 128, -148) if kind == "f32" else (53, 1024, -1073)
    return gmpy2.context(
        precision=precision, emax=emax, emin=emin, subnormalize=True, round=gmpy2.RoundToNearest
    )


def _function(name: str) -> Callable[..., Any]:
    if name == "pow":
        return lambda base, exponent: base**exponent
    if name == "lgamma":
        return lambda value: gmpy2.lgamma(value)[0]
    found: Callable[..., Any] = getattr(gmpy2, _MPFR.get(name, name))
    return found


def _float(bits: int, kind: ValueType) -> float:
    """
    The value of bits; which NaN it is does not matter here.
    """
    width, code = (4, "f") if kind == "f32" else (8, "d")
    value: float = struct.unpack(f"<{code}", bits.to_bytes(width, "little"))[0]
    return value


def _bits(value: float, kind: ValueType) -> int:
    return int.from_bytes(struct.pack("<f" if kind == "f32" else "<d", value), "little")
