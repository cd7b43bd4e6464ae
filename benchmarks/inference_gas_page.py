"""
The page of inference gas: what is exact, what is a quotient, and which operators stand out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from benchmarks.mispricing import FACTOR, Priced
from benchmarks.model_costs import LoopCost, Model, embedded, level_loops, matched
from benchmarks.operator_steps import STEPS, Step
from benchmarks.passage_costs import Span

Checked = Mapping[tuple[str, str], Mapping[str, Priced]]
"""(Gas model, engine) -> operators."""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """
    A table in Markdown.
    """
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def span_text(span: Span) -> str:
    """
    `5`, or `3..5`.
    """
    return f"{span.lo:,}" if span.exact else f"{span.lo:,}..{span.hi:,}"


def per(span: Span, low: int, high: int) -> str:
    """
    A span over units of work, to one decimal; both ends by name where the units differ.
    """
    least, most = (
        f"{float(Fraction(value, count)):,.1f}"
        for value, count in zip(span, (low, high), strict=True)
    )
    if low != high:
        return f"lo / {low:,} = {least}, hi / {high:,} = {most}"
    return least if least == most else f"{least}..{most}"


def _unit(model: Model) -> tuple[str, int, int]:
    """
    What a model is divided by: levels of its trees, else multiply-accumulates.
    """
    if model.levels is not None:
        return "tree levels", model.levels.lo, model.levels.hi
    return "multiply-accumulates", model.work.products, model.work.products


def _work(model: Model) -> str:
    """
    All of a model's work in words.
    """
    unit, low, high = _unit(model)
    parts = [f"{span_text(Span(low, high))} {unit}"]
    if model.levels is not None:
        trees = model.levels.trees
        parts.append(f"{trees} trees" if trees > 1 else "1 tree")
    parts += [f"{model.work.calls[name]} {name}" for name in model.work.activations]
    return ", ".join(parts)


def whole_models(models: Sequence[Model], ids: Sequence[str]) -> list[str]:
    """
    Bounds of calls, and those divided by all of the work.
    """
    rows = []
    for model in models:
        bounds = model.row.bounds()
        unit, low, high = _unit(model)
        origin = model.origin
        start = [model.name, origin.family, origin.language,
                 f"{origin.toolchain} {origin.level}".strip(), _work(model)]  # fmt: skip
        if not bounds:
            rows.append([*start, "", f"unknown: {model.row.why()}", "", ""])
        for gas_id, bound in zip(ids, bounds, strict=False):
            span = Span(bound.lo, bound.hi)
            rows.append([
                *start, gas_id, f"{'exact' if span.exact else 'proved'} {span_text(span)}",
                f"{per(span, low, high)} per {unit.removesuffix('s')}",
                "yes" if model.adds_up() else "no",
            ])  # fmt: skip
    titles = ("module", "family", "source", "toolchain", "work of one call", "gas model", "gas",
              "quotient", "adds up")  # fmt: skip
    return table(titles, rows)


def products(models: Sequence[Model], ids: Sequence[str]) -> list[str]:
    """
    Innermost loops that multiply and accumulate, and nothing depends on the input.

    Loops of one module that do and cost the same are one row.
    """
    rows: dict[tuple[str, ...], list[LoopCost]] = {}
    for model in models:
        for loop in model.loops:
            clean = loop.innermost and loop.products.exact and loop.products.lo > 0
            if not clean or not loop.multiplications.exact or not loop.gas[0].exact:
                continue
            count = loop.multiplications.lo
            key = (
                model.name, f"{model.origin.language} {model.origin.level}".strip(), str(count),
                *(f"{span_text(span)}" for span in loop.gas),
                *(per(span, count, count) for span in loop.gas),
            )  # fmt: skip
            rows.setdefault(key, []).append(loop)
    titles = ("module", "source", "bytes of loops", "products in a round",
              *(f"{i} per round" for i in ids), *(f"{i} per product" for i in ids))  # fmt: skip
    return table(titles, [
        [*key[:2], ", ".join(f"0x{loop.offset:x}" for loop in loops), *key[2:]]
        for key, loops in rows.items()
    ])  # fmt: skip


def functions(models: Sequence[Model], ids: Sequence[str]) -> list[str]:
    """
    Functions of the semantics that are one round of one loop, and the loop around it.
    """
    rows = []
    for model in models:
        for name, loop in matched(model):
            around = None if loop.around is None else model.loops[loop.around]
            outer = ["", *("" for _ in ids)]
            if around is not None:
                outer = [f"{around.runs} rounds", *(span_text(span) for span in around.gas)]
            rows.append([
                model.name, f"`{name}`", str(model.work.calls[name]),
                str(model.work.per_call(name)), *(span_text(span) for span in loop.gas), *outer,
                _confirmed(model),
            ])  # fmt: skip
    titles = ("module", "function", "calls", "multiply-accumulates",
              *(f"{i} per call" for i in ids), "loop around",
              *(f"{i} per round" for i in ids), "confirmed")  # fmt: skip
    return table(titles, rows)


def in_larger_rounds(models: Sequence[Model], ids: Sequence[str]) -> list[str]:
    """
    Activations that can only be seen as the difference between paths of a round.
    """
    rows = [
        [model.name, f"`{name}`", str(loop.runs), *(span_text(span) for span in loop.gas),
         *(f"{span.hi - span.lo:,}" for span in loop.gas), _confirmed(model)]
        for model in models for name, loop in embedded(model)
    ]  # fmt: skip
    titles = ("module", "function", "calls", *(f"{i} per round" for i in ids),
              *(f"{i} hi - lo" for i in ids), "confirmed")  # fmt: skip
    return table(titles, rows)


def tree_levels(models: Sequence[Model], ids: Sequence[str]) -> list[str]:
    """
    What one level costs: a round of the walk's loop, or a difference where trees are code.
    """
    rows = []
    for model in models:
        own = model.levels
        if own is None:
            continue
        levels = span_text(Span(own.lo, own.hi))
        loops = list(level_loops(model))
        rows += [
            [model.name, levels, f"round of the loop at 0x{loop.offset:x}",
             *(span_text(span) for span in loop.gas), _confirmed(model)]
            for loop in loops
        ]  # fmt: skip
        bounds = model.row.bounds()
        if bounds and not loops and own.lo < own.hi:
            each = (f"{float(Fraction(b.hi - b.lo, own.hi - own.lo)):,.1f}" for b in bounds)
            rows.append([model.name, levels, "(hi - lo) over the difference of levels", *each,
                         _confirmed(model)])  # fmt: skip
        elif bounds and not loops:
            each = (per(Span(b.lo, b.hi), own.lo, own.hi) for b in bounds)
            rows.append([model.name, levels, "whole call over its levels", *each,
                         _confirmed(model)])  # fmt: skip
    return table(("module", "levels", "what", *(f"{i} per level" for i in ids), "confirmed"), rows)


def _confirmed(model: Model) -> str:
    return "yes" if model.row.bounds() else "no"


# --------------------------------------------------------------------------------- operators


def _ratio(one: Priced) -> str:
    """
    The ratio, in bold where it is an outlier; free work shows its time in units of gas.
    """
    text = f"free, {one.nanoseconds / one.median:.1f}" if one.ratio is None else f"{one.ratio:.2f}"
    return f"**{text}**" if one.flag else text


def _row(name: str, checked: Checked) -> list[str]:
    gases, times = {}, {}
    for (model, engine), operators in checked.items():
        gases[model], times[engine] = operators[name].gas, operators[name].nanoseconds
    return [
        f"`{name}`", *(f"{value:,.0f}" for value in gases.values()),
        *(f"{value:.2f}" for value in times.values()),
        *(_ratio(operators[name]) for operators in checked.values()),
    ]  # fmt: skip


def _titles(checked: Checked) -> list[str]:
    models = dict.fromkeys(model for model, _ in checked)
    engines = dict.fromkeys(engine for _, engine in checked)
    return ["operator", *models, *(f"ns `{engine}`" for engine in engines),
            *(f"{model} on `{engine}`" for model, engine in checked)]  # fmt: skip


def flagged(checked: Checked) -> Iterator[str]:
    """
    A line for each gas model and engine: which operators are too cheap and which too dear.
    """
    for (model, engine), operators in checked.items():
        for flag in ("too cheap", "too dear"):
            found = sorted(
                (one for one in operators.values() if one.flag == flag),
                key=lambda one: (one.ratio is not None, one.ratio or 0.0),
                reverse=flag == "too cheap",
            )
            names = ", ".join(f"`{one.operator}` {_ratio(one)}" for one in found) or "none"
            yield f"- {model} on `{engine}`, {flag} ({len(found)}): {names}"


def mispricing(measured: Sequence[Step], checked: Checked) -> list[str]:
    """
    Outliers, then every operator with the step that it was measured with.
    """
    steps = table(("operator", "step"), [
        [f"`{step.operator}`", f"`{step.text.replace('{offset}', '8k')}`"] for step in measured
    ])  # fmt: skip
    return [
        *flagged(checked),
        "",
        "### All operators",
        "",
        *table(_titles(checked), [_row(step.operator, checked) for step in measured]),
        "",
        "### Steps",
        "",
        *steps,
    ]


# -------------------------------------------------------------------------------- the whole

_OPENING: Final = """\
# Gas of inference

