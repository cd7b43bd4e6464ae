"""
Whatever an engine does between two cuts is one of the ways that symbolic execution allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calls_in_process import InProcess
from confirmed_samples import SAMPLES

from conformance.bounds.certificate import (
    ENTRY,
    Bytes,
    Certificate,
    Input,
    Precondition,
    Range,
    Stack,
    Summary,
)
from conformance.bounds.check.semantics.accesses import at_entry
from conformance.bounds.check.semantics.execution import Region
from conformance.bounds.check.semantics.state import State
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.semantics.terms import Terms, Value
from conformance.bounds.check.solving import Solving
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from conformance.wasm.rewrite.checkpoints import checkpointed
from conformance.wasm.rewrite.recorder import HITS

MODELS = Path(__file__).parents[4] / "vectors" / "models"
Row = tuple[int, int, tuple[int, ...]]
"""Function, cut, words: locals, globals, pages, operands of the innermost block."""


def bare(module: Module, entry: str, *, memory: bool) -> Subject:
    """
    A certificate that claims nothing: one summary for each function.
    """
    first = module.imported_functions
    summaries = [
        Summary(f"f{first + k}", first + k, (), (), memory=memory)
        for k in range(len(module.functions))
    ]
    export = module.exported(entry)
    assert export is not None
    arguments = tuple(Range(0, 0) for _ in module.function_type(export.index).parameters)
    pages = 65536
    unknown = (Bytes(0, (module.memory_limits or (0, 0))[0] << 16),)
    return Subject(module, Certificate(
        module.sha256, (), Precondition(entry, arguments, unknown=unknown), f"f{export.index}",
        tuple(summaries), (), pages, Stack(0, 0),
    ))  # fmt: skip


def rows(subject: Subject, given: Input, most: int) -> list[Row]:
    module = subject.module
    points = []
    for place in range(len(module.functions)):
        layout = subject.image.layout(place + module.imported_functions)
        points += [(place, cut + 1) for cut in layout.cuts]
    made = checkpointed(module, sorted(points), buffer_pages=16)
    entry = subject.certificate.precondition.entry
    with InProcess()(made.binary, entry, given, (HITS,)) as run:
        found = list(made.rows(run.peek(made.address, made.size_bytes)))
    named = [made.checkpoints[row.point] for row in found]
    return [
        (point.place + module.imported_functions, point.number - 1, row.values)
        for point, row in zip(named, found, strict=True)
    ][:most]


def steps(found: list[Row]) -> Iterator[tuple[Row, Row, Row]]:
    """
    (Entry, cut, next cut) of one activation; functions must not be recursive.
    """
    entries: dict[int, Row] = {}
    last: dict[int, Row] = {}
    for row in found:
        function, cut, _ = row
        if cut == ENTRY:
            entries[function] = row
        else:
            yield entries[function], last[function], row
        last[function] = row


def equal(region: Region, state: State, row: Row) -> Value:
    """
    That a state is the one of a row; operands apart.
    """
    terms, widths = region.terms, region.layout.locals
    count = len(region.subject.module.global_types)
    local = zip(state.locals, row[2], widths, strict=False)
    globals_ = zip(state.globals, row[2][len(widths) :], strict=False)
    kinds = [region.global_width(k) for k in range(count)]
    return terms.both(
        *(terms.two("eq", value, known, width) for value, known, width in local),
        *(terms.two("eq", v, known, w) for (v, known), w in zip(globals_, kinds, strict=False)),
        terms.two("eq", state.pages, row[2][len(widths) + count], 32),
    )


def allowed(subject: Subject, step: tuple[Row, Row, Row], terms: Terms) -> bool:
    """
    Whether the step is one of those that the region of its first cut allows.
    """
    entered, before, after = step
    summary = subject.summaries[f"f{before[0]}"]
    region = Region(subject, summary, before[1], terms, {}, [], {})
    region.run()
    known: list[Any] = [equal(region, region.start, before), *region.definitions]
    for k, value in enumerate(region.params):
        known.append(terms.two("eq", value, entered[2][k], region.layout.locals[k]))
    known.append(equal(region, at_entry(region), entered))
    ways = [
        terms.both(state.guard, equal(region, state, after))
        for target, state in region.ends
        if target == after[1]
    ]
    return Solving(terms).satisfiable([*known, terms.either(*ways)])[0] == "holds"


def altered(row: Row, word: int) -> Row:
    values = list(row[2])
    values[word] ^= 1
    return row[0], row[1], tuple(values)


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"recursive"}))
def test_steps_of_samples(name: str) -> None:
    sample = SAMPLES[name]()
    memory = sample.certificate.summaries[-1].memory
    subject = bare(sample.module, "infer", memory=memory)
    terms = Terms()
    caught = tried = 0
    for given in sample.certificate.inputs[-2:]:
        for step in steps(rows(subject, given, 20)):
            assert allowed(subject, step, terms)
            for word in range(len(subject.image.layout(step[0][0]).locals)):
                tried += 1
                other = (step[0], step[1], altered(step[2], word))
                caught += not allowed(subject, other, terms)
    if tried:
        assert caught > 0


@pytest.mark.parametrize("name", ["digits-mlp-tanh", "digits-forest", "diabetes-svr-rbf"])
def test_steps_of_shipped_models(name: str) -> None:
    (path,) = sorted((MODELS / name).glob("*.wasm"))
    module = validated(path.read_bytes())
    subject = bare(module, "infer", memory=False)
    terms = Terms()
    for step in list(steps(rows(subject, Input(()), 400)))[::40]:
        assert allowed(subject, step, terms)
