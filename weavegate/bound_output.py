"""
How the answer of `weavegate bound` is printed, and its JSON.
"""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from conformance.admission.fitting import OUTSIDE, SdkGas
from conformance.bounds.bound import GasAnswer
from conformance.bounds.certificate import Certificate
from conformance.bounds.parts import needed
from conformance.bounds.prove.outcome import Obstacle
from conformance.bounds.repairs import Repair
from conformance.bounds.taint_run import TaintResult
from reports.escapes import shortened
from weavegate.bound_drawn import Drawn
from weavegate.bound_guide import guide_json, guide_lines
from weavegate.bound_job import BoundDone
from weavegate.terminal import Output

_MOST = 20


def print_bound(console: Output, done: BoundDone) -> None:
    """
    Gas by model, pages and stack, functions, loops, what is missing, and what was asked for.
    """
    report = done.report
    console.say(f"{report.module[:12]} {shortened(report.precondition.entry)}")
    for answer in report.gas:
        console.say(f"gas {answer.model}: {answer.sentence(report.assumptions)}{_seen(answer)}")
    for answer in report.gas:
        console.say(_independence(answer))
    for taint in done.taints:
        console.say(_taint(taint))
    for sentence in () if done.kept is None else (done.kept.sentence(), *done.kept.broken):
        console.say(shortened(sentence, 300))
    if report.certificate is not None:
        _memory(console, report.certificate)
        _functions(console, done)
    for line in part_lines(done):
        console.say(line)
    _loops(console, done)
    told = [line for obstacle in report.obstacles[:_MOST] for line in obstacle_lines(obstacle)]
    told += guide_lines(report)
    for line in [*told, *(repair_lines(done.repair) if done.repair else [])]:
        console.say(line)
    for drawn in done.drawn:
        console.say(_drawn(drawn))
    _asked(console, done)
    for sentence in done.written:
        console.say(sentence)
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in report.seconds.items())
    checked = report.confirmation.verdict.obligations if report.confirmation else 0
    console.say(f"{report.questions} questions to z3, {checked} obligations checked ({parts})")


def _memory(console: Output, certificate: Certificate) -> None:
    stack = certificate.stack
    console.say(
        f"memory: at most {certificate.pages} pages; stack: at most {stack.depth}"
        f" activations, {stack.frame_words} words of frames"
    )
    if stack.shadow_global is not None:
        console.say(
            f"stack in linear memory: global {stack.shadow_global} never below"
            f" {stack.shadow_lowest}"
        )


def _seen(answer: GasAnswer) -> str:
    if not answer.measured:
        return ""
    return f" (measured {min(answer.measured):,}..{max(answer.measured):,})"


def _independence(answer: GasAnswer) -> str:
    same = f"gas {answer.model} is the same for every input"
    if answer.independence == "refuted":
        gas = sorted(set(answer.measured))
        return f"{same}: refuted, two inputs cost {gas[0]:,} and {gas[-1]:,}"
    return f"{same}: {answer.independence}"


def _taint(taint: TaintResult) -> str:
    """
    What one taint run says of independence.
    """
    if taint.independent:
        kept = "every input" if taint.exact else "every input that returns"
        return f"taint run: gas {taint.model} is {taint.gas:,} for {kept}"
    first = taint.decisions[0]
    return (
        f"taint run: the input steers at {len(taint.decisions)} places, the first is"
        f" {first.operator} in function {first.function}, byte {first.offset:#x}"
    )


def _functions(console: Output, done: BoundDone) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("function")
    for answer in done.report.gas:
        table.add_column(answer.model, justify="right")
    rows: dict[str, list[str]] = {}
    for answer in done.report.gas:
        for name, _, cost in done.report.functions(answer.model):
            rows.setdefault(name, []).append(f"{cost.lo:,}..{cost.hi:,}")
    for name, cells in rows.items():
        table.add_row(Text(shortened(done.names.get(name, name))), *cells)
    console.print(table)


