from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner

from benchmarks.bounds import FUEL
from benchmarks.counted_work import (
    UnequalWorkError,
    Work,
    count,
    declared_work,
    levels,
    tensors_of,
)
from benchmarks.inference_gas import RESOURCES, VECTORS, main, outliers, timed
from benchmarks.inference_gas_page import page, per
from benchmarks.loop_process import BenchmarkError
from benchmarks.mispricing import FACTOR, Priced, StepTimer, priced, step_times
from benchmarks.model_costs import Model, embedded, matched, origin, prove
from benchmarks.operator_steps import STEPS, Step, gas_of_steps, module_text, steps
from benchmarks.passage_costs import (
    NoPriceError,
    Passages,
    Span,
    gas,
    multiply_accumulates,
    operators,
)
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.prove.outcome import LoopBound
from conformance.fidelity.language import Kind
from conformance.fidelity.program import Value
from conformance.gas.load import gas_model, newest
from conformance.manifest.read import read_manifest
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.nodes import choose

MODELS = VECTORS / "models"
Tensors = dict[str, tuple[Kind, Value]]


# ------------------------------------------------------------------------------ counted work

DENSE = """
def act(x):
    p = 0.5
    for i in range(7):
        p = p + x * x
    return p


def outer(x):
    return act(x)


def infer(x):
    out = zeros(3)
    for j in range(3):
        s = 0.0
        for i in range(4):
            s = s + w[j][i] * x[i]
        p = 1.0
        p = p * s + 2.0
        out[j] = outer(p)
    return out
"""
WEIGHTS: Tensors = {"w": ("matrix", ((1.0, 2.0, 3.0, 4.0),) * 3)}


def work(text: str, *activations: str) -> Work:
    tensors = WEIGHTS if "w[" in text else {}
    return count(text, "it", tensors, "infer", ("floats",), [(1.0,) * 4], activations)


def test_products_are_those_of_loops_and_polynomials_are_not() -> None:
    found = work(DENSE, "act")
    assert found.products == 3 * 4
    assert found.calls == {"infer": 1, "outer": 3, "act": 3}
    assert found.per_call("infer") == 12
    assert found.per_call("outer") == 0


def test_an_activation_that_is_not_declared_counts_like_any_function() -> None:
    found = work(DENSE)
    assert found.products == 3 * 4 + 3 * 7
    assert (found.per_call("act"), found.per_call("outer")) == (7, 7)


def test_activations_within_activations_are_not_counted_again() -> None:
    assert work(DENSE, "act", "outer").calls == {"infer": 1, "outer": 3, "act": 0}


@pytest.mark.parametrize(
    ("before", "after", "products"),
    [("range(4)", "range(3)", 9), ("w[j][i] * x[i]", "w[j][i]", 0), ("s = s + w", "s = p + w", 0)],
)
def test_another_program_does_other_work(before: str, after: str, products: int) -> None:
    text = DENSE.replace("        s = 0.0", "        s = 0.0\n        p = 1.0")
    assert work(text, "act").products == 12
    assert before in text
    assert work(text.replace(before, after), "act").products == products


def test_shapes_of_the_weights_give_the_products_of_perceptrons() -> None:
    for folder, layers in (
        (MODELS / "digits-mlp-tanh", (64, 32, 10)),
        (VECTORS / "bench" / "bench-mlp-16-52-10", (16, 52, 10)),
        (MODELS / "digits-logistic", (64, 10)),
        (MODELS / "diabetes-ridge", (10, 1)),
    ):
        found = declared_work(read_manifest(folder / "model.toml"))
        assert found.products == sum(a * b for a, b in pairwise(layers))
    assert (
        declared_work(read_manifest(MODELS / "digits-mlp-tanh" / "model.toml")).calls["tanh"] == 32
    )


def test_attention_of_two_heads_over_eight_tokens() -> None:
    found = declared_work(read_manifest(MODELS / "digits-transformer" / "model.toml"))
    tokens, heads, width, inner, size = 8, 2, 16, 32, 8
    assert found.calls["attend"] == tokens * heads
    assert found.per_call("attend") == 2 * tokens * size
    assert found.calls["tanh"] == tokens * inner
    assert found.calls["exp"] == tokens * heads * tokens
    projections = tokens * (4 * width * width + 2 * width * inner)
    variances = 3 * tokens * width
    attention = tokens * heads * 2 * tokens * size
    assert found.products == tokens * width * 8 + projections + variances + attention + 10 * width


