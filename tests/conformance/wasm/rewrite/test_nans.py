"""
Rewritten modules give the NaNs of the profile on an engine that does not canonicalise.
"""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from wasmtime_calls import Ended, call, wat

from conformance.generate.modules import GLOBALS, GeneratedModule, generate
from conformance.wasm.decode import validated
from conformance.wasm.rewrite.nans import NanRewrite, canonicalised, makes_nans

NAN32, NAN64 = 0x7FC00000, 0x7FF8000000000000


def one(operator: str, *operands: str, result: str) -> bytes:
    """
    A module whose `run` applies one float operator and gives the bits.
    """
    carrier = {"f32": "i32", "f64": "i64"}[result]
    return wat(
        f'(module (func (export "run") (result {carrier})'
        f" ({carrier}.reinterpret_{result} ({operator} {' '.join(operands)}))))"
    )


CASES = {
    "add": ("f64.add", ("(f64.const -nan:0x4)", "(f64.const 1)"), "f64"),
    "sub": ("f64.sub", ("(f64.const inf)", "(f64.const inf)"), "f64"),
    "mul": ("f32.mul", ("(f32.const -nan:0x4)", "(f32.const 1)"), "f32"),
    "div": ("f32.div", ("(f32.const 0)", "(f32.const 0)"), "f32"),
    "sqrt": ("f64.sqrt", ("(f64.const -1)",), "f64"),
    "min": ("f64.min", ("(f64.const nan:0xc000000000000)", "(f64.const 1)"), "f64"),
    "max": ("f32.max", ("(f32.const 1)", "(f32.const -nan:0x600000)"), "f32"),
    "ceil": ("f64.ceil", ("(f64.const -nan)",), "f64"),
    "floor": ("f32.floor", ("(f32.const -nan)",), "f32"),
    "trunc": ("f32.trunc", ("(f32.const -nan)",), "f32"),
    "nearest": ("f64.nearest", ("(f64.const -nan)",), "f64"),
    "demote": ("f32.demote_f64", ("(f64.const -nan:0xc000000000000)",), "f32"),
    "promote": ("f64.promote_f32", ("(f32.const -nan:0x600000)",), "f64"),
}
KEPT = {
    "neg": ("f64.neg", ("(f64.const nan:0xc000000000000)",), "f64", 0xFFFC000000000000),
    "abs": ("f32.abs", ("(f32.const -nan:0x600000)",), "f32", 0x7FE00000),
    "copysign": ("f32.copysign", ("(f32.const nan:0x4)", "(f32.const -1)"), "f32", 0xFF800004),
}


@pytest.mark.parametrize("name", CASES)
def test_each_operator_gives_the_canonical_nan(name: str) -> None:
    operator, operands, result = CASES[name]
    module = validated(one(operator, *operands, result=result))
    wanted = NAN32 if result == "f32" else NAN64
    assert call(module.binary, "run").results != (wanted,), "the engine has to be asked for it"
    assert call(canonicalised(module, "canonical"), "run").results == (wanted,)
    cosmwasm = call(canonicalised(module, "cosmwasm"), "run").results
    if name in ("demote", "promote"):
        assert cosmwasm == call(module.binary, "run").results
    else:
        assert cosmwasm == (wanted,)


@pytest.mark.parametrize("name", KEPT)
def test_moved_bits_stay(name: str) -> None:
    operator, operands, result, bits = KEPT[name]
    binary = one(operator, *operands, result=result)
    assert canonicalised(validated(binary), "canonical") == binary
    assert call(binary, "run").results == (bits,)


def test_lanes_are_made_canonical_one_by_one() -> None:
    module = validated(
        wat("""(module (func (export "run") (param i32) (result i64)
          (i64x2.extract_lane 1 (f64x2.add
            (v128.const i64x2 0x3ff0000000000000 0xfff0000000000004)
            (v128.const f64x2 1 1)))
          (i64x2.extract_lane 0 (f32x4.mul
            (v128.const i32x4 0xffc00001 0x40000000 0 0) (v128.const f32x4 1 2 3 4)))
          (i64.add)))""")
    )  # fmt: skip
    done = call(canonicalised(module, "canonical"), "run", 0)
    assert done.results == (NAN64 + ((0x40800000 << 32) | NAN32),)
    assert call(module.binary, "run", 0).results != done.results


def test_a_local_of_the_same_type_is_not_touched() -> None:
    module = validated(
        wat("""(module (func (export "run") (param i64) (result i64) (local f64)
          (local.set 1 (f64.const 42))
          (drop (f64.div (f64.const 0) (f64.const 0)))
          (i64.reinterpret_f64 (local.get 1))))""")
    )
    assert call(canonicalised(module, "canonical"), "run", 0).results == (0x4045000000000000,)


def _ended(binary: bytes, made: GeneratedModule, row: int, *, canonical: bool) -> Ended:
    arguments = [int(bits) for bits in made.rows[row].view("<u8")]
    masks = (0xFFFFFFFF, 0xFFFFFFFF, (1 << 64) - 1, (1 << 64) - 1)
    return call(
        binary, "run", *(a & m for a, m in zip(arguments, masks, strict=True)), canonical=canonical
    )


def _seen(ended: Ended) -> tuple[object, ...]:
    return ended.results, ended.trap, ended.memory("memory", 0, 65_536), _globals(ended)


def _globals(ended: Ended) -> tuple[int, ...]:
    found = ended.instance.exports(ended.store)
    return tuple(_bits(found[name].value(ended.store), name) for name in GLOBALS)


def _bits(value: float, kind: str) -> int:
    if kind == "f64":
        return int.from_bytes(struct.pack("<d", value), "little")
    if kind == "f32":
        return int.from_bytes(struct.pack("<f", value), "little")
    return int(value)


@pytest.mark.parametrize("part", range(4))
def test_generated_modules_end_as_on_an_engine_that_canonicalises(part: int) -> None:
    seen: Counter[str] = Counter()
    for index in range(part * 60, part * 60 + 60):
        made = generate(7, index)
        module = validated(made.binary)
        rewritten = canonicalised(module, "canonical")
        validated(rewritten)
        for row in range(min(2, len(made.rows))):
            wanted = _ended(made.binary, made, row, canonical=True)
            found = _ended(rewritten, made, row, canonical=False)
            assert _seen(found) == _seen(wanted), (index, row)
            plain = _ended(made.binary, made, row, canonical=False)
            seen["differs without"] += _seen(plain) != _seen(wanted)
            seen["cases"] += 1
    assert seen["differs without"] >= 10, seen
    assert seen["cases"] >= 60, seen


@pytest.mark.parametrize("profile", ["canonical", "cosmwasm"])
def test_which_operators_make_nans(profile: NanRewrite) -> None:
    assert makes_nans("f32x4.sqrt", profile)
    assert not makes_nans("f64x2.pmin", profile)
    assert not makes_nans("f64.copysign", profile)
    assert makes_nans("f32x4.demote_f64x2_zero", profile) == (profile == "canonical")
