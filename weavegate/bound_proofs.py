"""
The proofs that a certification is asked for: one for each entry, before any case runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from conformance.bounds.certificate import Certificate, write_certificate
from conformance.bounds.precondition import CannotStateError
from reports.html import bound_page
from weavegate.bound_job import Asked, BoundDone, prove_bound
from weavegate.bound_page import bound_view
from weavegate.bounds_asked import BoundsAsked
from weavegate.findings_files import write_atomically
from weavegate.options import Options

ENGINE = "wasmtime"
"""Runs the certificate's inputs for the checker, and the rewrites that count."""


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What is known of one entry.
    """

    entry: str
    done: BoundDone | None
    """None where the calls that the manifest describes cannot be stated."""
    reason: str = ""
    """Why not."""

    @property
    def certificate(self) -> Certificate | None:
        """
        Confirmed by the checker, or None.
        """
        return None if self.done is None else self.done.report.certificate


@dataclass(frozen=True, slots=True)
class Bounded:
    """
    What was asked, and what was proved.
    """

    asked: BoundsAsked
    proofs: tuple[Proof, ...]


def prove_all(asked: BoundsAsked, options: Options, tell: Callable[[str], None]) -> Bounded:
    """
    Prove the bounds of every entry asked; raises what `bound_job.prove_bound` raises.
    """
    proofs = []
    for entry in asked.entries:
        tell(f"proving bounds of {entry}")
        request = Asked(
            module=options.argument,
            manifest=options.manifest,
            entry=entry,
            models=tuple(model.id for model in asked.models),
            chain=asked.chain_name,
            loading=asked.loading,
            message_bytes=asked.terms.message_bytes,
            context_bytes=asked.terms.context_bytes,
            answer_bytes=asked.terms.answer_bytes,
            max_sdk_gas=asked.terms.max_sdk_gas,
            engine=ENGINE,
            seed=options.seed,
        )
        try:
            done = prove_bound(request, lambda part: tell(f"proving bounds: {part}"))
        except CannotStateError as error:
            proofs.append(Proof(entry, None, str(error)))
            continue
        if done.interrupted:
            raise KeyboardInterrupt
        proofs.append(Proof(entry, done))
    return Bounded(asked, tuple(proofs))


def write_certificates(bounded: Bounded, options: Options) -> None:
    """
    Write what was confirmed beside the report: `bound.json`, or `bound-N.json` for entry N of
    several, counted from 1. One of an earlier run that is not confirmed any more is removed.
    """
    several = len(bounded.proofs) > 1
    for number, proof in enumerate(bounded.proofs, 1):
        path = options.out / (f"bound-{number}.json" if several else "bound.json")
        if proof.certificate is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, write_certificate(proof.certificate))


def write_pictures(bounded: Bounded, options: Options) -> None:
    """
    Write `bound.html` beside the report: the pictures of every entry that could be stated.
    """
    path = options.out / "bound.html"
    views = [bound_view(proof.done) for proof in bounded.proofs if proof.done is not None]
    if views:
        write_atomically(path, bound_page(views).encode())
    else:
        path.unlink(missing_ok=True)
