"""
The simulation: takes events from the queue one by one, and tells what happened.

Each height is proposed, executed by every validator that takes part, voted on after a delay drawn
from the seed, and closed at a fixed tick. Faults are further kinds of happenings in the same queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.differential.draws import scaled, stream, words
from conformance.differential.records import Blame, Finding, FindingClass
from conformance.differential.vote import Voice
from conformance.network.ballots import BallotBox, Hashes, Side
from conformance.network.batches import Batch, batches_of, read_answers
from conformance.network.difference import Execution, first_difference
from conformance.network.events import (
    Committed,
    Differed,
    Ended,
    Event,
    Fell,
    Halted,
    Holding,
    Member,
    ModelLine,
    Planned,
    Proposed,
    Stalled,
    Voted,
)
from conformance.network.executor import Executor
from conformance.network.judging import NetworkFinding, findings_at
from conformance.network.machine import Applied, apply_block, transactions_hash
from conformance.network.plan import Plan, check_plan
from conformance.network.queue import EventQueue
from conformance.network.state import State
from conformance.network.transactions import METER, Transaction
from conformance.network.verdicts import Tally
from conformance.network.workload import Workload
from runners.blocks import BlockOutcome
from runners.status import Status

LONGEST_DELAY: Final = 500
"""Ticks after which the slowest vote is in."""
CLOSE_AFTER: Final = 600
"""Ticks from a proposal until votes are no longer waited for."""
NEXT_AFTER: Final = 400
"""Ticks from then until the next proposal."""

_BREAKS: Final = {
    Status.CRASHED: "crashed",
    Status.TIMED_OUT: "timed out",
    Status.BROKE_PROTOCOL: "broke the protocol",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    It is time to propose a block.
    """

    height: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A validator's vote arrives.
    """

    validator: int
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class Closing:
    """
    Votes on the height are no longer waited for.
    """


Happening = Proposal | Arrival | Closing


@dataclass(frozen=True, slots=True)
class RunResult:
    """
    What a run came to.
    """

    ended: Ended
    findings: tuple[NetworkFinding, ...]
    """Each once, in the order in which they arose."""


@dataclass(frozen=True, slots=True)
class _Round:
    """
    The height that is being decided.
    """

    height: int
    transactions: tuple[Transaction, ...]
    batches: tuple[Batch, ...]
    outcomes: Mapping[tuple[int, int], BlockOutcome]
    applied: Mapping[int, Applied]
    """By validator; those that fell are missing."""
    box: BallotBox


def simulate(plan: Plan, executor: Executor, tell: Callable[[Event], None]) -> RunResult:
    """
    Carry out *plan*, telling every event in order; raises BadPlanError.

    Whatever *executor* raises ends the run.
    """
    check_plan(plan)
    return _Simulation(plan, executor, tell).run()


class _Simulation:
    """
    A run that is under way.
    """

    def __init__(self, plan: Plan, executor: Executor, tell: Callable[[Event], None]) -> None:
        self.plan, self.executor, self._listener = plan, executor, tell
        self.workload = Workload(plan.seed, plan.models)
        self.queue: EventQueue[Happening] = EventQueue()
        self.states = {place: State() for place in range(len(plan.validators))}
        """By validator; only those that take part."""
        self.tally = Tally(plan.blocks)
        self.findings: dict[str, NetworkFinding] = {}
        self.round: _Round | None = None

    def run(self) -> RunResult:
        """
        Take events until there are none.
        """
        self.tell(self._planned())
        self.queue.schedule(0, Proposal(1))
        while (happening := self.queue.take()) is not None:
            match happening:
                case Proposal(height):
                    self._propose(height)
                case Arrival(validator, hashes):
                    self._arrive(self._current(), validator, hashes)
                case Closing():
                    self._close(self._current())
        tally = self.tally
        ended = Ended(tally.committed, tally.safety(), tally.liveness(), tuple(self.findings))
        self.tell(ended)
        return RunResult(ended, tuple(self.findings.values()))

    def tell(self, event: Event) -> None:
        """
        Take an event into account and hand it on.
        """
        self.tally.note(event)
        self._listener(event)

    def _planned(self) -> Planned:
        members = tuple(Member(v.label, v.node, v.power) for v in self.plan.validators)
        models = tuple(ModelLine(model.name, model.sha256) for model in self.plan.models)
        return Planned(self.plan.seed, self.plan.blocks, METER, members, models)

    def _current(self) -> _Round:
        if self.round is None:
            message = "a vote or a closing without a proposal before it"
            raise RuntimeError(message)
        return self.round

    def _label(self, validator: int) -> str:
        return self.plan.validators[validator].label

    # ------------------------------------------------------------------------- proposal

    def _propose(self, height: int) -> None:
        """
        Have all that take part execute a block, and send their votes on their way.
        """
        transactions = self.workload.block(height)
        kinds = tuple(str(t.__struct_config__.tag) for t in transactions)
        root = transactions_hash(transactions)
        self.tell(Proposed(height, self.queue.now, root, kinds))
        batches = batches_of(height, transactions, self.plan.models)
        outcomes = self.executor.execute(tuple(self.states), batches) if batches else {}
        applied: dict[int, Applied] = {}
        fallen: dict[int, int] = {}
        for validator, state in self.states.items():
            answers = read_answers(batches, [outcomes[validator, i] for i in range(len(batches))])
            if answers.broken_at is None:
                applied[validator] = apply_block(state, height, transactions, answers.by_place)
            else:
                fallen[validator] = answers.broken_at
        box = BallotBox(self.plan)
        self.round = _Round(height, transactions, batches, outcomes, applied, box)
        # Votes of all active validators take part in naming who fell: before the states go.
        for validator, place in fallen.items():
            self._fall(self.round, validator, place)
        for validator in fallen:
            del self.states[validator]
        for validator, delay in enumerate(self._delays(height)):
            if validator in applied:
                held = applied[validator]
                hashes = (held.app_hash, held.results_hash)
                self.queue.schedule(delay, Arrival(validator, hashes))
        self.queue.schedule(CLOSE_AFTER, Closing())

    def _delays(self, height: int) -> list[int]:
        """
        How long each validator's vote takes; drawn for all, so that no one's fall moves another's.
        """
        generator = stream(self.plan.seed, "network delay", str(height))
        raw = words(generator, len(self.plan.validators))
        return [1 + int(word) for word in scaled(raw, LONGEST_DELAY)]

    def _fall(self, around: _Round, validator: int, place: int) -> None:
        """
        A validator's worker broke at a transaction.
        """
        index = _batch_at(around.batches, place)
        outcome = around.outcomes[validator, index]
        row = around.batches[index].places.index(place)
        what = _BREAKS.get(Status(int(outcome.status[row])), "bent arithmetic")
        label = self._label(validator)
        judged = self._judge(around, index, place, tuple(self.states))
        named = [item for item in judged if _concerns(item.finding, label)]
        self._keep(named)
        ids = tuple(item.finding.id for item in named)
        self.tell(Fell(around.height, self.queue.now, label, place, what, ids))

    # ----------------------------------------------------------------------------- votes

    def _arrive(self, around: _Round, validator: int, hashes: Hashes) -> None:
        """
        Count a vote.
        """
        height, now, power = around.height, self.queue.now, self.plan.validators[validator].power
        self.tell(Voted(height, now, self._label(validator), power, *hashes))
        if around.box.cast(validator, hashes):
            self.tell(Committed(height, now, around.box.power_of(hashes), *hashes))

    def _close(self, around: _Round) -> None:
        """
        Name what differs, part with those that do not hold what was committed, go on or stop.
        """
        sides, height, now = around.box.sides(), around.height, self.queue.now
        if len(sides) > 1:
            self.tell(self._differed(around, sides))
        committed = around.box.committed
        if committed is None:
            voted = sum(side.power for side in sides)
            largest = max((side.power for side in sides), default=0)
            self.tell(Stalled(height, now, voted, largest, self.plan.total_power))
            return
        for side in sides:
            for validator in side.validators:
                if side.hashes == committed:
                    self.states[validator] = around.applied[validator].state
                else:
                    del self.states[validator]
                    self.tell(Halted(height, now, self._label(validator)))
        if height < self.plan.blocks:
            self.queue.schedule(NEXT_AFTER, Proposal(height + 1))

    def _differed(self, around: _Round, sides: Sequence[Side]) -> Differed:
        """
        The first difference of a height, with its findings.
        """
        voters = sorted(around.applied)
        executions = [Execution(self._label(v), around.applied[v]) for v in voters]
        first = first_difference(around.transactions, executions, self.plan.models)
        if first is None:
            message = f"height {around.height}: hashes differ, but neither results nor states do"
            raise RuntimeError(message)
        found: tuple[NetworkFinding, ...] = ()
        if first.transaction is not None and first.aspect in {"kind", "output"}:
            index = _batch_at(around.batches, first.transaction)
            found = self._judge(around, index, first.transaction, voters)
        self._keep(found)
        reason = "No inference shows the difference, so there is nothing to put to the vote."
        return Differed(
            height=around.height,
            tick=self.queue.now,
            sides=tuple(
                Holding(tuple(map(self._label, side.validators)), side.power, *side.hashes)
                for side in sides
            ),
            first=first,
            blame=found[0].finding.blame if found else Blame("undecided", (), reason),
            findings=tuple(item.finding.id for item in found),
        )

    # -------------------------------------------------------------------------- findings

    def _judge(
        self, around: _Round, index: int, place: int, validators: Sequence[int]
    ) -> tuple[NetworkFinding, ...]:
        """
        Put what validators did with one inference to the vote.
        """
        batch, voices = around.batches[index], []
        for validator in validators:
            member = self.plan.validators[validator]
            outcome = around.outcomes[validator, index]
            voices.append(Voice(member.node, member.families, outcome))
        model = next(m for m in self.plan.models if m.sha256 == batch.module_sha256)
        entry = model.entries[batch.block.call.entry]
        return findings_at(batch, entry, place, around.height, voices)

    def _keep(self, found: Sequence[NetworkFinding]) -> None:
        for item in found:
            self.findings.setdefault(item.finding.id, item)


def _batch_at(batches: Sequence[Batch], place: int) -> int:
    """
    Which batch holds the inference at *place*.
    """
    return next(index for index, batch in enumerate(batches) if place in batch.places)


def _concerns(finding: Finding, label: str) -> bool:
    """
    Whether a finding is about the fall of this node, and not about what others hold beside it.
    """
    if finding.kind not in {FindingClass.BROKEN_WORKER, FindingClass.FPU_MODE}:
        return False
    # Where all nodes fall alike, or the harness is to blame, the finding names no node.
    return label in finding.blame.nodes or not finding.blame.nodes