def test_work_that_depends_on_the_input_is_refused(tmp_path: Path) -> None:
    for file in (MODELS / "diabetes-ridge").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    told = (tmp_path / "model.semantics").read_text(encoding="utf-8")
    assert "    for i" in told
    altered = told.replace(
        "    for i", "    if x[0] != 0.0:\n        s = s + x[0] * x[0]\n    for i"
    )
    (tmp_path / "model.semantics").write_text(altered, encoding="utf-8")
    with pytest.raises(UnequalWorkError):
        declared_work(read_manifest(tmp_path / "model.toml"))


def test_levels_are_the_shortest_and_longest_ways_of_all_trees() -> None:
    # One root with a leaf and a node with two leaves, then a tree that is a leaf.
    trees: Tensors = {
        "left": ("ints", (1, -1, 3, -1, -1, -1)),
        "right": ("ints", (2, -1, 4, -1, -1, -1)),
    }
    one = levels(trees)
    assert (one.trees, one.lo, one.hi) == (1, 1, 2)
    two = levels({**trees, "root": ("ints", (0, 5, 2))})
    assert (two.trees, two.lo, two.hi) == (3, 1 + 0 + 1, 2 + 0 + 1)
    boosting = levels(tensors_of(MODELS / "diabetes-gradient-boosting" / "weights.json"))
    assert (boosting.trees, boosting.lo, boosting.hi) == (60, 120, 120)


# ------------------------------------------------------------------------------ passages

NEST = """(module (func $add (param f64 f64) (result f64) local.get 0 local.get 1 f64.add)
  (func (export "f") (param i32) (local $i i32) (local $j i32) (local $s f64) (local $x f64)
    loop $outer
      i32.const 0 local.set $j
      loop $inner
        local.get $s local.get $x local.get $x f64.mul f64.add local.set $s
        local.get $j i32.const 1 i32.add local.tee $j i32.const 5 i32.lt_u br_if $inner
      end
      local.get 0 if local.get $s local.get $x call $add local.set $s end
      local.get $i i32.const 1 i32.add local.tee $i i32.const 3 i32.lt_u br_if $outer
    end))"""


def module(text: str) -> Module:
    return validated(bytes(wasmtime.wat2wasm(text)))


def bounded(subject: Module, *repeats: int) -> Passages:
    """
    Passages of the last function's loops, in their order.
    """
    bare = Passages(subject, ())
    last = len(subject.functions) - 1
    loops = [
        LoopBound(last + subject.imported_functions, bare.place(last, n), 0, str(k), str(k))
        for n, k in enumerate(repeats)
    ]
    return Passages(subject, loops)


def fuel_of(subject: Module) -> Callable[[str, int], int]:
    """
    What the engine's own meter takes for one call.
    """
    config = wasmtime.Config()
    config.consume_fuel = True
    store = wasmtime.Store(wasmtime.Engine(config))
    store.set_fuel(1 << 62)
    compiled = wasmtime.Module(store.engine, subject.binary)
    exports = wasmtime.Instance(store, compiled, []).exports(store)

    def call(name: str, argument: int) -> int:
        before = store.get_fuel()
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        function(store, argument)
        return before - store.get_fuel()

    return call


def test_sums_of_loops_and_calls_are_what_the_engine_bills() -> None:
    subject = module(NEST)
    costs = bounded(subject, 2, 4).costs(gas(subject, gas_model(FUEL)))(1)
    fuel = fuel_of(subject)
    assert (costs.call.lo, costs.call.hi) == (fuel("f", 0), fuel("f", 1))
    assert costs.rounds[1].exact
    assert not costs.rounds[0].exact
    assert bounded(subject, 2, 4).runs(1, 1) == 15


@pytest.mark.parametrize("repeats", [(2, 3), (1, 4), (3, 4)])
def test_other_repetitions_are_not_what_the_engine_bills(repeats: tuple[int, int]) -> None:
    subject = module(NEST)
    costs = bounded(subject, *repeats).costs(gas(subject, gas_model(FUEL)))(1)
    assert costs.call.lo != fuel_of(subject)("f", 0)


