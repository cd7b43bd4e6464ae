"""
NaN canonicalisation: behind each operator that may make a NaN, any NaN becomes the canonical one.

`canonical`: every operator that the specification's "NaN propagation" lets choose (core
specification 2.0, section 4.3.3). `cosmwasm`: all of them but `f32.demote_f64` and
`f64.promote_f32`, as wasmer's singlepass compiles them. Operators that only move or flip bits
(`abs`, `neg`, `copysign`, `pmin`, `pmax`, loads, `select`) have one answer and stay as they are.

`x` becomes `select(x, nan, x == x)`; a vector is masked lane by lane.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.body import code_table
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES
from conformance.wasm.rewrite.scratch import Scratch

NanRewrite = Literal["canonical", "cosmwasm"]

CANONICAL_BITS: Final = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}
"""The positive canonical NaN of each type."""

_MAKING: Final = (
    "add", "sub", "mul", "div", "sqrt", "min", "max", "ceil", "floor", "trunc", "nearest",
)  # fmt: skip
_CONVERTING: Final = ("f32.demote_f64", "f64.promote_f32")
_LANES: Final = {"f32x4": "f32", "f64x2": "f64"}
_VECTOR_CONVERTING: Final = ("f32x4.demote_f64x2_zero", "f64x2.promote_low_f32x4")


def rewrite_id(profile: NanRewrite) -> str:
    """
    Id of the rewrite, for the key of evidence.
    """
    return f"nan-{profile}@1"


def makes_nans(name: str, profile: NanRewrite) -> bool:
    """
    Whether the instruction *name* may make a NaN that the profile wants canonical.
    """
    if name in _CONVERTING or name in _VECTOR_CONVERTING:
        return profile == "canonical"
    shape, _, operation = name.partition(".")
    return shape in ("f32", "f64", *_LANES) and operation in _MAKING


def _making_codes(profile: NanRewrite) -> NDArray[np.bool_]:
    """
    By code of an instruction: whether it may make a NaN that the profile wants canonical.
    """
    return code_table(code for code, opcode in OPCODES.items() if makes_nans(opcode.name, profile))


_MAKING_CODES: Final[dict[NanRewrite, NDArray[np.bool_]]] = {
    "canonical": _making_codes("canonical"),
    "cosmwasm": _making_codes("cosmwasm"),
}


def canonicalised(module: Module, profile: NanRewrite) -> bytes:
    """
    The module with canonical NaNs; the same bytes where no operator of it can make any.
    """
    table = _MAKING_CODES[profile]
    if not table[module.code.codes].any():
        return module.binary
    rewrite, binary = Rewrite(module), module.binary
    for place, function in enumerate(module.functions):
        body = function.body
        making = np.flatnonzero(table[body.codes])
        if not making.size:
            continue
        scratch = Scratch(module, place)
        out: list[bytes] = []
        copied = int(body.offsets[0])
        # The final `end` makes nothing, so that there is an instruction behind each of them.
        after = body.offsets[making + 1].tolist()
        for code, end in zip(body.codes[making].tolist(), after, strict=True):
            out += (binary[copied:end], canonical_code(OPCODES[code].name, scratch))
            copied = end
        out.append(binary[copied : body.span.end])
        rewrite.replace_body(place, out, scratch.runs)
    return rewrite.binary()


def canonical_code(name: str, scratch: Scratch) -> bytes:
    """
    Code that makes the value on the stack canonical if it is a NaN.
    """
    shape = name.partition(".")[0]
    if shape in _LANES:
        lanes = 16 // (4 if shape == "f32x4" else 8)
        lane = CANONICAL_BITS[_LANES[shape]]
        width = 128 // lanes
        pattern = sum(lane << (width * at) for at in range(lanes))
        held = scratch.get("v128")
        return (
            scratch.tee("v128")
            + op("v128.const", pattern)
            + held
            + held
            + op(f"{shape}.eq")
            + op("v128.bitselect")
        )
    kind: Literal["f32", "f64"] = "f32" if shape == "f32" else "f64"
    held = scratch.get(kind)
    return (
        scratch.tee(kind)
        + op(f"{kind}.const", CANONICAL_BITS[kind])
        + held
        + held
        + op(f"{kind}.eq")
        + op("select")
    )
