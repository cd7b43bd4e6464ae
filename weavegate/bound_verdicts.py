"""
The verdicts of bounds: gas-bounded, gas-independent, memory-bounded, stack-bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.admission.fitting import Fit
from conformance.bounds.bound import GasAnswer
from conformance.bounds.certificate import Certificate
from reports.model import FindingReport, PropertyVerdict, Verdict
from reports.phrases import count
from weavegate.bound_job import BoundDone
from weavegate.bound_measuring import Measurements
from weavegate.bound_output import obstacle_lines
from weavegate.bound_proofs import Bounded, Proof
from weavegate.bound_spans import PAGES
from weavegate.bounds_asked import GAS, INDEPENDENT, MEMORY, STACK

_PAGES_LIMIT = "memory pages"
"""What `conformance.admission.fitting` calls the chain's limit of pages."""


@dataclass(frozen=True, slots=True)
class Judging:
    """
    What verdicts are made of.
    """

    bounded: Bounded
    measured: Measurements
    findings: Sequence[FindingReport]

    def verdicts(self) -> tuple[PropertyVerdict, ...]:
        """
        All four, in this order.
        """
        return (self._gas(), self._independent(), self._memory(), self._stack())

    # ------------------------------------------------------------------------------------ gas

    def _gas(self) -> PropertyVerdict:
        """
        Whether no call costs more than proved, nor more than a limit that was asked for.
        """
        asked, told = self.bounded.asked, _Told(self._red(GAS))
        for proof in self.bounded.proofs:
            done = proof.done
            if done is None or proof.certificate is None:
                told.open(f"{proof.entry}: {_why(proof)}")
                continue
            assumed = done.report.assumptions
            for answer in done.report.gas:
                told.say(f"{proof.entry}: {answer.model} {answer.sentence(assumed)}"
                         f"{self._seen(proof.entry, answer.model)}")  # fmt: skip
                if answer.bound is None:
                    told.open(f"{proof.entry}: {answer.model} is unknown: {_why(proof)}")
            if done.kept is not None:
                told.say(f"{proof.entry}: {done.kept.sentence()}")
                for broken in done.kept.broken:
                    told.fail(f"{proof.entry}: the host breaks its contract: {broken}")
            for model, most in asked.limits.max_gas:
                whole = done.report.whole_gas(model)
                if whole is not None:
                    told.limit(f"max_gas {model}", whole, most)
            self._fits(told, done, pages=False)
        for item in self.measured.coverage:
            told.say(
                f"counted on {item.node}: {count(item.inputs, 'input')} of the certificate and"
                f" {item.cases:,} of {item.of:,} cases of {item.entry}"
            )
        return told.verdict(GAS)

    def _seen(self, entry: str, model: str) -> str:
        """
        What was measured of a model, by each meter.
        """
        words = [
            f"{span.least:,}..{span.most:,} by {_meter(span.what)} on {count(span.cases, 'call')}"
            for span in self.measured.spans
            if span.entry == entry and span.bound.model == model and span.returned
        ]
        return f" (measured {', '.join(words)})" if words else ""

    def _fits(self, told: _Told, done: BoundDone, *, pages: bool) -> None:
        """
        The chain's limits: of pages, or all others.

        As for `weavegate bound`, the first of them (the author's own, else that of a query) must be
        known; of the others it is said where they are not.
        """
        if done.chain is None:
            return
        fitting, unknown = [], []
        for place, fit in enumerate(done.fits):
            if (fit.limit == _PAGES_LIMIT) != pages:
                continue
            if fit.answer == "exceeds":
                told.fail(f"{done.chain.name}: {fit.limit}: {fit.sentence}")
            elif fit.answer == "unknown":
                unknown.append(fit.limit)
                if not place and not pages:
                    told.open(f"{done.chain.name}: {fit.limit}: {fit.sentence}")
            else:
                fitting.append(_allowed(fit))
        if fitting:
            told.say(f"fits {done.chain.name}: {', '.join(fitting)}")
        if unknown:
            told.say(f"unknown on {done.chain.name}: {', '.join(unknown)}")

    def _red(self, name: str) -> list[str]:
        """
        Sentences of findings against a property that no allowance covers.
        """
        return [
            item.finding.blame.reason.rstrip(".")
            for item in self.findings
            if item.finding.property == name and not item.allowed_by
        ]

    # --------------------------------------------------------------------------- independence

    def _independent(self) -> PropertyVerdict:
        """
        Whether every input costs the same; a refutation is red only where it was asked for.
        """
        told, asked = _Told(), self.bounded.asked.independent
        for proof in self.bounded.proofs:
            done = proof.done
            if done is None:
                told.open(f"{proof.entry}: {_why(proof)}")
                continue
            taints = {taint.model: taint for taint in done.taints}
            for answer in done.report.gas:
                what = f"{proof.entry}: {answer.model}"
                taint = taints.get(answer.model)
                if answer.independence == "proved":
                    told.say(f"{what} is the same for every input")
                elif answer.independence == "refuted":
                    told.fail(f"{what}: {_witnesses(answer)}")
                elif taint is not None and taint.independent and not taint.incomplete:
                    told.say(f"{what} is {taint.gas:,} for every input that returns (taint run)")
                else:
                    why = f" ({_why(proof)})" if proof.certificate is None else ""
                    told.open(f"{what}: neither proved nor refuted{why}")
        made = told.verdict(INDEPENDENT)
        if asked or made.verdict == "holds":
            return made
        sentence = f"not required, and {made.sentence}"
        return PropertyVerdict(property=INDEPENDENT, verdict="not-asked", sentence=sentence)

    # ----------------------------------------------------------------------- memory and stack

    def _memory(self) -> PropertyVerdict:
        """
        Whether no call has more pages than proved, nor more than a limit that was asked for.
        """
        told, most = _Told(self._red(MEMORY)), self.bounded.asked.limits.max_pages
        for proof, done, certificate in self._certified(told):
            told.say(f"{proof.entry}: at most {count(certificate.pages, 'page')}"
                     f"{self._pages_seen(proof.entry)}{_assuming(certificate)}")  # fmt: skip
            if most is not None:
                told.limit("max_pages", certificate.pages, most)
            self._fits(told, done, pages=True)
        return told.verdict(MEMORY)

    def _pages_seen(self, entry: str) -> str:
        spans = [s for s in self.measured.spans if s.entry == entry and s.what == PAGES]
        if not any(span.returned for span in spans):
            return " (no node showed its pages)"
        cases = sum(span.cases for span in spans)
        most, nodes = max(span.most for span in spans), len({span.node for span in spans})
        return f" (measured: at most {most:,} on {count(nodes, 'node')} in {count(cases, 'call')})"

    def _stack(self) -> PropertyVerdict:
        """
        Whether the stack is bounded, and within limits that were asked for; no engine shows it.
        """
        told, limits = _Told(), self.bounded.asked.limits
        for proof, _, certificate in self._certified(told):
            stack = certificate.stack
            shadow = ""
            if stack.shadow_global is not None:
                shadow = (
                    f", stack in linear memory (global {stack.shadow_global}) never below"
                    f" {stack.shadow_lowest:,}"
                )
            told.say(
                f"{proof.entry}: at most {count(stack.depth, 'activation')},"
                f" {count(stack.frame_words, 'frame word')}{shadow}{_assuming(certificate)}"
                " (proved; no engine shows it)"
            )
            if limits.max_depth is not None:
                told.limit("max_depth", stack.depth, limits.max_depth)
            if limits.max_frame_words is not None:
                told.limit("max_frame_words", stack.frame_words, limits.max_frame_words)
        return told.verdict(STACK)

    def _certified(self, told: _Told) -> Iterator[tuple[Proof, BoundDone, Certificate]]:
        """
        Entries with a certificate; of the others it is told why they have none.
        """
        for proof in self.bounded.proofs:
            if proof.done is None or proof.certificate is None:
                told.open(f"{proof.entry}: {_why(proof)}")
            else:
                yield proof, proof.done, proof.certificate