def test_products_in_code_and_multiplications_are_told_apart() -> None:
    subject = module(NEST.replace("local.get $s local.get $x call", """
        local.get $s local.get $x f64.mul f64.const 1 f64.add local.set $s
        local.get $s local.get $x call"""))  # fmt: skip
    passages = bounded(subject, 2, 4)
    assert passages.costs(multiply_accumulates(subject))(1).call == Span(15, 15)
    assert passages.costs(operators(subject, frozenset({"f64.mul"})))(1).call == Span(15, 18)


@pytest.mark.parametrize(
    ("text", "repeats", "why"),
    [
        ('(module (func $f (export "f") call $f))', (), "calls itself"),
        ('(module (import "a" "b" (func $b)) (func (export "f") call $b))', (), "the host"),
        ('(module (table 1 funcref) (func (export "f") i32.const 0 call_indirect))', (), "table"),
        ('(module (func (export "f") unreachable))', (), "never returns"),
        (NEST, (2,), "nothing is proved"),
    ],
)
def test_what_has_no_price_is_refused_by_name(
    text: str, repeats: tuple[int, ...], why: str
) -> None:
    subject = module(text)
    costs = bounded(subject, *repeats).costs(gas(subject, newest()))
    with pytest.raises(NoPriceError, match=why):
        costs(len(subject.functions) - 1)


# ------------------------------------------------------------------------------ steps

ALL = steps()
STEPPED = module(module_text(ALL))


def test_steps_cover_every_scalar_operator_once() -> None:
    names = [step.operator for step in ALL]
    assert len(names) == len(set(names))
    manifest = read_manifest(VECTORS / "operators" / "model.toml")
    scalar = {call.entry for call in manifest.run.calls}
    assert scalar
    assert scalar <= set(names)
    assert {"f64.load", "i32.store8", "call", "br", "memory.grow"} <= set(names)


def test_gas_of_each_step_is_what_the_engine_bills() -> None:
    found = gas_of_steps(STEPPED, ALL, gas_model(FUEL))
    fuel = fuel_of(STEPPED)

    def bill(name: str) -> int:
        return fuel(name, 9) - fuel(name, 2)

    for step in ALL:
        billed = (bill(step.operator) - bill(step.base)) / (7 * STEPS)
        assert found[step.operator] == billed, step.operator


def test_a_flat_meter_charges_the_same_for_all_arithmetic_and_more_for_branches() -> None:
    found = gas_of_steps(STEPPED, ALL, newest())
    assert found["f64.sqrt"] == found["f64.abs"] == 3 * 115
    assert found["f64.div"] == found["f64.add"] == 4 * 115
    assert found["br"] > found["f64.sqrt"]


# ------------------------------------------------------------------------------ mispricing

FLAT = {"a": 10.0, "b": 10.0, "c": 10.0, "d": 10.0, "odd": 10.0}


@pytest.mark.parametrize(
    ("time", "flag"),
    [
        (1.0, ""), (FACTOR, ""), (FACTOR * 1.01, "too cheap"), (1 / FACTOR, ""),
        (0.99 / FACTOR, "too dear"), (0.0, "too dear"), (-0.1, "too dear"),
    ],
)  # fmt: skip
def test_outliers_are_flagged_on_both_sides(time: float, flag: str) -> None:
    found = priced({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "odd": time}, FLAT)
    assert found["odd"].flag == flag
    assert all(found[name].flag == "" for name in "abcd")


def test_the_same_time_for_less_gas_is_too_cheap() -> None:
    times = dict.fromkeys(FLAT, 1.0)
    assert priced(times, {**FLAT, "odd": 2.0})["odd"].flag == "too cheap"
    assert priced(times, {**FLAT, "odd": 50.0})["odd"].flag == "too dear"


def test_free_work_is_too_cheap_only_where_it_takes_long() -> None:
    free = {**FLAT, "odd": 0.0}
    times = dict.fromkeys(FLAT, 1.0)
    slow, quick = priced(times, free)["odd"], priced({**times, "odd": 0.1}, free)["odd"]
    assert (slow.ratio, slow.flag, quick.flag) == (None, "too cheap", "")


