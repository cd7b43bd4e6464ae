"""
`weavegate check-bound`: read, check, run, and say what was found.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from conformance.bounds.certificate import BadCertificateError, Certificate, read_certificate
from conformance.bounds.check.confirm import Confirmation, confirm
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.trusted import trusted_base
from conformance.gas.errors import UnknownGasModelError
from conformance.gas.load import meter
from reports.escapes import shortened, visible
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.exits import Exit, WeavegateError
from weavegate.nodes import choose
from weavegate.subject import read_module
from weavegate.terminal import Output

_WINDOW_PAGES = 2048
_LARGEST = 1 << 28
_SHOWN = 20


def check_bound(
    output: Output, errors: Output, certificate_file: Path, module_file: Path, engine: str, *,
    seed: int, resources: int, as_json: bool,
) -> int:  # fmt: skip
    """
    The whole command; returns the exit status.
    """
    certificate = _certificate(certificate_file)
    _, _, module = read_module(module_file)
    catalog = Catalog.load()
    (node,) = choose([engine], "fresh", catalog, Environments(catalog))
    pages = certificate.pages + _WINDOW_PAGES
    limits = CellLimits(data_mib=2048 + pages // 16)
    began = time.perf_counter()
    with Pool([(node.node, node.launch)], limits=limits) as pool:
        found = confirm(
            certificate, module, Engine(pool, pages), seed=seed, resources=resources,
            progress=_progress(errors),
        )  # fmt: skip
    seconds = time.perf_counter() - began
    if as_json:
        output.print_json(json.dumps(_json(certificate, found, seconds)))
    else:
        _print(output, certificate, found, seconds)
    for refusal in found.refusals[:_SHOWN]:
        errors.say(f"weavegate: {refusal.reason}: {visible(shortened(refusal.sentence, 600))}")
    left = len(found.refusals) - _SHOWN
    if left > 0:
        errors.say(f"weavegate: and {left} more reasons")
    if found.confirmed:
        return int(Exit.PASS)
    return int(Exit.UNDECIDED if found.undecided else Exit.FINDINGS)


def _certificate(path: Path) -> Certificate:
    try:
        if path.stat().st_size > _LARGEST:
            sentence = f"{path} is larger than any certificate, which has at most {_LARGEST} bytes"
            raise WeavegateError(sentence, Exit.USAGE)
        certificate = read_certificate(path.read_bytes())
        for name in certificate.models:
            meter(name)
    except OSError as error:
        sentence = f"{path}: cannot be read: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except (BadCertificateError, UnknownGasModelError) as error:
        raise WeavegateError(f"{path}: {error}", Exit.USAGE) from error
    return certificate


def _progress(errors: Console) -> Any:
    told = {"part": ""}

    def tell(part: str, done: int, count: int) -> None:
        if errors.is_terminal or told["part"] != part:
            told["part"] = part
            errors.print(f"{part}: {done} of {count}", end="\r" if errors.is_terminal else "\n")

    return tell


def _json(certificate: Certificate, found: Confirmation, seconds: float) -> dict[str, Any]:
    verdict, replay = found.verdict, found.replay
    return {
        "module": certificate.module,
        "confirmed": found.confirmed,
        "refusals": [{"reason": r.reason, "sentence": r.sentence} for r in found.refusals],
        "bounds": None
        if not found.confirmed
        else [
            {"model": b.model, "lo": b.lo, "hi": b.hi, "any_lo": b.any_lo, "any_hi": b.any_hi}
            for b in certificate.bounds
        ],
        "pages": certificate.pages if found.confirmed else None,
        "assumptions": list(verdict.assumptions),
        "counts": {
            "summaries": verdict.summaries,
            "obligations": verdict.obligations,
            "queries": verdict.queries,
            "duals": verdict.duals,
            "runs": replay.runs if replay else 0,
            "rows": replay.rows if replay else 0,
            "rows_looked_at": replay.looked_at if replay else 0,
            "formulas_tried": replay.tried if replay else 0,
            "formulas_hidden": replay.hidden if replay else 0,
            "cuts_unreached": len(found.unreached),
        },
        "measured": dict(replay.measured) if replay else {},
        "trusted_base": [
            {"part": p.name, "files": p.files, "lines": p.lines} for p in trusted_base()
        ],
        "run": {"seconds": seconds, "by_part": verdict.seconds},
    }


def _print(output: Output, certificate: Certificate, found: Confirmation, seconds: float) -> None:
    verdict, replay = found.verdict, found.replay
    output.say(f"module {certificate.module}")
    output.say(f"call {visible(certificate.precondition.entry)}: {_precondition(certificate)}")
    if found.confirmed:
        _print_claims(output, certificate, found)
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in verdict.seconds.items())
    output.say(
        f"{verdict.summaries} functions, {verdict.obligations} obligations in {verdict.queries}"
        f" queries, {verdict.duals} duals ({parts})"
    )
    if replay is not None:
        output.say(
            f"{replay.runs} runs, {replay.looked_at:,} of {replay.rows:,} rows looked at,"
            f" {replay.tried:,} formulas true or refused, {replay.hidden:,} not shown by rows,"
            f" {len(found.unreached)} cuts unreached"
        )
    lines = ", ".join(f"{part.name} {part.lines}" for part in trusted_base())
    output.say(f"trusted, in lines of code: {lines}; and cvc5, the engine, Python")
    for assumption in verdict.assumptions:
        output.say(f"assumed: {visible(assumption)}")
    word = "confirmed" if found.confirmed else "could not decide" if found.undecided else "refused"
    output.say(f"{word} in {seconds:.1f} s")


def _print_claims(output: Output, certificate: Certificate, found: Confirmation) -> None:
    """
    What has been proved; nothing of it is shown of a certificate that is refused.
    """
    replay = found.replay
    for bound in certificate.bounds:
        seen = replay.measured.get(bound.model, []) if replay else []
        returned = (
            f"exactly {bound.lo:,}" if bound.lo == bound.hi else f"{bound.lo:,} to {bound.hi:,}"
        )
        measured = f"{min(seen):,} to {max(seen):,}" if len(set(seen)) > 1 else f"{seen[0]:,}"
        output.say(
            f"{visible(bound.model)}: {returned} when the call returns, at most {bound.any_hi:,}"
            f" whatever its outcome; measured {measured}"
        )
    stack = certificate.stack
    output.say(
        f"at most {certificate.pages} pages, {stack.depth} activations at once,"
        f" {stack.frame_words} words in their frames"
        + ("" if stack.shadow_global is None else f", shadow stack from {stack.shadow_lowest} on")
    )


def _precondition(certificate: Certificate) -> str:
    given = certificate.precondition
    parts = [f"argument {k} in {r.lo} .. {r.hi}" for k, r in enumerate(given.arguments)]
    parts += [visible(shortened(text, 200)) for text in given.assume]
    parts += [f"any bytes at {u.start} .. {u.end}" for u in given.unknown]
    parts += [f"{v.size}-byte values at {v.start} .. {v.end} in {v.lo} .. {v.hi}"
              for v in given.values]  # fmt: skip
    first = f" after {visible(', '.join(given.initialize))}" if given.initialize else ""
    parts.append(f"a fresh instance{first}" if given.fresh else f"an instance in any state{first}")
    return "; ".join(parts)
