from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from network_samples import (
    Honest,
    Lie,
    Lying,
    bends_arithmetic,
    computed,
    ends_as,
    first_inference,
    flips_last_bit,
    honest_outcome,
    plan_of,
    reads_a_meter,
    run,
)

from conformance.differential.records import FindingClass
from conformance.network.batches import Batch
from conformance.network.events import (
    Committed,
    Differed,
    Event,
    Fell,
    Halted,
    Proposed,
    Stalled,
    Voted,
)
from conformance.network.plan import BadPlanError
from conformance.network.simulation import simulate
from runners.bits import parse_bytes
from runners.blocks import BlockOutcome
from runners.status import Status


def lying(*liars: int, lie: Lie = flips_last_bit, since: int = 5) -> Lying:
    return Lying(Honest(), frozenset(liars), lie, since)


def heights(events: Sequence[Event], kind: type[Committed]) -> list[int]:
    return [event.height for event in events if isinstance(event, kind)]


# -------------------------------------------------------------------------------- all is well


def test_honest_validators_commit_every_height() -> None:
    result, events, _ = run(plan_of(), Honest())
    assert heights(events, Committed) == list(range(1, 13))
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (True, True)
    assert result.findings == ()
    assert sum(isinstance(event, Voted) for event in events) == 4 * 12


def test_one_seed_gives_one_log_byte_for_byte_and_another_seed_another() -> None:
    log = run(plan_of(seed=7), Honest())[2]
    assert run(plan_of(seed=7), Honest())[2] == log
    other = run(plan_of(seed=8), Honest())[2]
    without_first = [text.split(b"\n", 1)[1] for text in (log, other)]
    assert without_first[0] != without_first[1]


def test_a_log_with_findings_repeats_as_well() -> None:
    logs = {run(plan_of(), lying(1))[2] for _ in range(2)}
    assert len(logs) == 1


@dataclass
class Backwards:
    """
    Hands outcomes over in the opposite order.
    """

    honest: Honest

    def execute(
        self, validators: Sequence[int], batches: Sequence[Batch]
    ) -> Mapping[tuple[int, int], BlockOutcome]:
        return dict(reversed(list(self.honest.execute(validators, batches).items())))


def test_the_order_in_which_engines_are_done_changes_nothing() -> None:
    assert run(plan_of(), Backwards(Honest()))[2] == run(plan_of(), Honest())[2]


def test_readings_of_engines_meters_never_enter_consensus() -> None:
    result, _, log = run(plan_of(), lying(1, lie=reads_a_meter))
    assert result.ended.safety.holds
    assert log == run(plan_of(), Honest())[2]


def test_different_traps_are_one_kind_on_chain() -> None:
    seed = next(s for s in range(100) if traps(s))

    def other_trap(outcome: BlockOutcome, _: object) -> BlockOutcome:
        status = outcome.status.copy()
        status[status == Status.TRAP_UNREACHABLE] = Status.TRAP_UNKNOWN
        return replace(outcome, status=status)

    result = run(plan_of(seed=seed), lying(1, lie=other_trap, since=1))[0]
    assert result.ended.safety.holds


def traps(seed: int) -> bool:
    statuses: list[int] = []

    @dataclass
    class Watching(Honest):
        def execute(
            self, validators: Sequence[int], batches: Sequence[Batch]
        ) -> Mapping[tuple[int, int], BlockOutcome]:
            for batch in batches:
                statuses.extend(honest_outcome(batch.block).status.tolist())
            return super().execute(validators, batches)

    run(plan_of(seed=seed), Watching())
    return Status.TRAP_UNREACHABLE in statuses


def test_votes_arrive_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[str]:
        return [e.validator for e in run(plan_of(seed=seed), Honest())[1] if isinstance(e, Voted)]

    assert order(1) != order(2)
    assert sorted(order(1)[:4]) == sorted(order(2)[:4])


# --------------------------------------------------------------------------------- one liar


@pytest.mark.parametrize("liar", range(4))
def test_one_liar_among_four_is_named_and_the_others_go_on(liar: int) -> None:
    plan = plan_of()
    height, place, transaction = first_inference(plan, 5, returning=True)
    executor = lying(liar)
    result, events, _ = run(plan, executor)
    label = f"engine-{'abcd'[liar]}@1.0"
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert (differed.height, differed.first.transaction) == (height, place)
    assert differed.first.request == transaction
    assert differed.first.key == f"latest/{transaction.account:04d}"
    right = computed(parse_bytes(transaction.input))
    assert right is not None
    bits = struct.unpack("<2Q", right)[1]
    assert differed.first.element == 1
    assert {s.validator: s.value for s in differed.first.shown} == {
        f"engine-{letter}@1.0": f"f64:{bits ^ (letter == 'abcd'[liar]):016x}" for letter in "abcd"
    }
    assert [e.validator for e in events if isinstance(e, Halted)] == [label]
    assert heights(events, Committed) == list(range(1, 13))
    after = {e.validator for e in events if isinstance(e, Voted) and e.height > height}
    assert after == {f"engine-{letter}@1.0" for letter in "abcd"} - {label}
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (False, True)
    assert differed.blame.nodes == (label,)