def test_times_of_which_nothing_can_be_seen_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="more rounds"):
        priced(dict.fromkeys(FLAT, 0.0), FLAT)
    with pytest.raises(BenchmarkError):
        priced({"odd": 1.0}, {"odd": 0.0})


def test_step_times_are_medians_less_the_loop_without_of_the_same_pass() -> None:
    step = Step("i32.add", "i32", "")
    unit = 10 * STEPS
    passes = [
        {"i32.add": 5 * unit, "without-i32": 3 * unit},
        {"i32.add": 900 * unit, "without-i32": 1 * unit},
        {"i32.add": 104 * unit, "without-i32": 101 * unit},
    ]
    assert step_times(passes, [step], 10) == {"i32.add": 3.0}


# ------------------------------------------------------------------------------ the program


def test_recipes_tell_family_source_and_level() -> None:
    found = origin(MODELS / "digits-cnn" / "recipe.toml")
    assert (found.family, found.language, found.level) == ("convolution", "C", "-O2")
    assert found.toolchain.startswith("ziglang==")
    zig = origin(VECTORS / "bench" / "bench-mlp-16-52-10" / "recipe.toml")
    assert (zig.language, zig.level) == ("Zig", "-O ReleaseFast")


def test_spans_over_unlike_units_name_both_ends() -> None:
    assert per(Span(10, 10), 4, 4) == "2.5"
    assert per(Span(8, 10), 4, 4) == "2.0..2.5"
    assert per(Span(12, 10), 2, 10) == "lo / 2 = 6.0, hi / 10 = 1.0"


def test_an_unknown_model_is_wrong_usage() -> None:
    done = CliRunner().invoke(main, ["--only", "digits-cmm"])
    assert done.exit_code == 2
    assert "digits-cnn" in done.output


def perceptron() -> Model:
    catalog = Catalog.load()
    (node,) = choose(["wasmtime"], "fresh", catalog, Environments(catalog))
    with Pool([(node.node, node.launch)], limits=CellLimits(data_mib=4096)) as pool:
        folder = MODELS / "digits-mlp-tanh"
        return prove(folder, Engine(pool, 2048), (newest(), gas_model(FUEL)), RESOURCES)


@pytest.mark.engines
def test_a_perceptron_adds_up_to_its_confirmed_bounds_and_shows_its_activation() -> None:
    model = perceptron()
    assert model.adds_up()
    assert not replace(model, sums=tuple(Span(s.lo, s.hi + 1) for s in model.sums)).adds_up()
    ((name, loop),) = matched(model)
    assert (name, loop.runs) == ("tanh", 32)
    fewer = replace(model, work=replace(model.work, calls={**model.work.calls, "tanh": 31}))
    assert not list(matched(fewer))
    # Where the round also does what the activation does not, only the difference is told.
    larger = replace(model, loops=tuple(
        replace(item, products=Span(9, 9)) if item == loop else item for item in model.loops
    ))  # fmt: skip
    assert not list(matched(larger))
    assert [name for name, _ in embedded(larger)] == ["tanh"]
    one = Priced("i32.add", 1.0, 10.0, 0.01)
    text = page([model], ["other: why"], ["one", "two"], [Step("i32.add", "i32", "it")],
                {("one", "e"): {"i32.add": one}})  # fmt: skip
    assert "- other: why" in text
    assert "| digits-mlp-tanh | `tanh` | 32 | 0 |" in text
    assert "too cheap (1): `i32.add` **10.00**" in text


@pytest.mark.engines
def test_both_engines_time_every_step() -> None:
    measured, paid, taken = timed(1)
    assert len(paid) == len(taken) == 2
    names = {step.operator for step in measured}
    assert all(set(found) == names for found in (*paid.values(), *taken.values()))
    assert set(outliers({"flat": dict.fromkeys(names, 1.0)}, {"e": dict.fromkeys(names, 1.0)})) == {
        ("flat", "e")
    }


@pytest.mark.engines
def test_an_engine_that_fails_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.wasm").write_bytes(b"no module")
    catalog = Catalog.load()
    (node,) = choose(["wasmtime"], "fresh", catalog, Environments(catalog))
    with (
        StepTimer(node.launch, tmp_path / "bad.wasm", ALL, 1, 2) as timer,
        pytest.raises(BenchmarkError, match="wasmtime"),
    ):
        timer.measure()
    capfd.readouterr()
