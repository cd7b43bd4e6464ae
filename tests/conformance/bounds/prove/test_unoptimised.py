"""
Counters in memory: modules without optimisation get bounds, and nothing else may move a counter.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from time import process_time

import pytest
from provable_modules import MODELS, Proving, fuel, proving
from unoptimised_modules import FOLDER, UNOPTIMISED, Unoptimised

from conformance.bounds.bound import BoundReport, bound
from conformance.bounds.certificate import Input
from conformance.bounds.prove import prover
from vectors.build.toolchains import cache_folder, compile_module, obtain

SHARE = ("argmax", "dense", "histogram", "insertion_sort")
BUILT = ("dense", "selection_sort")


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def answered(made: Unoptimised, prove: Proving) -> BoundReport:
    module = made.module()
    precondition, inputs = made.precondition(module), made.inputs(module)
    return bound(module, precondition, inputs, MODELS, prove.engine)


def right(made: Unoptimised, report: BoundReport) -> None:
    """
    Bounded, confirmed, met by what was measured, and exact where it can be.
    """
    assert report.certificate is not None, report.obstacles
    for answer in report.gas:
        assert answer.bound is not None
        assert answer.bound.lo <= min(answer.measured) <= max(answer.measured) <= answer.bound.hi
        if made.exact:
            assert answer.bound.lo == answer.bound.hi
    cells = [span for summary in report.certificate.summaries for span in summary.cells]
    assert cells
    replayed = report.confirmation
    assert replayed is not None
    assert replayed.replay is not None
    assert replayed.replay.hidden == 0


@pytest.mark.parametrize("name", SHARE)
def test_a_module_whose_locals_lie_in_memory_is_bounded(name: str, prove: Proving) -> None:
    right(UNOPTIMISED[name], answered(UNOPTIMISED[name], prove))


def test_the_dearest_input_of_an_argmax_meets_its_bound(prove: Proving) -> None:
    answer = answered(UNOPTIMISED["argmax"], prove).gas[0]
    assert answer.bound is not None
    assert answer.bound.hi == max(answer.measured)
    assert answer.bound.lo == min(answer.measured)


def test_without_cells_nothing_is_bounded(prove: Proving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover, "find_frames", lambda *_: {})
    report = answered(UNOPTIMISED["dense"], prove)
    assert report.certificate is None
    assert {obstacle.reason for obstacle in report.obstacles} == {"exit depends on input bytes"}


_FRAME = """(module (memory (export "memory") 1) (global $sp (mut i32) (i32.const 1024)) MORE
  (func (export "infer") (param $n i32) (local $fp i32)
    (local.set $fp (i32.sub (global.get $sp) (i32.const 16)))
    (i32.store offset=12 (local.get $fp) (i32.const 9))
    (loop $again INSIDE
      (i32.store offset=12 (local.get $fp)
        (i32.sub (i32.load offset=12 (local.get $fp)) (i32.const 1)))
      (br_if $again (i32.load offset=12 (local.get $fp))))))"""
_STORE = "(i32.store8 (i32.add (i32.const 1016) (local.get $n)) (i32.const 0))"
_INTO = "(call $f (i32.add (i32.const 1016) (local.get $n)))"
_CALLED = "(func $f (param i32) (i32.store8 (local.get 0) (i32.const 0)))"


@pytest.mark.parametrize(("more", "inside"), [("", _STORE), (_CALLED, _INTO)])
@pytest.mark.parametrize(("most", "bounded"), [(3, True), (4, False)])
def test_a_counter_is_kept_as_long_as_every_other_write_stays_off_it(
    prove: Proving, more: str, inside: str, most: int, bounded: bool # noqa: FBT001 - of a table
) -> None:  # fmt: skip
    text = _FRAME.replace("MORE", more).replace("INSIDE", inside)
    inputs = (Input((0,)), Input((3,)))
    report = prove(text, (0, most), guided=True, inputs=inputs)
    assert (fuel(report) is not None) == bounded
    if bounded:
        assert [loop.most for loop in report.loops if loop.function == len(more) // len(_CALLED)] \
            == ["8"]  # fmt: skip


def test_a_callee_that_moves_the_stack_pointer_may_move_the_frame(prove: Proving) -> None:
    down = "(func $f (param i32) (global.set $sp (i32.sub (global.get $sp) (i32.const 16))))"
    text = _FRAME.replace("MORE", down).replace("INSIDE", "(call $f (i32.const 0))")
    report = prove(text, (0, 3), guided=True)
    # The frame pointer is a local: where the stack pointer goes does not matter to the counter.
    assert fuel(report) is not None
    moved = text.replace("(local.get $fp)", "(i32.sub (global.get $sp) (i32.const 16))")
    assert fuel(prove(moved, (0, 3), guided=True)) is None


@pytest.mark.parametrize("name", BUILT)
def test_a_share_is_compiled_again_to_the_same_bytes(name: str) -> None:
    recipe = tomllib.loads((FOLDER / "recipe.toml").read_text())["compiler"]
    if not (cache_folder() / recipe["package"]).exists():
        pytest.skip(f"{recipe['package']} is not installed here")
    python = obtain(recipe["package"], cache_folder())
    made = compile_module(python, recipe["arguments"], FOLDER / f"{name}.c")
    assert made == (FOLDER / f"{name}.wasm").read_bytes()


@pytest.mark.nightly
def test_unoptimised(
    prove: Proving, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, before = [], 0
    for name, made in sorted(UNOPTIMISED.items()):
        began = process_time()
        report = answered(made, prove)
        spent = process_time() - began
        if made.bounded:
            right(made, report)
        answer = report.gas[0]
        ratio = answer.bound.hi / max(answer.measured) if answer.bound else float("nan")
        size, checker = len(made.module().binary), report.seconds.get("checker", 0.0)
        row = (name, size, answer.sentence(), f"{ratio:.4f}", f"{spent:.1f}", f"{checker:.1f}")
        lines.append(f"| {' | '.join(map(str, row))} |")
        with monkeypatch.context() as patch:
            patch.setattr(prover, "find_frames", lambda *_: {})
            before += answered(made, prove).certificate is not None
    with capsys.disabled():
        print("\n| module | bytes | fuel | hi / dearest measured | processor s | checker s |")  # noqa: T201 - the campaign's report
        print("\n".join(lines))  # noqa: T201 - as above
        print(f"without cells {before} of {len(lines)} are bounded")  # noqa: T201 - as above
