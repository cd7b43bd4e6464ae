"""
From disagreements to findings: what is one finding, what it shows, and in which order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replaced
from voting_samples import (
    CALL,
    MINUS_ZERO,
    NAN,
    ONE,
    SCALAR,
    SCALAR_SHAPE,
    SHAPE,
    TWO,
    ZERO,
    block_of,
    ending,
    returning,
    rows_of,
    voice_of,
)

from conformance.differential.findings import (
    JudgedBlock,
    call_history,
    collect_findings,
    shape_of,
)
from conformance.differential.outcomes import outcome_at
from conformance.differential.records import FindingClass
from conformance.differential.vote import Voice, vote
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import (
    BrokeProtocol,
    Call,
    Crashed,
    Exhausted,
    GasReading,
    Level,
    NotObserved,
    Rejected,
    Returned,
    TimedOut,
    Trapped,
)
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status

SHA = "ab" * 32


def judged(
    outcomes: dict[str, BlockOutcome], *, first_id: int = 100, inputs: list[int] | None = None
) -> JudgedBlock:
    n = len(next(iter(outcomes.values())))
    call = replace_call(len(inputs or []))
    block = block_of(n, call)
    block = replace(block, ids=np.arange(first_id, first_id + n, dtype=np.uint64))
    if inputs:
        block = replace(block, inputs=rows_of([[i] for i in inputs]))
    voices = [voice_of(name, outcome) for name, outcome in outcomes.items()]
    return JudgedBlock(block, SCALAR_SHAPE, voices, vote(block, SCALAR_SHAPE, voices, "exact", 2))


def replace_call(inputs: int) -> Call:
    if not inputs:
        return SCALAR
    return Call(SCALAR.entry, results=SCALAR.results, input=CALL.input)


def test_one_finding_per_way_of_differing() -> None:
    block = judged(
        {
            "a": returning(ONE, ONE, ZERO, ONE),
            "b": returning(ONE, ONE, ZERO, ONE),
            "c": returning(TWO, ZERO, MINUS_ZERO, ONE),
            "d": returning(ONE, ONE, ZERO, TWO),
        }
    )
    made = collect_findings([block], module_sha256=SHA, nan="exact")
    assert [(m.finding.count, m.deviants, m.manner, m.case_ids) for m in made] == [
        (2, ("c@1.0",), "other", (100, 101)),
        (1, ("c@1.0",), "sign-of-zero", (102,)),
        (1, ("d@1.0",), "other", (103,)),
    ]
    assert {m.finding.kind for m in made} == {FindingClass.VALUE}
    assert made[0].finding.blame.nodes == ("c@1.0",)
    assert made[0].finding.module_sha256 == SHA


def test_agreement_makes_no_finding() -> None:
    block = judged({"a": returning(ONE, NAN), "b": returning(ONE, NAN)})
    assert collect_findings([block], module_sha256=SHA, nan="exact") == ()


def test_finding_shows_the_simplest_case() -> None:
    outcomes = {"a": returning(ONE, ONE, ONE), "b": returning(TWO, TWO, TWO)}
    block = judged(outcomes, inputs=[0x0101, 0x0300, 0x0003])
    (made,) = collect_findings([block], module_sha256=SHA, nan="exact")
    assert made.case_id == 101
    assert made.finding.history == ("bytes:0003000000000000",)
    assert made.finding.count == 3


def test_order_of_blocks_changes_nothing() -> None:
    first = judged({"a": returning(ONE, ONE), "b": returning(TWO, ONE), "c": returning(ONE, ZERO)})
    second = judged(
        {"a": ending(ONE, Status.CRASHED), "b": returning(TWO, ONE), "c": returning(ONE, ONE)},
        first_id=500,
    )
    left = collect_findings([first, second], module_sha256=SHA, nan="exact")
    right = collect_findings([second, first], module_sha256=SHA, nan="exact")
    assert left == right
    assert [m.finding.kind.value for m in left] == ["value", "value", "broken-worker"]
    assert left[0].case_ids == (100, 500)


def test_pages_and_memory_of_one_node_are_one_finding_of_one_case() -> None:
    same = replace(
        returning(ONE), pages=np.array([1], np.uint32), memory=np.zeros((1, 32), np.uint8)
    )
    other = replace(same, pages=np.array([2], np.uint32), memory=np.ones((1, 32), np.uint8))
    (made,) = collect_findings(
        [judged({"a": same, "b": same, "c": other})], module_sha256=SHA, nan="exact"
    )
    assert (made.finding.kind, made.finding.count) == (FindingClass.STATE, 1)


def test_finding_keeps_what_every_asked_node_did() -> None:
    block = block_of(2)
    voices = [
        voice_of("b", returning(TWO), rows=np.array([1])),
        voice_of("a", returning(ONE, ONE)),
        voice_of("c", returning(ONE), rows=np.array([0])),
    ]
    verdict = vote(block, SCALAR_SHAPE, voices, "exact", 2)
    (made,) = collect_findings(
        [JudgedBlock(block, SCALAR_SHAPE, voices, verdict)], module_sha256=SHA, nan="exact"
    )
    shown = [(o.node.label(), o.generator, o.outcome.kind) for o in made.finding.observed]
    assert shown == [
        ("a@1.0", "a", Returned(("i64:3ff0000000000000",), "bytes:")),
        ("b@1.0", "b", Returned(("i64:4000000000000000",), "bytes:")),
    ]
    assert made.finding.result_dtypes == ("f64",)
    assert shape_of(made.finding) == SCALAR_SHAPE


def test_shape_travels_with_the_finding() -> None:
    block = block_of(1, CALL)
    rows = [rows_of([[ONE, ONE, ONE]]), rows_of([[ONE, ONE, TWO]])]
    voices = [
        voice_of(name, BlockOutcome(np.array([1], np.uint8), row))
        for name, row in zip("ab", rows, strict=True)
    ]
    verdict = vote(block, SHAPE, voices, "exact", 2)
    (made,) = collect_findings(
        [JudgedBlock(block, SHAPE, voices, verdict)], module_sha256=SHA, nan="exact"
    )
    assert (made.finding.result_dtypes, made.finding.output_dtype) == (("f64",), "f64")
    assert shape_of(made.finding) == SHAPE


def reusing(policy: str, *ends: Status | int, rows: list[int] | None = None) -> Voice:
    voice = voice_of("a", ending(*ends))
    node = type(voice.node)(voice.node.engine, policy=policy)
    return replace(voice, node=node, rows=None if rows is None else np.array(rows))


@pytest.mark.parametrize(
    ("policy", "row", "expected"),
    [
        ("fresh", 4, (4,)),
        ("pooled", 4, (4,)),
        ("reuse(3)", 4, (3, 4)),
        ("reuse(3)", 5, (3, 4, 5)),
        ("reuse(10)", 4, (0, 1, 2, 3, 4)),
        ("reuse(3)", 3, (3,)),
    ],
)
def test_history_starts_where_the_instance_was_opened(
    policy: str, row: int, expected: tuple[int, ...]
) -> None:
    voice = reusing(policy, *[ONE] * 6)
    assert call_history(block_of(6), voice, row) == expected


def test_history_starts_anew_after_a_call_that_did_not_return() -> None:
    voice = reusing("reuse(10)", ONE, Status.TRAP_UNREACHABLE, ONE, ONE)
    assert call_history(block_of(4), voice, 3) == (2, 3)
    assert call_history(block_of(4), voice, 1) == (0, 1)


def test_history_follows_the_rows_that_the_node_was_asked() -> None:
    voice = reusing("reuse(2)", ONE, ONE, ONE, rows=[5, 2, 7])
    block = block_of(8)
    assert [call_history(block, voice, row) for row in (5, 2, 7, 3)] == [(5,), (5, 2), (7,), ()]


def test_finding_keeps_the_history_and_its_policy() -> None:
    block = block_of(2, replace_call(1))
    block = replace(block, inputs=rows_of([[1], [2]]))
    voices = [
        reusing("reuse(2)", ONE, TWO),
        voice_of("b", returning(ONE, ONE)),
        voice_of("c", returning(ONE, ONE)),
    ]
    verdict = vote(block, SCALAR_SHAPE, voices, "exact", 2)
    (made,) = collect_findings(
        [JudgedBlock(block, SCALAR_SHAPE, voices, verdict)], module_sha256=SHA, nan="exact"
    )
    assert made.finding.policy == "reuse(2)"
    assert made.finding.history == ("bytes:0100000000000000", "bytes:0200000000000000")


def kind_of(status: Status, text: str = "") -> object:
    outcome = replace(ending(status), details={0: text} if text else {})
    return outcome_at(outcome, 0, SCALAR, Level.RESULT).kind


def test_every_status_becomes_a_record() -> None:
    kinds: dict[type | tuple[type, ...], Iterable[Status]] = {
        Trapped: TRAPS,
        Exhausted: LIMITS,
        Rejected: REJECTED,
        Returned: {Status.RETURNED},
        (Crashed, TimedOut, BrokeProtocol): BROKEN,
    }
    for record, statuses in kinds.items():
        for status in statuses:
            assert isinstance(kind_of(status), record)
    traps = {kind_of(status).kind for status in TRAPS}  # type: ignore[attr-defined]
    assert len(traps) == len(TRAPS)
    with pytest.raises(ValueError, match="never reached"):
        kind_of(Status.PENDING)


def test_only_words_of_the_protocol_enter_a_record() -> None:
    assert kind_of(Status.REJECTED_COMPILE, "unsupported: v128") == Rejected(
        "compile", "unsupported"
    )
    assert kind_of(Status.REJECTED_ENTRY, "panicked at 0x7f3a") == Rejected("entry", "unknown")
    assert kind_of(Status.CRASHED, "SIGSEGV") == Crashed("SIGSEGV")
    assert kind_of(Status.CRASHED, "SIGSEGV0xdead") == Crashed("unknown")
    assert kind_of(Status.BROKE_PROTOCOL, "status-byte") == BrokeProtocol("status-byte")
    assert kind_of(Status.BROKE_PROTOCOL, "statusbyte") == BrokeProtocol("unknown")


def test_observations_become_values_or_reasons() -> None:
    outcome = replace(
        returning(ONE),
        pages=np.array([3], np.uint32),
        gas=np.array([77], np.uint64),
        meter="fuel:x@1",
        not_observed=(("memory", "libwasmvm hides it"),),
    )
    made = outcome_at(outcome, 0, SCALAR, Level.FULL)
    assert made.pages == 3
    assert made.memory_sha256 == NotObserved("libwasmvm hides it")
    assert isinstance(made.gas, tuple)
    assert isinstance(made.gas[0], GasReading)
    assert (made.gas[0].meter, made.gas[0].unit, made.gas[0].vm_part) == ("fuel:x@1", "fuel", 77)
    low = outcome_at(returning(ONE), 0, SCALAR, Level.RESULT)
    assert low.pages == NotObserved("not asked for at level result")


def test_bits_where_zeros_belong_are_shown() -> None:
    call = Call("f", results=("f32",))
    narrow = outcome_at(returning(0x3F800000), 0, call, Level.RESULT).kind
    wide = outcome_at(returning(0x1_3F800000), 0, call, Level.RESULT).kind
    assert narrow == Returned(("f32:3f800000",), "bytes:")
    assert wide == Returned(("i64:000000013f800000",), "bytes:")


def test_globals_have_the_types_that_the_call_gives_them() -> None:
    words = (0x41B0000000000000, 0x3F800000, 0x1_00000007)
    row = np.array([words], "<u8").view(np.uint8)
    outcome = replace(returning(ONE), globals=row)
    call = Call("f", results=("f64",), globals=("a", "b", "c"))
    typed = replaced(call, global_types=("f64", "f32", "i32"))
    untyped = outcome_at(outcome, 0, call, Level.STATE).globals
    assert untyped == ("i64:41b0000000000000", "i64:000000003f800000", "i64:0000000100000007")
    made = outcome_at(outcome, 0, typed, Level.STATE).globals
    # Bits above an i32 would be lost with its type.
    assert made == ("f64:41b0000000000000", "f32:3f800000", "i64:0000000100000007")


def test_blocks_are_not_touched() -> None:
    block = judged({"a": returning(ONE), "b": returning(TWO)})
    assert isinstance(block.block, CaseBlock)
    before = block.block.inputs.copy()
    collect_findings([block], module_sha256=SHA, nan="exact")
    assert np.array_equal(before, block.block.inputs)