Written by `python -m benchmarks.inference_gas`. What a multiply-accumulate, an activation, a
level of a tree and an attention head cost, by family of models and toolchain.

## Whole calls

*gas* holds for every input that the manifest allows and was confirmed by the checker. *work* is
counted by evaluating the declared semantics (statements `s = s + a * b` outside of activations,
calls of activations), on zeros and two held-out rows with equal counts; levels are the shortest
and the longest ways through all trees. *quotient* divides **the whole call** by its work, whatever
else is in it: the least gas by the least work, the most by the most. *adds up*: rounds of loops, as
proved, times what a round costs, as read off the module, give exactly the confirmed bounds.
"""

_PRODUCTS: Final = """
## Multiply-accumulates

Innermost loops without anything that depends on the input. Gas of a round is **exact**; a product's
is that over the products in a round, so it carries its share of counter and branch, and unrolled
loops are cheaper. Products that the compiler left without an addition count.
"""

_FUNCTIONS: Final = """
## Functions: activations, attention, trees

A function of the declared semantics stands here when exactly one loop of the code runs as often as
the function is called and does its multiply-accumulates. Gas is that of one round, loop overhead
included: **exact** where it is one number, else least and most over all paths of the round. `tanh`
is an activation, `convolve` a filter with its rectifier, `attend` one attention head for one token
(the loop around: one head for all tokens), `leaf_of` one tree, `finished` a token through mixing,
the layer behind it and normalisation. *confirmed* is whether the checker confirmed the bounds of
the call; where it did not, repetitions of inner loops rest on the prover's word.
"""

_LARGER: Final = """
Where an activation is part of a larger round, what the dearest path costs more than the cheapest is
**a difference**: its polynomial against its earliest return. An activation in code without a loop,
as the `exp` of a softmax, is in the quotients only.
"""

_LEVELS: Final = """
## Tree levels

