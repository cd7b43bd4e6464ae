"""
What a call leaves behind for the one after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from attacks.bench import Bench, NodeUnableError, OpenInstance, Target
from attacks.gathering import Seen, attack_nodes
from attacks.host_ends import HostEnds
from attacks.marks import Traces, find_marks, marks_of
from attacks.records import Aspect, Breach, Importance, Result
from attacks.registry import scenario
from conformance.differential.outcomes import outcome_at
from runners.bits import format_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import Call, Level, Node, NotObserved, Outcome, Returned
from runners.status import Status

_ASPECTS: Final[tuple[tuple[Aspect, str, str], ...]] = (
    ("output", "kind", "its result bits differ"),
    ("globals", "globals", "exported globals differ after it"),
    ("pages", "pages", "memory has another size after it"),
    ("memory", "memory_sha256", "memory differs after it"),
    ("gas", "gas", "it takes another amount of fuel"),
)


@scenario(
    proves="no-residue",
    importance=Importance.CRITICAL,
    published=(
        "CVE-2023-4969, LeftoverLocals: https://kb.cert.org/vuls/id/446598",
        "CVE-2022-39393: https://osv.dev/vulnerability/GHSA-wh6w-3828-g9qf",
        "CWE-226, resource not cleared before reuse: https://cwe.mitre.org/data/definitions/226",
    ),
    detected_by=(
        "infer(x) after infer(secret), as the manifest has instances used, is compared with"
        " infer(x) in an instance that nobody used: outcome and result bits, memory, its size,"
        " exported globals, fuel. Before infer(x) all of linear memory is searched for the"
        " secret's values, wherever it differs from memory that nobody used"
    ),
    red=("attacks/leaks-scratch",),
    green=("attacks/wipes-scratch",),
    fake="keeps_memory",
)
def secret_of_an_earlier_call(bench: Bench) -> Result:
    """
    A caller finds what the caller before left in an instance's memory.

    LeftoverLocals (CVE-2023-4969, 2024) read other processes' language models out of GPU local
    memory that nobody had wiped between two kernels: a listener that only declared a buffer, and
    never wrote to it, recovered whole answers. On a chain the same happens without any hardware: a
    model keeps its activations in a scratch buffer, one call writes part of it, and the next reads
    the rest. An engine can do it to an innocent module: wasmtime's pooling allocator, up to 1.0.1
    and in 2.0.0 and 2.0.1, showed an instance without data of its own the heap image of the tenant
    that its slot had before (CVE-2022-39393).

    Under `instances = "fresh"`, as on chain, every call has an instance of its own: the instance
    with the secret is dropped, and the next one must start as the first one did and compute the
    same. Under `reuse(N)` the module itself must wipe: the export that [reset] names is called
    between callers, and a module that can keep anything and names none fails for that alone.

    Memory that the module does not export cannot be searched; then results, globals and fuel are
    all there is to compare, and the remark says so.
    """

    def attacked(place: int, node: Node) -> Seen:
        seen = Seen()
        for target in bench.targets:
            trial = _Trial(bench, place, node, target, seen.remarks, seen.ends)
            seen.breaches.extend(trial.new() if bench.run.policy == "fresh" else trial.reused())
        return seen

    return attack_nodes(bench, attacked)


@dataclass(frozen=True, slots=True)
class _Clean:
    """
    An instance that nobody used: its memory at the start, and what infer(x) does in it.
    """

    memory: bytes
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Trial:
    """
    One entry on one node.
    """

    bench: Bench
    place: int
    node: Node
    target: Target
    remarks: list[str]
    ends: HostEnds

    def new(self) -> Iterator[Breach]:
        """
        Every caller has an instance of its own: look at the one after the secret's.
        """
        clean = self._clean()
        self._note_dependence(clean)
        with self.bench.open(self.place, self.target.call) as used:
            # Nothing after it: another call would cover what this one leaves.
            self._noted(used, 0)
        with self.bench.open(self.place, self.target.call) as following:
            memory = self._memory(following)
            traces = self._search(memory, clean.memory)
            outcome = self._run(following, 1)
        if traces.marks:
            yield self._leak(traces, "the next instance's memory", outcome)
        elif memory != clean.memory:
            at = _first_difference(memory, clean.memory)
            words = f"a new instance's memory differs from another's from address {at} on"
            yield self._breach("new memory", words, outcome)
        words = "infer(x) in a new instance, after another's infer(secret) and before it"
        yield from self._apart(words, clean.outcome, outcome)

    def reused(self) -> Iterator[Breach]:
        """
        Callers share an instance: look at it after the module's own reset.
        """
        clean, reset = self._clean(), self.bench.run.reset
        with self.bench.open(self.place, self.target.call) as used:
            secret = self._noted(used, 0)
            if not _returned(secret):
                self._remark("infer(secret) does not return, so its instance is used no further")
                return
            if reset is None and self.bench.stateful:
                sentence = "the manifest declares reuse but names no [reset] that would wipe"
                yield self._breach("reset", sentence, secret)
            elif reset is not None:
                wiped = self._reset(used, reset)
                if not _returned(wiped):
                    sentence = f"the reset export {reset} does not return after infer(secret)"
                    yield self._breach("reset", sentence, wiped)
                    return
            traces = self._search(self._memory(used), clean.memory)
            outcome = self._run(used, 1)
        when = f"after the reset export {reset}" if reset else "after infer(secret)"
        if traces.marks:
            yield self._leak(traces, f"memory {when}", outcome)
        yield from self._apart(f"infer(x) {when}, and in a new instance", clean.outcome, outcome)

    # ------------------------------------------------------------------------------- steps

    def _clean(self) -> _Clean:
        with self.bench.open(self.place, self.target.call) as unused:
            memory = self._memory(unused)
            return _Clean(memory, self._noted(unused, 1))

    def _note_dependence(self, clean: _Clean) -> None:
        """
        Remark it if infer(x) would see infer(secret) in one instance: then it must have a new one.
        """
        with self.bench.open(self.place, self.target.call) as shared:
            if not _returned(self._run(shared, 0)):
                return
            differing = [aspect for aspect, _ in _differences(clean.outcome, self._run(shared, 1))]
        if differing:
            self._remark(
                f"it needs a new instance for each call: {differing[0]} would depend on the call"
                " before"
            )

    def _run(self, instance: OpenInstance, which: int) -> Outcome:
        """
        infer(secret) for 0, infer(x) for 1.
        """
        return self._called(instance, self.target.call, self.target.rows[which])

    def _noted(self, instance: OpenInstance, which: int) -> Outcome:
        """
        The same in an instance that nobody used, and whether the host ended it.
        """
        call = self.target.call
        ran = self._ran(instance, call, self.target.rows[which])
        self.ends.note(ran)
        return _outcome(ran, call)

    def _reset(self, instance: OpenInstance, name: str) -> Outcome:
        return self._called(instance, Call(entry=name, memory=self.target.call.memory), b"")

    def _called(self, instance: OpenInstance, call: Call, row: bytes) -> Outcome:
        return _outcome(self._ran(instance, call, row), call)

    def _ran(self, instance: OpenInstance, call: Call, row: bytes) -> BlockOutcome:
        inputs = np.frombuffer(row, np.uint8).reshape(1, len(row))
        block = CaseBlock(call, self.bench.budget, Level.FULL, np.zeros(1, np.uint64), inputs)
        return instance.run(block)

    def _memory(self, instance: OpenInstance) -> bytes:
        """
        All of its memory; nothing if the module does not export it.
        """
        if self.target.call.memory is None:
            if self.bench.stateful:
                self._remark("no memory is exported, so none was searched")
            return b""
        return instance.memory()

    def _search(self, memory: bytes, before: bytes) -> Traces:
        marks = marks_of(self.target.rows[0], self.target.columns)
        if not len(marks):
            self._remark(f"{self.target.call.entry} takes too little to be known again in memory")
        return find_marks(memory, before, marks)

    def _apart(self, words: str, clean: Outcome, outcome: Outcome) -> Iterator[Breach]:
        """
        A breach for each aspect in which infer(x) differs; *words* introduce the first.
        """
        for place, (aspect, difference) in enumerate(_differences(clean, outcome)):
            sentence = difference if place else f"{words}: {difference}"
            yield self._breach(aspect, sentence, outcome)

    def _leak(self, traces: Traces, where: str, outcome: Outcome) -> Breach:
        sentence = (
            f"{traces.marks} of {traces.of} bit patterns of the secret are in {where},"
            f" the first at address {traces.address}"
        )
        return self._breach("secret", sentence, outcome)

    def _breach(self, aspect: Aspect, sentence: str, outcome: Outcome) -> Breach:
        return Breach(
            node=self.node,
            entry=self.target.call.entry,
            aspect=aspect,
            sentence=sentence,
            history=tuple(format_bytes(row) for row in self.target.rows),
            outcome=outcome,
        )

    def _remark(self, clause: str) -> None:
        self.remarks.append(clause)


def _outcome(outcome: BlockOutcome, call: Call) -> Outcome:
    """
    The outcome of the only case of a block.
    """
    if outcome.status[0] == Status.PENDING:
        message = "a case was left out"
        raise NodeUnableError(message)
    return outcome_at(outcome, 0, call, Level.FULL)


def _returned(outcome: Outcome) -> bool:
    return isinstance(outcome.kind, Returned)


def _first_difference(left: bytes, right: bytes) -> int:
    size = min(len(left), len(right))
    one, two = np.frombuffer(left, np.uint8, size), np.frombuffer(right, np.uint8, size)
    places = np.flatnonzero(one != two)
    return int(places[0]) if len(places) else size


def _differences(left: Outcome, right: Outcome) -> Iterator[tuple[Aspect, str]]:
    """
    In what two outcomes of one call differ, of all that both show.
    """
    for aspect, name, words in _ASPECTS:
        one, two = getattr(left, name), getattr(right, name)
        if isinstance(one, NotObserved) or isinstance(two, NotObserved) or one == two:
            continue
        if aspect == "output" and _returned(left) != _returned(right):
            yield "kind", "it ends in another way"
        else:
            yield aspect, words