def _loops(console: Output, done: BoundDone) -> None:
    if not done.report.loops:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    lined = any(loop.line for loop in done.report.loops)
    for title in ("loop in", "byte", *(["line"] if lined else []), "repeats at least", "at most"):
        table.add_column(title, justify="left" if title in ("loop in", "line") else "right")
    for loop in done.report.loops:
        line = [Text(shortened(loop.line))] if lined else []
        place = [Text(shortened(loop.title)), Text(f"{loop.offset:#x}"), *line]
        table.add_row(*place, loop.least or "0", loop.most)
    console.print(table)


def part_lines(done: BoundDone) -> list[str]:
    """
    Functions that have bounds of their own, where the call has none.
    """
    lines = []
    for part in done.report.parts:
        title = shortened(done.module.function_name(part.function))
        condition = shortened(" and ".join(needed(part)), 200)
        each = "activation" if part.most > 1 else "call"
        for cost in part.costs:
            proved = f"{title}: {cost.model}: proved {cost.lo:,}..{cost.hi:,} for each {each}"
            lines.append(f"{proved} if {condition}" if condition else proved)
    return lines


def repair_lines(repair: Repair) -> list[str]:
    """
    What a repair says, and how it is stated.
    """
    condition = " and ".join(repair.words)
    lines = [
        f"would be proved: {answer.model}: {answer.sentence().removeprefix('proved ')}"
        f" if {condition}"
        for answer in repair.gas
    ]
    if repair.options:
        lines.append(f"  to state it: {repair.options}")
    for place, low, high in repair.domains:
        lines.append(
            f"  in a manifest, the domain of parameter {place}: {{ low = {low}, high = {high} }}"
        )
    return lines


def _drawn(drawn: Drawn) -> str:
    """
    What seeded inputs cost.
    """
    count = len(drawn.gas) + drawn.trapped
    span = f"{min(drawn.gas):,}..{max(drawn.gas):,}" if drawn.gas else "none returned"
    traps = f", {drawn.trapped} trapped" if drawn.trapped else ""
    wrong = f"; {drawn.outside} OUTSIDE THE BOUND: it is wrong" if drawn.outside else ""
    return f"measured {drawn.model} on {count} drawn inputs: {span}{traps}{wrong}"


def obstacle_lines(obstacle: Obstacle) -> list[str]:
    """
    What an `unknown` says of itself.
    """
    place = f"{shortened(obstacle.title)}, byte {obstacle.offset:#x}"
    if obstacle.line:
        place += f" ({obstacle.line})"
    lines = [f"unknown: {place}: {obstacle.reason}: {shortened(obstacle.sentence, 300)}"]
    if obstacle.candidate:
        lines.append(f"  best measure that failed: {shortened(obstacle.candidate, 200)}")
    if obstacle.state:
        lines.append(f"  it fails in the state {', '.join(obstacle.state)}")
    if obstacle.repair:
        lines.append(f"  it would hold if {obstacle.repair}")
    return lines


def _asked(console: Output, done: BoundDone) -> None:
    """
    Limits of a chain, and differences from an earlier certificate.
    """
    if done.chain is not None:
        if done.sdk is not None:
            _terms(console, done.chain.name, done.sdk)
        for fit in done.fits:
            console.say(f"{done.chain.name}: {fit.limit}: {fit.answer}: {fit.sentence}")
        console.say(f"not covered: {'; '.join(OUTSIDE)}")
    if done.moved is not None:
        if not done.moved:
            console.say("nothing moved")
        for moved in done.moved:
            console.say(f"moved: {moved.sentence()}")


def _terms(console: Output, name: str, gas: SdkGas) -> None:
    """
    The whole call, a line for each part.
    """
    whole = "unknown" if gas.total is None else f"at most {gas.total:,}"
    console.say(f"{name}: the whole call in SDK gas: {whole}")
    for term in gas.terms:
        unit = "unknown" if term.sdk_gas is None else f"{term.sdk_gas:,}"
        billed = "" if term.vm_gas is None else f" ({term.vm_gas:,} gas of the VM)"
        console.say(f"  {term.name}: {unit}{billed}: {shortened(term.sentence, 200)}")


