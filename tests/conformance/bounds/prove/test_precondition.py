"""
Preconditions say what manifests say, and the inputs meet them.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from provable_modules import GROWS, UP_TO, module_of

from conformance.bounds.certificate import Range
from conformance.bounds.precondition import CannotStateError, state, state_bare
from conformance.manifest.read import parse_manifest, read_manifest
from conformance.wasm.decode import validated

MODELS = Path(__file__).parents[4] / "vectors" / "models"
SCALARS = b"""schema = 1
[module]
name = "m"
file = "m.wasm"
[abi]
kind = "plain"
[[call]]
entry = "infer"
parameters = ["i32"]
results = ["i32"]
"""


def test_the_input_region_is_unknown_and_inputs_lie_in_it() -> None:
    folder = MODELS / "digits-cnn"
    stated = state(
        read_manifest(folder / "model.toml"),
        validated((folder / "model.wasm").read_bytes()),
    )
    (region,) = stated.precondition.unknown
    assert region.end - region.start == 64 * 8
    assert stated.precondition.fresh
    assert stated.precondition.arguments == ()
    rows = []
    for given in stated.inputs:
        (written,) = given.memory
        assert written.address == region.start
        rows.append(struct.unpack("<64d", bytes.fromhex(written.data)))
    assert set(rows[0]) == {0.0}
    assert set(rows[1]) == {16.0}
    assert all(0 <= value <= 16 for row in rows for value in row)
    assert len(set(rows)) == len(rows) == 5


def test_the_seed_draws_the_inputs() -> None:
    folder = MODELS / "diabetes-ridge"
    manifest = read_manifest(folder / "model.toml")
    module = validated((folder / "model.wasm").read_bytes())
    assert state(manifest, module, seed=1) == state(manifest, module, seed=1)
    assert state(manifest, module, seed=1) != state(manifest, module, seed=2)


def test_a_call_with_scalars_takes_any_bits() -> None:
    stated = state(parse_manifest(SCALARS), module_of(UP_TO))
    assert stated.precondition.arguments == (Range(0, 2**32 - 1),)


def test_growth_is_refused_beyond_the_limit_only_where_there_is_growth() -> None:
    assert state_bare(module_of(UP_TO), "infer").precondition.most_pages == 65536
    assert state_bare(module_of(GROWS), "infer").precondition.most_pages == 512


def test_initialisers_are_part_of_the_precondition() -> None:
    folder = MODELS / "digits-cnn"
    module = validated((folder / "model.wasm").read_bytes())
    text = (folder / "model.toml").read_bytes()
    prepared = text.replace(b"initialize = []", b'initialize = ["prepare"]')
    assert prepared != text
    stated = state(parse_manifest(prepared), module)
    assert stated.precondition.initialize == ("prepare",)
    assert state(parse_manifest(text), module).precondition.initialize == ()


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(CannotStateError, match="no function 'other'"):
        state_bare(module_of(UP_TO), "other")
    with pytest.raises(CannotStateError, match="takes 1 arguments"):
        state_bare(module_of(UP_TO), "infer", (Range(0, 1), Range(0, 1)))


def test_greatest_arguments_are_inputs_only_where_they_are_small() -> None:
    module = module_of(UP_TO)
    whole = state_bare(module, "infer")
    assert [given.arguments for given in whole.inputs] == [(0,)]
    assert whole.precondition.unknown == ()
    small = state_bare(module, "infer", (Range(3, 9),))
    assert [given.arguments for given in small.inputs] == [(3,), (7,), (9,)]