def test_a_halted_validator_is_not_asked_again() -> None:
    honest = Honest()
    height = first_inference(plan_of(), 5, returning=True)[0]
    run(plan_of(), Lying(honest, frozenset({2}), flips_last_bit, 5))
    assert set(honest.asked[: height - 1]) == {(0, 1, 2, 3)}
    assert set(honest.asked[height:]) == {(0, 1, 3)}


def test_the_finding_holds_the_inference_and_what_each_node_did() -> None:
    plan = plan_of()
    height, place, transaction = first_inference(plan, 5, returning=True)
    (item,) = run(plan, lying(3))[0].findings
    finding = item.finding
    assert (item.height, item.transaction) == (height, place)
    assert finding.kind is FindingClass.VALUE
    assert finding.history == (transaction.input,)
    assert finding.module_sha256 == transaction.module_sha256
    assert finding.blame.nodes == ("engine-d@1.0",)
    assert (finding.input_dtype, finding.output_dtype) == ("f64", "f64")
    assert [o.node.label() for o in finding.observed] == [f"engine-{c}@1.0" for c in "abcd"]


def test_a_liar_that_traps_differs_in_kind() -> None:
    _, events, _ = run(plan_of(), lying(0, lie=ends_as(Status.TRAP_INTEGER_OVERFLOW)))
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert differed.first.aspect == "kind"
    assert [s.value for s in differed.first.shown] == ["trapped", *["returned"] * 3]


def test_a_limit_that_one_validator_meets_is_a_limit_finding() -> None:
    result, events, _ = run(plan_of(), lying(0, lie=ends_as(Status.EXHAUSTED_STACK)))
    assert [item.finding.kind for item in result.findings] == [FindingClass.LIMIT]
    assert [e.validator for e in events if isinstance(e, Halted)] == ["engine-a@1.0"]


# -------------------------------------------------------------------------- power is not right


def test_two_liars_that_agree_stop_the_chain_and_nobody_is_called_right() -> None:
    plan = plan_of()
    height = first_inference(plan, 1, returning=True)[0]
    assert height == 1
    result, events, _ = run(plan, lying(1, 2, since=1))
    assert heights(events, Committed) == []
    assert [(e.height, e.voted, e.largest, e.total) for e in events if isinstance(e, Stalled)] == [
        (1, 4, 2, 4)
    ]
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (False, False)
    assert result.ended.committed == 0
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert (differed.blame.party, differed.blame.nodes) == ("undecided", ())
    assert {frozenset(side.validators) for side in differed.sides} == {
        frozenset({"engine-a@1.0", "engine-d@1.0"}), frozenset({"engine-b@1.0", "engine-c@1.0"}),
    }  # fmt: skip
    assert not any(isinstance(event, Halted) for event in events)


def test_a_chain_that_stops_later_keeps_what_was_committed() -> None:
    plan = plan_of()
    height = first_inference(plan, 5, returning=True)[0]
    result, events, _ = run(plan, lying(1, 2))
    assert heights(events, Committed) == list(range(1, height))
    assert [e.height for e in events if isinstance(e, Proposed)] == list(range(1, height + 1))
    assert f"before height {height}" in result.ended.liveness.reason


def test_a_liar_with_the_power_commits_and_is_named_all_the_same() -> None:
    result, events, _ = run(plan_of(powers=(1, 1, 1, 10)), lying(3))
    assert heights(events, Committed) == list(range(1, 13))
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert differed.blame.nodes == ("engine-d@1.0",)
    halted = [e.validator for e in events if isinstance(e, Halted)]
    assert halted == ["engine-a@1.0", "engine-b@1.0", "engine-c@1.0"]
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (False, True)


def test_with_two_code_families_nobody_is_named_whatever_the_power() -> None:
    _, events, _ = run(plan_of(families="aaab"), lying(3))
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert (differed.blame.party, differed.blame.nodes) == ("undecided", ())
    assert [e.validator for e in events if isinstance(e, Halted)] == ["engine-d@1.0"]


def test_two_liars_that_do_not_agree_leave_three_sides() -> None:
    both = Lying(lying(0), frozenset({1}), ends_as(Status.TRAP_UNREACHABLE), 5)
    _, events, _ = run(plan_of(), both)
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert [side.power for side in differed.sides] == [1, 1, 2]
    assert any(isinstance(event, Stalled) for event in events)


# ------------------------------------------------------------------------------- broken workers


