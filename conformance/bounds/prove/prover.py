"""
The proof of one call from end to end: suppose, settle, rank, price, write the certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from conformance.bounds.abstract.explore import Explored
from conformance.bounds.certificate import ENTRY, Input, Precondition
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.replaying.host import ways
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.contract import Contract
from conformance.bounds.expressions import BadExpressionError, Scope, read_formula
from conformance.bounds.host_records import HostContract
from conformance.bounds.prove.candidates import arguments, guesses, kept_parameters
from conformance.bounds.prove.constants import Constants, find_constants
from conformance.bounds.prove.frames import find_frames, matters, without
from conformance.bounds.prove.guidance import add_rows, guided
from conformance.bounds.prove.hosts import find_amounts, suppose_hosts, waiting
from conformance.bounds.prove.houdini import bury, settle
from conformance.bounds.prove.limits import too_large
from conformance.bounds.prove.minimise import minimise
from conformance.bounds.prove.obligations import Fact
from conformance.bounds.prove.observe import Observed, observe
from conformance.bounds.prove.outcome import Attempt, LoopBound, Obstacle
from conformance.bounds.prove.promises import find_promises, shared_cells
from conformance.bounds.prove.ranks import Ranker
from conformance.bounds.prove.reading import as_term
from conformance.bounds.prove.recursion import find_potential
from conformance.bounds.prove.smt import export
from conformance.bounds.prove.solver import STEPS, NoSolverError, Solver, StoppedError
from conformance.bounds.prove.stack import most_pages, shadow_stack
from conformance.bounds.prove.states import Cell, Frame
from conformance.bounds.prove.subject import RETURN, Subject, open_subject
from conformance.bounds.prove.terms import Term, Terms
from conformance.bounds.prove.walks import walks
from conformance.bounds.prove.writing import all_ranked, write, write_complete
from conformance.gas.load import HOST_PART, gas_model
from conformance.gas.records import GasModel
from conformance.wasm.calls import call_graph
from conformance.wasm.module import Module

Progress = Callable[[str], None]
_OBSERVED_WAYS: Final = 2
"""Ways in which the host answers the runs that suggest candidates: all least, all greatest."""


def _quiet(part: str) -> None:
    del part


class _SharedCellsError(Exception):
    """
    Cells are not proved to be written by their function alone.
    """

    def __init__(self, shared: dict[int, frozenset[Cell]]) -> None:
        super().__init__("cells are shared")
        self.shared = shared


@dataclass(slots=True)
class Prover:
    """
    One module, one precondition; `run` may be asked once.
    """

    module: Module
    precondition: Precondition
    models: Sequence[GasModel]
    inputs: Sequence[Input]
    steps: int = STEPS
    stop: Callable[[], bool] = lambda: False
    progress: Progress = _quiet
    guided: bool = True
    """Whether runs of the inputs suggest candidates; without, only the text does."""
    scripts: bool = False
    """Whether obligations are wanted as SMT-LIB."""
    contract: Contract | None = None
    """What is assumed of the host's functions."""
    explored: Explored | None = None
    """What abstract execution saw, which suggests candidates as well."""
    _terms: Terms = field(default_factory=Terms)

    def run(self) -> Attempt:  # noqa: PLR0911 - one return for each way to end
        """
        Try without knowledge of constants in memory, then with it where a loop needs it.
        """
        large = tuple(
            self._at("not modelled", f, at, sentence)
            for f, at, sentence in too_large(self.module, self._entry)
        )
        if large:
            return Attempt(None, large)
        try:
            image = Image(self.module, self.precondition, self._hosts())
            obstacles = tuple(self._outside(image))
        except RefusedError as error:
            return self._refused(error.refusal.sentence)
        if obstacles:
            return Attempt(None, obstacles)
        frames = self._frames(image)
        observed = self._observed(image, frames)
        try:
            first = self._with_frames(image, observed, Constants(), frames)
            if first.certificate is not None or not first.obstacles:
                return first
            constants = find_constants(self.module, image, self._entry, frames, self._terms)
            if not constants.spans:
                return first
            second = self._with_frames(image, observed, constants, frames)
        except NoSolverError as error:
            return Attempt(None, (self._at("no solver", self._entry, ENTRY, str(error)),))
        except RefusedError as error:
            return self._refused(error.refusal.sentence)
        except BadExpressionError as error:
            return self._refused(f"the contract does not fit an import: {error}")
        return second if second.certificate is not None else first

    def _observed(self, image: Image, frames: dict[int, Frame]) -> Observed:
        """
        Rows of state that suggest candidates: of runs, and of abstract execution.
        """
        observed = Observed()
        if self.guided:
            self.progress("runs that suggest candidates")
            hosts = ways(image, image.hosts, 0)[:_OBSERVED_WAYS]
            observed = observe(image.running, self.precondition, self.inputs, hosts, frames)
        if self.explored is not None:
            add_rows(observed, self.explored)
        return observed

    def _hosts(self) -> tuple[HostContract, ...]:
        """
        Contracts of the imports, with gas on those meters that are of a host's part.
        """
        if self.contract is None:
            return ()
        keys = [item.key for item in self.module.imports if item.kind == "function"]
        parts = [m.id.removeprefix(HOST_PART) for m in self.models if m.name.startswith(HOST_PART)]
        return self.contract.hosts(keys, [gas_model(name) for name in parts])

    @property
    def _entry(self) -> int:
        found = self.module.exported(self.precondition.entry)
        return found.index if found is not None else 0

    def refused_by_checker(self, sentence: str) -> Obstacle:
        """
        The obstacle that the checker does not confirm what was proved.
        """
        return self._at("refused by the checker", self._entry, ENTRY, sentence)

    def no_bill(self, sentence: str) -> Obstacle:
        """
        The obstacle that a contract gives no price.
        """
        return self._at("missing contract", self._entry, ENTRY, sentence)

    def disagreeing(self, sentence: str) -> Obstacle:
        """
        The obstacle that a confirmed bound contradicts another analysis: an error of this program.
        """
        return self._at("analyses disagree", self._entry, ENTRY, sentence)

    def _refused(self, sentence: str) -> Attempt:
        return Attempt(None, (self._at("not modelled", self._entry, ENTRY, sentence),))

    def _at(self, reason: str, function: int, place: int, sentence: str) -> Obstacle:
        own = function - self.module.imported_functions
        offset = 0
        if own >= 0:
            body = self.module.functions[own].body
            offset = int(body.offsets[max(place, 0)])
        title = self.module.function_name(function)
        return Obstacle(reason, function, title, place, offset, sentence)  # type: ignore[arg-type]

    def _outside(self, image: Image) -> list[Obstacle]:
        """
        What no proof is tried for: recursion, and hosts without a contract.
        """
        graph = call_graph(self.module)
        reached = image.reachable(self._entry)
        found = []
        for caller, host, inner in waiting(image, self._entry):
            title = self.module.function_name(inner)
            sentence = f"host {image.imported[host]} may call {title}, which can be waiting for it"
            found.append(self._at("not modelled", caller, ENTRY, sentence))
        for group in graph.recursive:
            if len(group) > 1 and reached & set(group):
                names = " and ".join(self.module.function_name(f) for f in group)
                found.append(self._at("recursion", group[0], ENTRY, f"{names} can call each other"))
        for function in sorted(reached):
            for called in sorted(set(image.called(function))):
                if called < self.module.imported_functions and image.host(called) is None:
                    sentence = f"host {image.imported[called]} is called and has no contract"
                    found.append(self._at("missing contract", function, ENTRY, sentence))
        return found

    # ---------------------------------------------------------------------------- one attempt

    def _frames(self, image: Image) -> dict[int, Frame]:
        """
        Frames with cells that anything depends on; empty where no function has any.
        """
        frames = find_frames(image, self._entry, self._terms)
        if not any(frame.cells for frame in frames.values()):
            return {}
        most = self._most_pages(image)
        subject = open_subject(image, self._entry, most, {}, self._terms, frames)
        known = [proof.relevant for proof in subject.functions.values()]
        return frames if matters(known) else {}

    def _with_frames(
        self, image: Image, observed: Observed, constants: Constants, frames: dict[int, Frame]
    ) -> Attempt:
        """
        Try with cells in frames; without those that something else may write to; without any.
        """
        framed: Attempt | None = None
        while any(frame.cells for frame in frames.values()):
            try:
                framed = self._attempt(image, observed, constants, frames)
            except _SharedCellsError as error:
                frames = without(frames, error.shared)
                continue
            if framed.certificate is not None or not framed.obstacles:
                return framed
            break
        found = self._attempt(image, observed, constants, {})
        return found if framed is None or found.certificate is not None else framed

    def _attempt(
        self, image: Image, observed: Observed, constants: Constants, frames: dict[int, Frame]
    ) -> Attempt:
        terms = self._terms
        terms.tables.update(constants.tables)
        most = self._most_pages(image)
        subject = open_subject(image, self._entry, most, constants.reads, terms, frames)
        solver = Solver(terms, self.steps, self.stop)
        ranking: dict[int, dict[int, list[Fact]]] = {}
        obstacles: list[Obstacle] = []
        shadow, settled = None, False
        try:
            self._suppose(subject, observed)
            suppose_hosts(subject)
            if solver.proves(self._given(subject), terms.false):
                sentence = "no call meets the precondition: its parts contradict each other"
                found = (self._at("contradiction", self._entry, ENTRY, sentence),)
                return Attempt(None, found, (), solver.questions)
            self.progress("invariants")
            settle(subject, solver)
            settled = True
            bury(subject, solver)
            self._promise(subject, solver)
            self._rank(subject, solver, constants, ranking, obstacles)
            obstacles += self._recursive(subject, solver)
            if obstacles:
                return self._partly(subject, solver, ranking, obstacles)
            shadow = shadow_stack(subject, solver)
            find_amounts(subject, solver)
            if self.precondition.fresh:
                subject.most_pages = most_pages(subject, solver)
            self.progress("fewest hypotheses")
            minimise(subject, solver, ranking, constants, shadow)
        except StoppedError:
            if not settled:
                # What is only supposed so far proves nothing.
                subject.holds.clear()
            # With tables of constants the checker can take hours over what nothing rests on.
            if obstacles or constants.spans or not all_ranked(subject, ranking):
                sentence = "it was stopped before all that a bound needs was proved"
                obstacles.append(self._at("stopped", self._entry, ENTRY, sentence))
                return self._partly(subject, solver, ranking, obstacles)
        self.progress("prices")
        certificate, missing = write(
            subject, ranking, self.models, self.precondition, self.inputs, constants, shadow,
            None if self.contract is None else self.contract.text,
        )  # fmt: skip
        scripts, loops = {}, tuple(self._loops(ranking))
        if self.scripts and certificate is not None:
            scripts = dict(export(subject, solver, ranking, constants, shadow))
        obstacles += [self._at("not modelled", f, at, sentence) for f, at, sentence in missing]
        if certificate is None:
            return self._partly(subject, solver, ranking, obstacles)
        return Attempt(certificate, tuple(obstacles), loops, solver.questions, scripts)

    def _rank(
        self, subject: Subject, solver: Solver, constants: Constants,
        ranking: dict[int, dict[int, list[Fact]]], obstacles: list[Obstacle],
    ) -> None:  # fmt: skip
        """
        Facts of all loops that go back, into *ranking*; *obstacles* where there are none.
        """
        walked = walks(subject, constants)
        for function, proof in subject.functions.items():
            own = [walk for walk in walked if walk.function == function]
            ranker = Ranker(subject, solver, proof, walks=own)
            ranking[function] = {}
            for loop in proof.layout.cuts[1:]:
                if not ranker.back_edges(loop):
                    continue
                self.progress(f"loop at instruction {loop} of function {function}")
                facts = ranker.facts(loop)
                if facts:
                    ranking[function][loop] = facts
                else:
                    obstacles.append(self._no_measure(ranker, function, loop))

    def _partly(
        self, subject: Subject, solver: Solver, ranking: dict[int, dict[int, list[Fact]]],
        obstacles: Sequence[Obstacle],
    ) -> Attempt:  # fmt: skip
        """
        The end of an attempt without a certificate: what is proved of loops and functions.
        """
        parts = write_complete(subject, ranking, self.models, self.precondition)
        loops = tuple(self._loops(ranking))
        return Attempt(None, tuple(obstacles), loops, solver.questions, {}, parts)

    def _promise(self, subject: Subject, solver: Solver) -> None:
        """
        What functions write; raises _SharedCellsError where that may be a cell of another one.
        """
        if all(proof.executor.frame is None for proof in subject.functions.values()):
            return
        self.progress("what functions write")
        find_promises(subject, solver)
        shared = shared_cells(subject, solver)
        if shared:
            raise _SharedCellsError(shared)

    def _recursive(self, subject: Subject, solver: Solver) -> list[Obstacle]:
        """
        Potentials of functions that call themselves, or why there are none.
        """
        found = []
        for function, *others in call_graph(self.module).recursive:
            if others or function not in subject.functions:
                continue
            proof = subject.functions[function]
            self.progress(f"recursion of function {function}")
            given = self._given(subject) if function == self._entry else []
            if not find_potential(subject, solver, proof, given):
                sentence = "no measure of its arguments was found that falls with every call"
                found.append(self._at("recursion", function, ENTRY, sentence))
        return found

    def _most_pages(self, image: Image) -> int:
        grows = image.effects(self._entry)[1]
        if self.precondition.fresh and not grows:
            return image.pages
        return image.most_pages

    def _suppose(self, subject: Subject, observed: Observed) -> None:
        """
        Candidates at every cut; at the entry what the precondition gives.
        """
        terms = self._terms
        given = self._given(subject)
        for function, proof in subject.functions.items():
            is_entry = function == self._entry
            required = list(given)
            if not is_entry:
                callers = list(subject.functions.values())
                passed = arguments(terms, callers, function)
                seen = guided(terms, proof, ENTRY, self.explored)
                found = [*guesses(terms, proof, ENTRY, observed), *passed, *seen]
                required = list(dict.fromkeys(found))
            subject.holds[function, ENTRY] = required
            everywhere = kept_parameters(terms, proof, required)
            for cut in proof.layout.cuts[1:]:
                seen = guided(terms, proof, cut, self.explored)
                found = [*everywhere, *guesses(terms, proof, cut, observed), *seen]
                subject.holds[function, cut] = list(dict.fromkeys(found))
            if not is_entry:
                subject.holds[function, RETURN] = self._promises(subject, function)

    def _given(self, subject: Subject) -> list[Term]:
        terms, proof = self._terms, subject.functions[self._entry]
        found = []
        for param, item in zip(proof.executor.params, self.precondition.arguments, strict=True):
            top = (1 << param.width) - 1
            if item.lo == item.hi:
                found.append(terms.two("eq", param, terms.const(param.width, item.lo)))
                continue
            if item.lo:
                found.append(terms.two("uge", param, terms.const(param.width, item.lo)))
            if item.hi < top:
                found.append(terms.two("ule", param, terms.const(param.width, item.hi)))
        widths = {"param": [param.width for param in proof.executor.params]}
        scope = Scope(widths, loads=False)
        found += [as_term(read_formula(t, scope), terms) for t in self.precondition.assume]
        for changed in self.precondition.globals:
            value = proof.executor.entry_globals[changed.index]
            found.append(terms.two("uge", value, terms.const(value.width, changed.lo)))
            found.append(terms.two("ule", value, terms.const(value.width, changed.hi)))
        return [term for term in found if term.value is None]

    def _promises(self, subject: Subject, function: int) -> list[Term]:
        """
        That a function leaves globals and pages as they were.
        """
        terms, image = self._terms, subject.image
        written, grows = image.effects(function)
        found = []
        for index in sorted(written):
            before = subject.functions[function].executor.entry_globals[index]
            found.append(terms.two("eq", terms.variable("global", index, before.width), before))
        if grows:
            pages = terms.variable("pages", 0, 32)
            found.append(terms.two("eq", pages, terms.variable("entry-pages", 0, 32)))
        return found

    # ------------------------------------------------------------------------------- answers

    def _no_measure(self, ranker: Ranker, function: int, loop: int) -> Obstacle:
        failure = ranker.failures.get(loop)
        sentence = "no measure was found that falls whenever the loop repeats"
        reason = "no decreasing measure"
        if ranker.solver.undecided:
            reason = "solver limit"
        elif ranker.depends_on_memory(loop):
            reason = "exit depends on input bytes"
            sentence = "whether the loop repeats depends on bytes of memory that may be anything"
        plain = self._at(reason, function, loop, sentence)
        return Obstacle(
            plain.reason, plain.function, plain.title, loop, plain.offset, sentence,
            failure.candidate if failure else "", failure.state if failure else (),
        )  # fmt: skip

    def _loops(self, ranking: dict[int, dict[int, list[Fact]]]) -> list[LoopBound]:
        found = []
        for function, loops in sorted(ranking.items()):
            own = function - self.module.imported_functions
            body = self.module.functions[own].body
            for loop, facts in sorted(loops.items()):
                by_kind = {
                    fact.kind: Fraction(fact.bound, fact.weight)
                    for fact in reversed(facts)
                    if fact.around is None
                }
                widest = Fraction(facts[0].bound, facts[0].weight)
                least, most = by_kind.get("least"), by_kind.get("most", widest)
                found.append(
                    LoopBound(
                        function, loop, int(body.offsets[loop]),
                        "" if least is None else str(least), str(most),
                    )
                )  # fmt: skip
        return found
