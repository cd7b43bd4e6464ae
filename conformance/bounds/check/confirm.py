"""
The whole check: obligations and duals first, then the certificate's inputs on an engine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from conformance.bounds.certificate import Certificate
from conformance.bounds.check.judge import Progress, Verdict, judge, quiet
from conformance.bounds.check.refusals import Refusal, RefusedError
from conformance.bounds.check.replaying.replay import Replay, Runner, replay, unreached
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.solving import RESOURCES
from conformance.wasm.module import Module


@dataclass(frozen=True, slots=True)
class Confirmation:
    """
    What was found; `confirmed` only when neither proof nor replay refuses anything.
    """

    verdict: Verdict
    replay: Replay | None
    """None: the proof was refused, so nothing was run."""
    unreached: tuple[tuple[str, int], ...] = ()
    """Summary and cut that no input reached; the solver found its hypotheses satisfiable."""
    replay_refusals: tuple[Refusal, ...] = field(default=())

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """
        Everything that is wrong.
        """
        return (*self.verdict.refusals, *self.replay_refusals)

    @property
    def confirmed(self) -> bool:
        """
        Whether every claim was proved, and none was seen to be false.
        """
        return not self.refusals and self.replay is not None

    @property
    def undecided(self) -> bool:
        """
        Whether all that is missing is a solver's answer.
        """
        return bool(self.refusals) and all(r.reason == "undecided" for r in self.refusals)


def confirm(
    certificate: Certificate, module: Module, runner: Runner, *, seed: int = 0,
    resources: int = RESOURCES, progress: Progress = quiet, always_run: bool = False,
) -> Confirmation:  # fmt: skip
    """
    Check *certificate* against a valid *module*; *runner* makes the calls.

    *seed* chooses the share of rows of a long run. With *always_run* inputs are run even where the
    proof is refused, as far as the certificate's form allows it.
    """
    verdict = judge(certificate, module, resources=resources, progress=progress)
    if verdict.refusals and (not always_run or verdict.refusals[0].reason in _FORMAL):
        return Confirmation(verdict, None)
    progress("replay", 0, len(certificate.inputs))
    began = time.perf_counter()
    subject = Subject(module, certificate)
    try:
        found = replay(subject, runner, seed=seed)
    except RefusedError as error:
        return Confirmation(verdict, None, (), (error.refusal,))
    verdict.seconds["replay"] = time.perf_counter() - began
    missed = tuple(unreached(subject, found))
    return Confirmation(verdict, found, missed, tuple(found.refusals))


_FORMAL = frozenset({"other-module", "form", "not-modelled"})
