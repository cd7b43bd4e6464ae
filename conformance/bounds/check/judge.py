"""
The whole check of a certificate against a module; the verdict has a sentence for every refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from conformance.bounds.certificate import ENTRY, Certificate
from conformance.bounds.check.costs import Costs, groups, recursive, stack
from conformance.bounds.check.facts import Plan
from conformance.bounds.check.refusals import UNANSWERED, Reason, Refusal, RefusedError
from conformance.bounds.check.semantics.execution import Region
from conformance.bounds.check.semantics.form import check_parts, check_precondition, check_shadow
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.semantics.terms import Terms
from conformance.bounds.check.solving import RESOURCES, Solving
from conformance.bounds.check.summaries import Findings, Proof
from conformance.gas.errors import RefusedOperatorError, UnknownGasModelError
from conformance.gas.load import meter
from conformance.gas.records import GasModel
from conformance.wasm.limits import MOST_PAGES
from conformance.wasm.module import Module

Progress = Callable[[str, int, int], None]
"""Part, how much of it is done, how much there is."""


@dataclass(slots=True)
class Verdict:
    """
    What checking found; confirmed when nothing is refused.
    """

    refusals: list[Refusal] = field(default_factory=list)
    assumptions: tuple[str, ...] = ()
    obligations: int = 0
    queries: int = 0
    summaries: int = 0
    duals: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """By part; no part of a verdict."""

    @property
    def confirmed(self) -> bool:
        """
        Whether every claim was proved.
        """
        return not self.refusals


def quiet(part: str, done: int, count: int) -> None:
    """
    No progress is told.
    """
    del part, done, count


def judge(
    certificate: Certificate, module: Module, *, resources: int = RESOURCES,
    progress: Progress = quiet,
) -> Verdict:  # fmt: skip
    """
    Check everything but the runs of the certificate's inputs; see `replay` for those.

    *module* must be valid. *resources* limits each query of the solver.
    """
    verdict = Verdict()
    try:
        _judge(verdict, certificate, module, resources, progress)
    except RefusedError as error:
        verdict.refusals.append(error.refusal)
    except RecursionError:
        sentence = "memory has too long a history between two cuts to be followed"
        verdict.refusals.append(Refusal("not-modelled", sentence))
    except (RefusedOperatorError, UnknownGasModelError) as error:
        verdict.refusals.append(Refusal("form", str(error)))
    return verdict


def _judge(
    verdict: Verdict, certificate: Certificate, module: Module, resources: int, progress: Progress
) -> None:
    if certificate.module != module.sha256:
        sentence = f"the certificate is about module {certificate.module}, not {module.sha256}"
        raise RefusedError("other-module", sentence)
    check_parts(certificate)
    subject = Subject(module, certificate)
    verdict.refusals += [*check_precondition(subject), *check_shadow(subject)]
    if verdict.refusals:
        return
    order = groups(subject)
    loops = frozenset(group for group in order if recursive(subject, group))
    group_of = {name: group for group in order for name in group}
    solving = Solving(Terms(), resources)
    findings = Findings()
    began = time.perf_counter()
    plans: dict[str, list[Plan]] = {}
    names = [name for group in order for name in group]
    for done, name in enumerate(names):
        progress("obligations", done, len(names))
        group = frozenset(group_of[name]) if group_of[name] in loops else frozenset[str]()
        proof = Proof(subject, subject.summaries[name], group, solving, findings)
        plans[name] = proof.plans()
        proof.check()
    _entered(subject, frozenset(group_of[certificate.entry]) if group_of[certificate.entry] in loops
             else frozenset(), solving, findings)  # fmt: skip
    verdict.seconds["obligations"] = time.perf_counter() - began
    verdict.seconds["solver"] = solving.seconds
    verdict.refusals += findings.refusals
    verdict.obligations, verdict.queries = findings.obligations, solving.queries
    verdict.summaries = len(names)
    began = time.perf_counter()
    models = [meter(name) for name in certificate.models]
    for number, model in enumerate(models):
        costs = Costs(subject, model, number, group_of, loops)
        for done, name in enumerate(names):
            progress("duals", done + number * len(names), len(names) * len(models))
            verdict.refusals += costs.check(subject.summaries[name], plans[name])
            verdict.duals += 2
        verdict.refusals += _bound(subject, costs, number, model)
    verdict.refusals += _claims(subject, stack(subject, order, loops))
    verdict.assumptions = assumptions(certificate)
    if set(verdict.assumptions) != set(certificate.assumptions):
        sentence = f"its assumptions are {list(verdict.assumptions)}, which it does not state so"
        verdict.refusals.append(Refusal("claim", sentence[:400]))
    verdict.seconds["duals"] = time.perf_counter() - began


def assumptions(certificate: Certificate) -> tuple[str, ...]:
    """
    What the verdict rests on beside the module and the precondition.
    """
    alone = [f"host {host.key} keeps its contract" for host in certificate.hosts]
    found = alone if certificate.contract is None else [certificate.contract.assumption]
    most = certificate.precondition.most_pages
    if most < MOST_PAGES:
        found.append(f"the host refuses memory beyond {most} pages")
    return tuple(found)


def _entered(subject: Subject, group: frozenset[str], solving: Solving, findings: Findings) -> None:
    """
    The precondition can be met, and gives what the entry's summary requires.
    """
    terms, entry, precondition = solving.terms, subject.entry, subject.certificate.precondition
    potentials = Proof(subject, entry, group, solving, findings).potentials() if group else {}
    region = Region(subject, entry, ENTRY, terms, {}, [64] if group else [], potentials)
    reading = region.reading(region.start)
    known = [region.facts()]
    for k, item in enumerate(precondition.arguments):
        value, width = region.start.locals[k], region.layout.locals[k]
        known += [terms.two("uge", value, item.lo, width), terms.two("ule", value, item.hi, width)]
    for changed in precondition.globals:
        value = region.start.globals[changed.index]
        width = WIDTH[subject.module.global_types[changed.index].type]
        known += [terms.two("uge", value, changed.lo, width),
                  terms.two("ule", value, changed.hi, width)]  # fmt: skip
    known += [reading.value(subject.formula(entry, ENTRY, text)) for text in precondition.assume]
    findings.obligations += 1
    answer, _ = solving.satisfiable(known)
    if answer != "holds":
        reason: Reason = "contradiction" if answer == "fails" else "undecided"
        findings.refusals.append(Refusal(reason, "no call meets the precondition"))
        return
    wanted = [
        (text, reading.value(subject.formula(entry, ENTRY, text)))
        for text in subject.cut(entry, ENTRY).holds
    ]
    if group and entry.recursion is not None:
        potential = potentials[entry.name]
        most = min(entry.recursion.most, (1 << potential.width) - 1)
        small = terms.two("ule", reading.value(potential), most, potential.width)
        wanted.append(("its potential is small enough", small))
    if subject.cut(entry, ENTRY).dead:
        wanted.append(("that it is never called", 0))
    findings.obligations += len(wanted)
    for text, formula in wanted:
        answer, _ = solving.implied(known, [formula])
        if answer != "holds":
            sentence = f"the precondition does not give what {entry.name} requires: {text[:200]}"
            findings.refusals.append(Refusal(UNANSWERED[answer], sentence))


def _bound(subject: Subject, costs: Costs, number: int, model: GasModel) -> Iterator[Refusal]:
    """
    The gas of the whole call against what its parts support.
    """
    bounds = subject.certificate.bounds
    if number >= len(bounds) or bounds[number].model != model.id or (
        len(bounds) != len(subject.certificate.models)
    ):  # fmt: skip
        yield Refusal("form", f"the certificate states no gas of the call under {model.id}")
        return
    bound = bounds[number]
    low, high = costs.total(subject.entry)
    high += costs.growth()
    if bound.hi < high or bound.any_hi < high:
        least = min(bound.hi, bound.any_hi)
        yield Refusal("claim", f"{model.id}: at most {least} is claimed, {high} is proved")
    if bound.lo > low:
        yield Refusal("claim", f"{model.id}: at least {bound.lo} is claimed, {low} is proved")
    if bound.any_lo:
        yield Refusal("claim", f"{model.id}: a call that traps may cost nothing")


def _claims(subject: Subject, deepest: tuple[int, int]) -> Iterator[Refusal]:
    """
    Pages and stacks.
    """
    certificate, image = subject.certificate, subject.image
    pages = image.pages if certificate.precondition.fresh else image.most_pages
    if certificate.pages < pages:
        yield Refusal("claim", f"{certificate.pages} pages are claimed, a call begins with {pages}")
    claimed = certificate.stack
    if claimed.depth < deepest[0] or claimed.frame_words < deepest[1]:
        sentence = f"a stack of {claimed.depth} activations and {claimed.frame_words} words"
        proved = f"{deepest[0]} and {deepest[1]} are proved"
        yield Refusal("claim", f"{sentence} is claimed, {proved}")