def bound_json(done: BoundDone) -> dict[str, Any]:
    """
    The answer as JSON; durations stand in `run`.
    """
    report = done.report
    return {
        "module": report.module,
        "entry": report.precondition.entry,
        "gas": [
            {
                "model": answer.model,
                "answer": answer.kind,
                "sentence": answer.sentence(report.assumptions),
                "lo": answer.bound.lo if answer.bound else None,
                "hi": answer.bound.hi if answer.bound else None,
                "any_hi": answer.bound.any_hi if answer.bound else None,
                "measured": list(answer.measured),
                "same_for_every_input": answer.independence,
            }
            for answer in report.gas
        ],
        "taint": [
            {"model": t.model, "independent": t.independent, "exact": t.exact, "gas": t.gas,
             "decisions": len(t.decisions)}
            for t in done.taints
        ],
        "host": None
        if done.kept is None
        else {"kept": not done.kept.broken, "broken": list(done.kept.broken),
              "calls": done.kept.calls, "unasked": list(done.kept.unasked)},
        "pages": report.pages,
        **_certified_json(report.certificate),
        "assumptions": list(report.assumptions),
        "functions": [
            {"function": done.names.get(name, name), "model": a.model, "lo": c.lo, "hi": c.hi}
            for a in report.gas
            for name, _, c in report.functions(a.model)
        ],
        "loops": [
            {"function": x.function, "name": x.title, "offset": x.offset, "line": x.line,
             "least": x.least or "0", "most": x.most}
            for x in report.loops
        ],
        "parts": [
            {"function": done.module.function_name(x.function), "model": c.model, "lo": c.lo,
             "hi": c.hi, "activations": x.most, "if": list(needed(x))}
            for x in report.parts
            for c in x.costs
        ],
        "repair": _repair_json(done.repair),
        "drawn": [
            {"model": d.model, "gas": list(d.gas), "trapped": d.trapped, "outside": d.outside}
            for d in done.drawn
        ],
        "obstacles": [
            {
                "reason": x.reason, "function": x.title, "offset": x.offset, "line": x.line,
                "sentence": x.sentence, "candidate": x.candidate, "state": list(x.state),
                "repair": x.repair,
            }
            for x in report.obstacles
        ],
        "guide": guide_json(report),
        "sdk_gas": None if done.sdk is None else _sdk_json(done.sdk),
        "limits": [
            {"limit": f.limit, "allowed": f.allowed, "needed": f.needed, "answer": f.answer}
            for f in done.fits
        ],
        "moved": None
        if done.moved is None
        else [
            {"model": m.model, "what": m.what, "quantity": m.quantity, "before": m.before,
             "after": m.after}
            for m in done.moved
        ],
        "run": {"seconds": report.seconds},
    }  # fmt: skip


def _certified_json(certificate: Certificate | None) -> dict[str, Any]:
    """
    Contract and stack, null without a certificate.
    """
    if certificate is None:
        return {"contract": None, "stack": None}
    text, stack = certificate.contract, certificate.stack
    return {
        "contract": None if text is None else {"id": text.id, "sha256": text.sha256},
        "stack": {
            "depth": stack.depth,
            "frame_words": stack.frame_words,
            "shadow_global": stack.shadow_global,
            "shadow_lowest": stack.shadow_lowest,
        },
    }


def _sdk_json(gas: SdkGas) -> dict[str, Any]:
    return {
        "total": gas.total,
        "terms": [
            {"name": t.name, "vm_gas": t.vm_gas, "sdk_gas": t.sdk_gas, "sentence": t.sentence}
            for t in gas.terms
        ],
        "missing": list(gas.missing),
        "outside": list(OUTSIDE),
    }


def _repair_json(repair: Repair | None) -> dict[str, Any] | None:
    if repair is None:
        return None
    return {
        "if": list(repair.words),
        "options": [part for c in repair.conditions for part in ("--assume", c)],
        "domains": [{"parameter": k, "low": lo, "high": hi} for k, lo, hi in repair.domains],
        "gas": [
            {"model": a.model, "lo": a.bound.lo, "hi": a.bound.hi}
            for a in repair.gas
            if a.bound is not None
        ],
        "tries": repair.tries,
    }
