"""
Bounds of one call: the proof proposes, the checker confirms, and only then there is a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

from conformance.bounds.abstract.explore import BUDGET, Explored, explore
from conformance.bounds.abstract.guide import Guide, guide
from conformance.bounds.agreement import contradiction
from conformance.bounds.certificate import Bound, Certificate, Cost, Input, Precondition
from conformance.bounds.check.confirm import Confirmation, confirm
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.replaying.replay import Runner
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.contract import Contract
from conformance.bounds.parts import FunctionBound, function_bounds
from conformance.bounds.prove.outcome import Attempt, LoopBound, Obstacle
from conformance.bounds.prove.prover import Prover
from conformance.bounds.prove.solver import STEPS
from conformance.gas.load import HOST_PART, host_part
from conformance.gas.records import GasModel
from conformance.wasm.calls import call_graph
from conformance.wasm.module import Module
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.source_lines import source_lines

Kind = Literal["exact", "proved", "unknown"]
Independence = Literal["proved", "refuted", "unknown"]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class GasAnswer:
    """
    What is known of the gas of every call that meets the precondition, under one model.
    """

    model: str
    kind: Kind
    bound: Bound | None
    """None where nothing is proved."""
    measured: tuple[int, ...] = ()
    """By the checker, one for each input of the certificate."""
    independence: Independence = "unknown"
    """Whether all calls that return cost the same."""
    witnesses: tuple[Input, ...] = ()
    """Two inputs that cost differently, where independence is refuted."""

    def sentence(self, assumptions: Sequence[str] = ()) -> str:
        """
        `exact 5`, `proved 3..5`, `proved 3..5 if ...`, or `unknown`.
        """
        if self.bound is None:
            return "unknown"
        if assumptions:
            condition = " and ".join(assumptions)
            return f"proved {self.bound.lo:,}..{self.bound.hi:,} if {condition}"
        if self.kind == "exact":
            return f"exact {self.bound.hi:,}"
        return f"proved {self.bound.lo:,}..{self.bound.hi:,}"


@dataclass(frozen=True, slots=True)
class BoundReport:
    """
    All that is known of one call.
    """

    module: str
    """SHA-256."""
    precondition: Precondition
    gas: tuple[GasAnswer, ...]
    certificate: Certificate | None
    """Confirmed by the checker; None where it was not, or there was none."""
    confirmation: Confirmation | None
    obstacles: tuple[Obstacle, ...]
    loops: tuple[LoopBound, ...]
    """What was proved of loops, also where the call as a whole has no bound."""
    questions: int
    seconds: dict[str, float] = field(default_factory=dict)
    """By part; no part of an answer."""
    scripts: dict[str, str] = field(default_factory=dict)
    parts: tuple[FunctionBound, ...] = ()
    """Without a certificate: functions whose own bounds the checker confirmed."""
    guide: Guide | None = None
    """What abstract execution saw: nothing of it is proved."""

    def whole_gas(self, model: str) -> int | None:
        """
        Most gas of a call whatever its outcome, operators and host together; None: not proved.
        """
        parts = [answer.bound for answer in self.gas if answer.model in (model, HOST_PART + model)]
        known = [part.any_hi for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None

    @property
    def pages(self) -> int | None:
        """
        Most pages of linear memory, where proved.
        """
        return self.certificate.pages if self.certificate else None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """
        What the bounds rest on beside module, ranges of arguments and memory.
        """
        stated = self.certificate.assumptions if self.certificate else ()
        return (*self.precondition.assume, *stated)

    def functions(self, model: str) -> tuple[tuple[str, int, Cost], ...]:
        """
        (Summary, function, gas of one call of it) under one model.
        """
        if self.certificate is None:
            return ()
        return tuple(
            (summary.name, summary.function, cost)
            for summary in self.certificate.summaries
            for cost in summary.costs
            if cost.model == model
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """
    When to stop looking.
    """

    steps: int = STEPS
    """Of the solver, for each question, in its own units."""
    stop: Callable[[], bool] = lambda: False
    """Asked before each question."""
    abstract: int = BUDGET
    """Instructions of abstract execution; 0: it suggests nothing and cross-checks nothing."""


def _quiet(part: str) -> None:
    del part


def bound(
    module: Module, precondition: Precondition, inputs: Sequence[Input],
    models: Sequence[GasModel], runner: Runner, *, budget: Budget | None = None,
    progress: Progress = _quiet, guided: bool = True, scripts: bool = False, parts: bool = False,
    contract: Contract | None = None,
) -> BoundReport:  # fmt: skip
    """
    Bounds of the calls of a valid *module* that meet *precondition*, under all *models*.

    *contract* says what is assumed of imported functions. Where the call can reach one, each
    model's answer is about what operators cost, and another one, `host:...`, about the rest.

    *inputs* suggest candidates, and go into the certificate for the checker to run on *runner*.
    Where the checker does not confirm, the answer is `unknown`, whatever the proof says. With
    *parts* the functions of such a module that can be bounded by themselves are.
    """
    allowed = budget or Budget()
    began = time.perf_counter()
    asked, unpriced = host_meters(module, precondition.entry, models, contract)
    progress("abstract execution")
    explored = _explored(module, precondition, models, allowed.abstract)
    seconds = {"abstract execution": time.perf_counter() - began}
    began = time.perf_counter()
    prover = Prover(
        module, precondition, asked, inputs, allowed.steps, allowed.stop, progress, guided, scripts,
        contract, explored,
    )  # fmt: skip
    attempt = prover.run()
    seconds["proof"] = time.perf_counter() - began
    obstacles = list(attempt.obstacles)
    obstacles += [prover.no_bill(sentence) for sentence in unpriced.values()]
    confirmation, certificate = None, None
    if attempt.certificate is not None:
        progress("checker")
        began = time.perf_counter()
        confirmation, refused = _confirmed(prover, attempt.certificate, module, runner, explored)
        seconds["checker"] = time.perf_counter() - began
        obstacles += refused
        certificate = None if refused else attempt.certificate
    if confirmation is not None:
        seconds["replay"] = confirmation.verdict.seconds.get("replay", 0.0)
    single: tuple[FunctionBound, ...] = ()
    if parts and certificate is None:
        progress("functions by themselves")
        began = time.perf_counter()
        known = attempt.parts or (attempt.certificate.summaries if attempt.certificate else ())
        single = function_bounds(module, known, models)
        seconds["functions"] = time.perf_counter() - began
    placed, loops = _placed(module, obstacles, attempt)
    return BoundReport(
        module=module.sha256,
        precondition=precondition,
        gas=(
            *(_answer(model, certificate, confirmation, inputs) for model in asked),
            *(GasAnswer(model, "unknown", None) for model in unpriced),
        ),
        certificate=certificate,
        confirmation=confirmation,
        obstacles=placed,
        loops=loops,
        questions=attempt.questions,
        seconds=seconds,
        scripts=attempt.scripts,
        parts=single,
        guide=None if explored is None else guide(module, explored),
    )


def _confirmed(
    prover: Prover, certificate: Certificate, module: Module, runner: Runner,
    explored: Explored | None,
) -> tuple[Confirmation | None, list[Obstacle]]:  # fmt: skip
    """
    What the checker says, and all that stands against the certificate; nothing: it is confirmed.
    """
    try:
        found = confirm(certificate, module, runner)
    except CannotRewriteError as error:
        return None, [prover.refused_by_checker(f"replay: {error}")]
    if found.replay is None or found.refusals:
        reasons = [f"{refusal.reason}: {refusal.sentence}" for refusal in found.refusals]
        return found, [prover.refused_by_checker(each) for each in reasons or ["nothing was run"]]
    wrong = contradiction(explored, certificate.bounds, found.replay.measured)
    return found, [prover.disagreeing(wrong)] if wrong else []


def _placed(
    module: Module, obstacles: Sequence[Obstacle], attempt: Attempt
) -> tuple[tuple[Obstacle, ...], tuple[LoopBound, ...]]:
    """
    Obstacles and loops with their source lines, and loops with the names of their functions.
    """
    lines = source_lines(module)
    return (
        tuple(replace(item, line=lines.at(item.offset)) for item in obstacles),
        tuple(
            replace(loop, title=module.function_name(loop.function), line=lines.at(loop.offset))
            for loop in attempt.loops
        ),
    )


def host_meters(
    module: Module, entry: str, models: Sequence[GasModel], contract: Contract | None
) -> tuple[list[GasModel], dict[str, str]]:
    """
    *models*, and the host's part of each where a call of *entry* can reach an import; and the id of
    each host's part that has no price, with a sentence that says so.
    """
    export = module.exported(entry)
    called = [] if export is None else call_graph(module).imports_reached(export.index)
    imported = [item.key for item in module.imports if item.kind == "function"]
    keys = [imported[function] for function in called]
    asked, unpriced = list(models), dict[str, str]()
    for model in models if keys else ():
        part = host_part(model)
        if contract is None or not all(map(contract.has, keys)):
            continue
        missing = contract.unpriced(keys, model)
        if missing:
            names = ", ".join(missing)
            unpriced[part.id] = (
                f"contract {contract.text.id} gives no gas of {names} under {model.id}"
            )
        else:
            asked.append(part)
    return asked, unpriced


def _explored(
    module: Module, precondition: Precondition, models: Sequence[GasModel], budget: int
) -> Explored | None:
    """
    Abstract execution; None where it was not asked for, or the module is not modelled at all.
    """
    if not budget:
        return None
    try:
        image = Image(module, precondition)
        # It begins at instantiation, not where initialisers have been.
        if image.initialised is not None:
            return None
        return explore(image, models, budget=budget)
    except RefusedError:
        return None


def _answer(
    model: GasModel, certificate: Certificate | None, confirmation: Confirmation | None,
    inputs: Sequence[Input],
) -> GasAnswer:  # fmt: skip
    if certificate is None or confirmation is None or confirmation.replay is None:
        return GasAnswer(model.id, "unknown", None)
    found = next(item for item in certificate.bounds if item.model == model.id)
    measured = tuple(confirmation.replay.measured.get(model.id, ()))
    if found.lo == found.hi:
        return GasAnswer(model.id, "exact", found, measured, "proved")
    if len(measured) == len(inputs):
        for one, other in combinations(range(len(inputs)), 2):
            if measured[one] != measured[other]:
                witnesses = (inputs[one], inputs[other])
                return GasAnswer(model.id, "proved", found, measured, "refuted", witnesses)
    return GasAnswer(model.id, "proved", found, measured)