class _Told:
    """
    Gathers what a verdict rests on: what fails first, then what is open, then facts.
    """

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing, self.unknown, self.facts = list(failing), list[str](), list[str]()

    def say(self, fact: str) -> None:
        self.facts.append(fact)

    def fail(self, why: str) -> None:
        self.failing.append(why)

    def open(self, why: str) -> None:
        self.unknown.append(why)

    def limit(self, name: str, needed: int, most: int) -> None:
        """
        A limit of the manifest.
        """
        if needed > most:
            self.fail(f"{name} allows {most:,}, up to {needed:,} are proved")
        else:
            self.say(f"within {name} {most:,}")

    def verdict(self, name: str) -> PropertyVerdict:
        word: Verdict = "fails" if self.failing else "undecided" if self.unknown else "holds"
        sentence = "; ".join([*self.failing, *self.unknown, *self.facts])
        return PropertyVerdict(property=name, verdict=word, sentence=sentence)


def _why(proof: Proof) -> str:
    """
    Why an entry has no certificate.
    """
    if proof.done is None:
        return proof.reason
    obstacles = proof.done.report.obstacles
    return obstacle_lines(obstacles[0])[0] if obstacles else "unknown"


def _meter(what: str) -> str:
    """
    `own meter fuel:wasmtime@50.0.1`, or that it was counted.
    """
    return "counting" if what.startswith("model:") else f"meter {what}"


def _witnesses(answer: GasAnswer) -> str:
    gas = sorted(set(answer.measured))
    return f"two inputs cost {gas[0]:,} and {gas[-1]:,}"


def _assuming(certificate: Certificate) -> str:
    return f", if {' and '.join(certificate.assumptions)}" if certificate.assumptions else ""


def _allowed(fit: Fit) -> str:
    return fit.limit if fit.allowed is None else f"{fit.limit} {fit.needed:,} of {fit.allowed:,}"


def required(verdict: PropertyVerdict, names: Sequence[str]) -> PropertyVerdict:
    """
    A property that must be decided is undecided where it was not asked.
    """
    if verdict.property not in names or verdict.verdict != "not-asked":
        return verdict
    return PropertyVerdict(
        property=verdict.property,
        verdict="undecided",
        sentence=f"required, but not asked: {verdict.sentence}",
        strength=verdict.strength,
    )
