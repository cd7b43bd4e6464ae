"""
A report as one self-contained page: no network, no script, light and dark, any width.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import phrases, plots
from reports.bound_view import distribution
from reports.call_graph_svg import call_graph_svg
from reports.escapes import shortened, visible
from reports.findings import CLASS_WORDS, earlier_words, failing_input, lay_out
from reports.json_report import report_digest
from reports.numerals import decimal, fields, hex_digits, marked_digits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.bound_view import BoundView
    from reports.model import Report

_NIBBLE: Final = 4


def _harmless(value: object) -> object:
    """
    Return what Jinja prints for a value: text from records made visible, then escaped by Jinja.
    """
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _runs(digits: str, marks: Iterable[bool]) -> list[tuple[bool, str]]:
    """
    Digits cut where the marking changes.
    """
    pairs = zip(marks, digits, strict=True)
    return [
        (marked, "".join(digit for _, digit in run))
        for marked, run in groupby(pairs, key=lambda pair: pair[0])
    ]


def breakable(label: str) -> Markup:
    """
    Let a node label be broken before its compiler and its settings.
    """
    text = Markup.escape(shortened(label))
    for sign in ("/", "+", "["):
        text = text.replace(sign, Markup("<wbr>") + sign)
    return text


def marked_text(digits: str, marks: tuple[bool, ...]) -> Markup:
    """
    Digits with those that differ inside `<mark>`.
    """
    parts = [
        Markup("<mark>{}</mark>").format(text) if marked else Markup("{}").format(text)
        for marked, text in _runs(digits, marks)
    ]
    return Markup("").join(parts)


def nibbles(digits: str, marks: tuple[bool, ...]) -> Markup:
    """
    Bits in groups of four, counted from the least significant, with differing ones marked.
    """
    first = len(digits) % _NIBBLE or _NIBBLE
    starts = [0, *range(first, len(digits), _NIBBLE)]
    ends = [*starts[1:], len(digits)]
    groups = [marked_text(digits[a:b], marks[a:b]) for a, b in zip(starts, ends, strict=True)]
    return Markup('<span class="gap"></span>').join(groups)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_harmless,
    )
    environment.filters |= {
        "breakable": breakable,
        "short": shortened,
        "number": lambda value: f"{value:,}",
        "marked": marked_text,
        "nibbles": nibbles,
    }
    environment.globals |= {
        "blame_words": phrases.blame_words,
        "cases_of": phrases.cases_of,
        "class_words": CLASS_WORDS,
        "count": phrases.count,
        "decimal": decimal,
        "distribution": distribution,
        "defect_rates": phrases.DEFECT_RATES,
        "drawn_cases": phrases.drawn_cases,
        "duration": phrases.duration_words,
        "earlier_words": earlier_words,
        "failing_input": failing_input,
        "fields": fields,
        "graph": call_graph_svg,
        "hex_digits": hex_digits,
        "lay_out": lay_out,
        "marked_digits": marked_digits,
        "missed": phrases.missed_words,
        "rate_words": phrases.rate_words,
        "sampling_sentence": phrases.sampling_sentence,
        "verdict_words": phrases.VERDICT_WORDS,
    }
    return environment


def html_page(report: Report) -> str:
    """
    Write the report as an HTML document that needs nothing beside itself.
    """
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        headline=phrases.headline(report),
        digest=report_digest(report),
        bars=plots.level_bars(report),
        sampling=plots.sampling_bar(report),
        times=plots.time_plot(report),
    )


def bound_page(views: Sequence[BoundView]) -> str:
    """
    Write bounds of one or more calls as an HTML document that needs nothing beside itself.
    """
    return _environment().get_template("bound.html.j2").render(views=views)
