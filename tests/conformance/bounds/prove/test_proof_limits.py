"""
Functions that are too large to be followed: said at once, and nothing below a limit is.
"""

from __future__ import annotations

import pytest
from provable_modules import MODELS, module_of

from conformance.bounds.certificate import Precondition, Range
from conformance.bounds.prove.limits import MOST_BYTES, MOST_LOOPS, MOST_TARGETS, too_large
from conformance.bounds.prove.outcome import Attempt
from conformance.bounds.prove.prover import Prover
from conformance.wasm.decode import validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import Labels
from conformance.wasm.module import Module

EMPTY = module_of("""(module (memory 1) (func (export "infer") (param i32)) (func))""")


def with_body(parts: list[bytes], place: int = 0) -> Module:
    rewrite = Rewrite(EMPTY)
    rewrite.replace_body(place, [*parts, END])
    return validated(rewrite.binary())


def table(count: int) -> Module:
    labels = Labels((0, 1) * (count // 2), 0)
    opened = [op("block", "empty"), op("block", "empty"), op("local.get", 0)]
    return with_body([*opened, op("br_table", labels), op("end"), op("end")])


def attempt(module: Module) -> Attempt:
    given = Precondition("infer", (Range(0, 3),))
    return Prover(module, given, MODELS, (), guided=False).run()


LOOP = [op("loop", "empty"), op("end")]
LARGE = {
    "huge": (with_body([op("nop") * (MOST_BYTES + 1)]), "at most 400,000 are followed"),
    "ifs": (
        with_body([(op("local.get", 0) + op("if", "empty")) * 100_000, op("end") * 100_000]),
        "at most 400,000 are followed",
    ),
    "loops": (with_body(LOOP * (MOST_LOOPS + 1)), "it has 1,001 loops"),
    "targets": (table(MOST_TARGETS + 2), "a br_table has 20,002 targets"),
    "a million targets": (table(1_000_000), "at most 400,000 are followed"),
    "loops in loops": (
        with_body([op("loop", "empty") * 400, op("end") * 400]), "more than 200 nested loops",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_unknown_with_a_sentence(name: str) -> None:
    module, words = LARGE[name]
    found = attempt(module)
    assert found.certificate is None
    assert found.parts == ()
    (obstacle,) = found.obstacles
    assert obstacle.reason == "not modelled"
    assert words in obstacle.sentence
    assert "\n" not in obstacle.sentence


@pytest.mark.parametrize(
    "module",
    [with_body([op("nop") * (MOST_BYTES - 10)]), with_body(LOOP * MOST_LOOPS), table(MOST_TARGETS)],
    ids=["bytes", "loops", "targets"],
)
def test_what_is_just_within_is_followed(module: Module) -> None:
    assert list(too_large(module, 0)) == []


def test_functions_that_the_call_cannot_enter_may_be_large() -> None:
    module = with_body([op("nop") * (MOST_BYTES + 1)], place=1)
    assert list(too_large(module, 0)) == []
    assert [function for function, _, _ in too_large(module, 1)] == [1]