A walk that is a loop pays a round for each level, which is **exact** or a span over its paths.
Trees that are code have no loop: there it is **a quotient**, as the table says.
"""

_OPERATORS: Final = f"""
## Is an operator worth its gas

Each operator is repeated {STEPS} times in a loop, each step waiting for the one before. Times are
processor time on this machine: what many rounds take longer than few, less the same loop without
the operator, medians over passes in which engines take turns. Gas is that of the same step:
operands and conversions that the step needs are paid, and mostly free in time. The last columns are
nanoseconds for a unit of gas over their median: 1 is priced like most. **Bold** is an outlier, more
than {FACTOR:g} times the median either way: above, too cheap, which an attacker looks for; below,
too dear. Of what is free the time is given in units of gas. Time depends on the machine and on
values (divisions have large ones here); gas does not. Operators that wait for each other say
nothing of how many a processor does at once, and what takes no time was merged with its neighbours:
compilers know identities of conversions. `memory.grow` asks for 0 pages; granted pages take longer,
and CosmWasm gas does not count them.
"""


def page(
    models: Sequence[Model], left_out: Sequence[str], ids: Sequence[str],
    measured: Sequence[Step], checked: Checked,
) -> str:  # fmt: skip
    """
    The whole document; *left_out* are sentences about models that could not be divided.
    """
    whole = whole_models(models, ids)
    if left_out:
        whole += ["", "Left out:", "", *(f"- {sentence}" for sentence in left_out)]
    parts = (
        (_OPENING, whole),
        (_PRODUCTS, products(models, ids)),
        (_FUNCTIONS, functions(models, ids)),
        (_LARGER, in_larger_rounds(models, ids)),
        (_LEVELS, tree_levels(models, ids)),
        (_OPERATORS, mispricing(measured, checked)),
    )
    return "\n".join(f"{text}\n{chr(10).join(lines)}\n" for text, lines in parts).replace(
        "\n\n\n", "\n\n"
    )
