"""
How the answer of `weavegate bound` is printed, and its JSON.
"""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from conformance.admission.fitting import OUTSIDE
from conformance.bounds.bound import GasAnswer
from conformance.bounds.prove.outcome import Obstacle
from conformance.bounds.taint_run import TaintResult
from reports.escapes import shortened
from weavegate.bound_guide import guide_json, guide_lines
from weavegate.bound_job import BoundDone, Moved
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
    if report.certificate is not None:
        stack = report.certificate.stack
        console.say(
            f"memory: at most {report.certificate.pages} pages; stack: at most {stack.depth}"
            f" activations, {stack.frame_words} words of frames"
        )
        if stack.shadow_global is not None:
            console.say(
                f"stack in linear memory: global {stack.shadow_global} never below"
                f" {stack.shadow_lowest}"
            )
        _functions(console, done)
    if report.loops:
        _loops(console, done)
    told = [line for obstacle in report.obstacles[:_MOST] for line in obstacle_lines(obstacle)]
    for line in [*told, *guide_lines(report)]:
        console.say(line)
    _asked(console, done)
    for sentence in done.written:
        console.say(sentence)
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in report.seconds.items())
    checked = report.confirmation.verdict.obligations if report.confirmation else 0
    console.say(f"{report.questions} questions to z3, {checked} obligations checked ({parts})")


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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("loop in function", "byte", "repeats at least", "at most"):
        table.add_column(title, justify="left" if title.startswith("loop") else "right")
    for loop in done.report.loops:
        table.add_row(str(loop.function), f"{loop.offset:#x}", loop.least or "0", loop.most)
    console.print(table)


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
        for fit in done.fits:
            console.say(f"{done.chain.name}: {fit.limit}: {fit.answer}: {fit.sentence}")
        console.say(f"not covered: {'; '.join(OUTSIDE)}")
    if done.moved is not None:
        if not done.moved:
            console.say("nothing moved")
        for moved in done.moved:
            console.say(_moved(moved, done))


def _moved(moved: Moved, done: BoundDone) -> str:
    def shown(pair: tuple[int, int] | None) -> str:
        return "nothing" if pair is None else f"{pair[0]:,}..{pair[1]:,}"

    what = done.names.get(moved.what, moved.what)
    return f"moved: {shortened(what)} under {moved.model}: {shown(moved.before)} to " + shown(
        moved.after
    )


def bound_json(done: BoundDone) -> dict[str, Any]:
    """
    The answer as JSON; durations stand in `run`.
    """
    report = done.report
    certificate = report.certificate
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
        "pages": report.pages,
        "stack": None
        if certificate is None
        else {
            "depth": certificate.stack.depth,
            "frame_words": certificate.stack.frame_words,
            "shadow_global": certificate.stack.shadow_global,
            "shadow_lowest": certificate.stack.shadow_lowest,
        },
        "assumptions": list(report.assumptions),
        "functions": [
            {"function": done.names.get(name, name), "model": a.model, "lo": c.lo, "hi": c.hi}
            for a in report.gas
            for name, _, c in report.functions(a.model)
        ],
        "loops": [
            {"function": x.function, "offset": x.offset, "least": x.least or "0", "most": x.most}
            for x in report.loops
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
        "limits": [
            {"limit": f.limit, "allowed": f.allowed, "needed": f.needed, "answer": f.answer}
            for f in done.fits
        ],
        "moved": None
        if done.moved is None
        else [
            {"model": m.model, "what": m.what, "before": m.before, "after": m.after}
            for m in done.moved
        ],
        "run": {"seconds": report.seconds},
    }  # fmt: skip
