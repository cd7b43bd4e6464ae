"""
Source out of weights: the same text every time, exact literals, refusals in a sentence.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from math import factorial
from pathlib import Path

import gmpy2  # type: ignore[import-untyped]
import numpy as np
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.manifest.tables import BitsTable
from vectors.build import c_text, training
from vectors.build.emit import KINDS
from vectors.build.rebuild import find_models, make_source
from vectors.build.recipe import BadRecipeError, read_recipe
from vectors.build.weights import BadWeightsError, Weights

FOLDERS = find_models()


def reals(*rows: list[float]) -> BitsTable:
    return training.table(np.array(rows), "f64")


def integers(*values: int) -> BitsTable:
    return training.table(list(values), "i32")


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_the_source_is_the_one_that_the_weights_give(folder: Path) -> None:
    recipe = read_recipe(folder / "recipe.toml")
    text = make_source(folder, recipe)
    assert text == (folder / recipe.source.file).read_text(encoding="utf-8")
    assert text == make_source(folder, recipe)


def test_every_kind_has_a_model() -> None:
    used = {read_recipe(folder / "recipe.toml").source.kind for folder in FOLDERS}
    assert used == set(KINDS)


def test_text_format_compiles_to_the_module() -> None:
    folder = find_models(["diabetes-ridge"])[0]
    module = (folder / "model.wasm").read_bytes()
    assert bytes(wasmtime.wat2wasm((folder / "model.wat").read_text())) == module
    weights = Weights({"coefficients": reals([1.0, 2.0]), "bias": reals([0.5])})
    assert bytes(wasmtime.wat2wasm(KINDS["wat-linear"](weights))) != module


@settings(derandomize=True, max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_literals_are_exact(value: float) -> None:
    assert struct.pack("<d", float.fromhex(c_text.literal(value))) == struct.pack("<d", value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_finite_weights_are_written(value: float) -> None:
    with pytest.raises(BadWeightsError, match="cannot be a weight"):
        c_text.literal(value)


LEAF_BEFORE = {
    "feature": integers(0, 0, 0),
    "left": integers(-1, 0, -1),
    "right": integers(-1, 2, -1),
    "threshold": reals([0.0, 1.0, 0.0]),
    "shares": reals([1.0, 0.0], [0.5, 0.5], [0.0, 1.0]),
    "inputs": integers(1),
}


@pytest.mark.parametrize(
    ("kind", "tables", "words"),
    [
        ("c-linear", {"bias": reals([1.0])}, "have no `coefficients`; they have bias"),
        ("c-linear", {"coefficients": integers(1)}, "`coefficients` is i32 where f64"),
        (
            "c-linear",
            {"coefficients": reals([1.0]), "bias": reals([1.0], [2.0])},
            "`bias` has 2 rows",
        ),
        ("c-tree", LEAF_BEFORE, "node 1 must come before its children"),
        ("c-tree", LEAF_BEFORE | {"left": integers(-1)}, "differ in length"),
        (
            "zig-drawn-perceptron",
            {"sizes": integers(2, 3, 4), "seed": integers(1), "bound": reals([0.3])},
            "is not 2\\^-n",
        ),
        (
            "zig-drawn-perceptron",
            {"sizes": integers(2, 3), "seed": integers(1), "bound": reals([0.5])},
            "three `sizes`",
        ),
        (
            "zig-drawn-perceptron",
            {"sizes": integers(2, 3, 4), "seed": integers(1), "bound": reals([0.5, 0.25])},
            "holds 2 numbers",
        ),
        ("c-transformer", {"embed": reals([1.0], [1.0], [1.0]), "inner": reals([1.0])}, "3 does"),
    ],
)
def test_bad_weights_are_named(kind: str, tables: dict[str, BitsTable], words: str) -> None:
    with pytest.raises(BadWeightsError, match=words):
        KINDS[kind](Weights(tables))


def test_exp_coefficients_are_the_factorials() -> None:
    for n, value in enumerate(training.exp_taylor()):
        error = abs(Fraction(value) - Fraction(1, factorial(n)))
        assert error <= Fraction(math.ulp(value)) / 2


def test_tanh_coefficients_are_those_of_the_bernoulli_numbers() -> None:
    # t[n] = 2^2n (2^2n - 1) B[2n] / (2n)! for x^(2n-1); B by their own recurrence.
    bernoulli = [Fraction(1)]
    for m in range(1, 2 * training.TANH_TERMS + 4):
        total = sum((gmpy2.bincoef(m + 1, k) * bernoulli[k] for k in range(m)), Fraction(0))
        bernoulli.append(-Fraction(int(total.numerator), int(total.denominator)) / (m + 1))
    for index, value in enumerate(training.tanh_taylor()):
        n = index + 2
        true = Fraction(4**n * (4**n - 1)) * bernoulli[2 * n] / factorial(2 * n)
        assert abs(Fraction(value) - true) <= Fraction(math.ulp(value)) / 2


RECIPE = (FOLDERS[0] / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RECIPE.replace("schema = 1", "schema = 2"), "schema 2 is not known"),
        (RECIPE.replace("==", ">="), "pin the package"),
        (RECIPE.replace("kind", "knd"), "not a recipe"),
        (RECIPE.replace("[compiler]", "[compiler"), "not a recipe"),
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(BadRecipeError, match=words):
        read_recipe(tmp_path / "recipe.toml")


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('kind = "', 'kind = "no-'))
    with pytest.raises(BadRecipeError, match="no kind no-"):
        make_source(tmp_path, read_recipe(tmp_path / "recipe.toml"))
