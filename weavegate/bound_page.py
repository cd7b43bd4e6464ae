"""
From the answer of a bound to what its page shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from conformance.bounds.attribution import Attribution, LoopShare, attribute
from conformance.bounds.bound import GasAnswer
from conformance.bounds.certificate import Precondition
from conformance.gas.load import gas_model
from reports.bound_view import BoundView, CallView, FunctionView, GasView, LoopView
from reports.escapes import shortened
from reports.html import bound_page
from weavegate.bound_job import BoundDone
from weavegate.bound_output import obstacle_lines, part_lines, repair_lines
from weavegate.exits import Exit, WeavegateError


def bound_view(done: BoundDone) -> BoundView:
    """
    Everything that the page of one call shows.

    Shares are of the first model; durations are left out, so the same answer gives the same page.
    """
    report = done.report
    divided: Attribution | None = None
    if report.certificate is not None:
        divided = attribute(done.module, report.certificate, gas_model(report.gas[0].model))
    missing = [obstacle_lines(item) for item in report.obstacles]
    missing += [] if done.repair is None else [repair_lines(done.repair)]
    return BoundView(
        entry=shortened(report.precondition.entry),
        module=report.module,
        precondition=tuple(precondition_words(report.precondition)),
        assumptions=tuple(shortened(text) for text in report.assumptions),
        gas=tuple(_gas(done, answer) for answer in report.gas),
        memory=tuple(_memory(done)),
        model=report.gas[0].model,
        functions=() if divided is None else tuple(_functions(done, divided)),
        calls=() if divided is None else tuple(_calls(divided)),
        loops=tuple(_loops(done, divided)),
        left=0.0 if divided is None else _percent(divided.left, divided.most),
        unknown=tuple(tuple(line.strip() for line in lines) for lines in missing),
        parts=tuple(part_lines(done)),
        limits=tuple(
            f"{fit.limit}: {fit.answer}: {shortened(fit.sentence, 300)}" for fit in done.fits
        ),
        moved=None if done.moved is None else tuple(item.sentence() for item in done.moved),
    )


def write_page(path: Path, done: BoundDone) -> None:
    """
    Write the page of one call; raises WeavegateError where that is not possible.
    """
    try:
        path.write_text(bound_page([bound_view(done)]), encoding="utf-8")
    except OSError as error:
        sentence = f"{path}: cannot be written: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error


def precondition_words(given: Precondition) -> Iterator[str]:
    """
    Which calls a bound is about, in words.
    """
    for place, item in enumerate(given.arguments):
        if item.lo == item.hi:
            yield f"argument {place} is {item.lo:,}"
        else:
            yield f"argument {place} in {item.lo:,}..{item.hi:,}"
    yield from (shortened(text, 200) for text in given.assume)
    yield from (f"any bytes at {span.start:,}..{span.end:,}" for span in given.unknown)
    yield from (
        f"values of {item.size} bytes at {item.start:,}..{item.end:,} in {item.lo:,}..{item.hi:,}"
        for item in given.values
    )
    yield "a fresh instance" if given.fresh else "an instance in any state"


def _gas(done: BoundDone, answer: GasAnswer) -> GasView:
    drawn = next((item for item in done.drawn if item.model == answer.model), None)
    bound = answer.bound
    return GasView(
        model=answer.model,
        answer=answer.kind,
        sentence=shortened(answer.sentence(done.report.assumptions), 300),
        lo=None if bound is None else bound.lo,
        hi=None if bound is None else bound.hi,
        measured=answer.measured if drawn is None else drawn.gas,
        trapped=0 if drawn is None else drawn.trapped,
        outside=0 if drawn is None else drawn.outside,
        independence=answer.independence,
    )


def _memory(done: BoundDone) -> Iterator[tuple[str, str]]:
    certificate = done.report.certificate
    if certificate is None:
        return
    stack = certificate.stack
    yield "pages of 64 KiB, at most", f"{certificate.pages:,}"
    yield "activations at once, at most", f"{stack.depth:,}"
    yield "words of their frames, at most", f"{stack.frame_words:,}"
    if stack.shadow_global is not None:
        yield (
            f"stack in linear memory (global {stack.shadow_global}), never below",
            (f"{stack.shadow_lowest:,}"),
        )


def _title(done: BoundDone, function: int) -> str:
    title = done.module.function_title(function)
    return shortened(title) if title else f"function {function}"


def _functions(done: BoundDone, divided: Attribution) -> Iterator[FunctionView]:
    each: dict[int, list[str]] = {}
    for answer in done.report.gas:
        for _, function, cost in done.report.functions(answer.model):
            each.setdefault(function, []).append(
                f"{cost.lo:,}" if cost.lo == cost.hi else f"{cost.lo:,}..{cost.hi:,}"
            )
    for item in sorted(divided.functions, key=lambda share: (-share.own, share.function)):
        yield FunctionView(
            function=item.function,
            title=_title(done, item.function),
            calls=_number(item.calls),
            own=_number(item.own),
            share=_percent(item.own, divided.most),
            each=tuple(each.get(item.function, ())),
            divided=item.looked_into,
        )


def _calls(divided: Attribution) -> Iterator[CallView]:
    for item in divided.functions:
        for callee, count in sorted(item.callees.items()):
            yield CallView(item.function, callee, _number(count))


def _loops(done: BoundDone, divided: Attribution | None) -> Iterator[LoopView]:
    """
    Loops with facts; gas and share where the whole call has a bound.
    """
    shares: dict[tuple[int, int], LoopShare] = {}
    for item in divided.functions if divided else ():
        shares.update(((item.function, loop.loop), loop) for loop in item.loops)
    for loop in done.report.loops:
        share = shares.get((loop.function, loop.place))
        passages = share.entries + share.rounds if share else Fraction(0)
        yield LoopView(
            title=_title(done, loop.function),
            offset=loop.offset,
            line=shortened(loop.line),
            least=_number(Fraction(loop.least or 0)),
            most=_number(Fraction(loop.most)),
            rounds="" if share is None else _number(share.rounds),
            each=_number(share.gas / passages) if share and passages else "",
            share=None if share is None or divided is None else _percent(share.gas, divided.most),
        )


def _percent(part: Fraction, whole: int) -> float:
    return float(100 * part / whole) if whole else 0.0


def _number(value: Fraction) -> str:
    """
    A whole number, or one with a decimal: dearest runs of a linear program may be fractions.
    """
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.1f}"