@pytest.mark.parametrize(
    ("lie", "what", "kind"),
    [
        (ends_as(Status.CRASHED, "SIGSEGV"), "crashed", FindingClass.BROKEN_WORKER),
        (ends_as(Status.TIMED_OUT), "timed out", FindingClass.BROKEN_WORKER),
        (ends_as(Status.BROKE_PROTOCOL, "reply-id"), "broke the protocol",
         FindingClass.BROKEN_WORKER),
        (bends_arithmetic, "bent arithmetic", FindingClass.FPU_MODE),
    ],
)  # fmt: skip
def test_a_broken_worker_is_named_and_out_and_the_others_go_on(
    lie: Lie, what: str, kind: FindingClass
) -> None:
    plan = plan_of()
    height, place, _ = first_inference(plan, 5, returning=False)
    result, events, _ = run(plan, lying(1, lie=lie))
    (fell,) = [event for event in events if isinstance(event, Fell)]
    assert (fell.height, fell.validator, fell.transaction) == (height, "engine-b@1.0", place)
    assert fell.what == what
    assert [item.finding.kind for item in result.findings] == [kind]
    assert fell.findings == (result.findings[0].finding.id,)
    voters = {e.validator for e in events if isinstance(e, Voted) and e.height >= height}
    assert voters == {"engine-a@1.0", "engine-c@1.0", "engine-d@1.0"}
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (True, True)


def test_two_broken_workers_stop_a_chain_that_stays_safe() -> None:
    result, events, _ = run(plan_of(), lying(1, 2, lie=ends_as(Status.CRASHED, "SIGSEGV")))
    assert [(e.voted, e.largest) for e in events if isinstance(e, Stalled)] == [(2, 2)]
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (True, False)
    assert [e.validator for e in events if isinstance(e, Fell)] == ["engine-b@1.0", "engine-c@1.0"]


def test_a_chain_whose_workers_all_break_at_once_proves_no_safety() -> None:
    executor = lying(0, 1, 2, 3, lie=ends_as(Status.TIMED_OUT), since=1)
    result, events, _ = run(plan_of(), executor)
    assert sum(isinstance(event, Fell) for event in events) == 4
    assert (result.ended.safety.holds, result.ended.liveness.holds) == (None, False)
    assert [item.finding.blame.party for item in result.findings] == ["module"]


def test_a_liar_and_a_broken_worker_at_one_height_are_told_apart() -> None:
    crash = ends_as(Status.CRASHED, "SIGSEGV")
    result, events, _ = run(plan_of(powers=(1, 1, 1, 1)), Lying(lying(0), frozenset({1}), crash, 5))
    (fell,) = [event for event in events if isinstance(event, Fell)]
    kinds = {item.finding.id: item.finding.kind for item in result.findings}
    assert [kinds[name] for name in fell.findings] == [FindingClass.BROKEN_WORKER]
    (differed,) = [event for event in events if isinstance(event, Differed)]
    assert [kinds[name] for name in differed.findings] == [FindingClass.VALUE]


def test_workers_that_break_at_one_place_in_other_ways_have_a_finding_each() -> None:
    crashing = lying(0, lie=ends_as(Status.CRASHED, "SIGSEGV"))
    result, events, _ = run(
        plan_of(), Lying(crashing, frozenset({1}), ends_as(Status.TIMED_OUT), 5)
    )
    falls = [event for event in events if isinstance(event, Fell)]
    assert [(e.validator, e.what) for e in falls] == [
        ("engine-a@1.0", "crashed"), ("engine-b@1.0", "timed out"),
    ]  # fmt: skip
    assert [len(event.findings) for event in falls] == [1, 1]
    assert len(result.findings) == 2


# ------------------------------------------------------------------------------------- the log


def test_what_happened_before_an_interruption_is_told() -> None:
    @dataclass
    class Interrupted(Honest):
        def execute(
            self, validators: Sequence[int], batches: Sequence[Batch]
        ) -> Mapping[tuple[int, int], BlockOutcome]:
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().execute(validators, batches)

    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        simulate(plan_of(), Interrupted(), events.append)
    assert heights(events, Committed) == [1, 2, 3]


def test_the_log_is_one_object_a_line_in_the_order_of_ticks() -> None:
    log = run(plan_of(), lying(1))[2]
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[0]["event"] == "planned"
    assert lines[-1]["event"] == "ended"
    assert lines[0]["meter"] == "model:flat@1"
    ticks = [line["tick"] for line in lines[1:-1]]
    assert ticks == sorted(ticks)


def test_a_plan_that_cannot_be_is_refused_before_anything_happens() -> None:
    events: list[Event] = []
    with pytest.raises(BadPlanError):
        simulate(plan_of(powers=(0, 0, 0, 0)), Honest(), events.append)
    assert events == []
