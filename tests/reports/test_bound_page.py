"""
The page of a bound: places on axes, the drawing of the call graph, and the page around them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from test_html_page import Page

from reports.bound_view import (
    BoundView,
    CallView,
    FunctionView,
    GasView,
    LoopView,
    distribution,
)
from reports.call_graph_svg import MOST_ROWS, call_graph_svg
from reports.html import bound_page

GAS = GasView(
    "fuel@1", "proved", "proved 100..200", 100, 200, (100, 120, 120, 190), 1, 0, "refuted"
)
FUNCTIONS = (
    FunctionView(1, "dot", "10", "160", 80.0, ("16",)),
    FunctionView(0, "infer", "1", "40", 20.0, ("100..200",)),
    FunctionView(2, "never", "0", "0", 0.0, ("5",)),
)
VIEW = BoundView(
    entry="infer",
    module="ab" * 32,
    precondition=("argument 0 in 1..9", "a fresh instance"),
    assumptions=(),
    gas=(GAS,),
    memory=(("pages of 64 KiB, at most", "2"),),
    model="fuel@1",
    functions=FUNCTIONS,
    calls=(CallView(0, 1, "10"), CallView(0, 2, "0")),
    loops=(LoopView("dot", 0x86, "m.c:6", "7", "15", "150", "1.5", 75.0),),
    left=0.0,
    unknown=(),
    parts=(),
    limits=(),
    moved=None,
)
UNKNOWN = replace(
    VIEW,
    gas=(replace(GAS, answer="unknown", sentence="unknown", lo=None, hi=None),),
    memory=(), functions=(), calls=(), loops=(),
    unknown=(("unknown: infer, byte 0x5", "it fails in the state local 0 = 1"),),
    parts=("function 1 (dot): fuel@1: proved 16..16 for each call",),
    moved=("call: gas under fuel@1: 3 to nothing, it is not proved any more",),
)  # fmt: skip
EVIL = '<script>alert("x")</script>&\u202e'


# ------------------------------------------------------------------------------------- the axis


def test_places_on_a_linear_axis() -> None:
    shown = distribution(GAS)
    assert shown is not None
    assert not shown.logarithmic
    assert (shown.lo, shown.hi) == (4.0, 96.0)
    # 190 of 100..200 lies at nine tenths of the inner part.
    assert shown.columns[-1].place <= 4 + 0.9 * 92 <= shown.columns[-1].place + 100 / 60
    assert [column.calls for column in shown.columns] == [1, 2, 1]
    assert [column.height for column in shown.columns] == [50.0, 100.0, 50.0]
    assert shown.words == "fuel@1: proved 100 to 200; 4 calls measured 100 to 190"


def test_wide_bounds_have_a_logarithmic_axis() -> None:
    shown = distribution(replace(GAS, lo=9, hi=1_000_000, measured=(3000,)))
    assert shown is not None
    assert shown.logarithmic
    assert 40 < shown.columns[0].place < 60


def test_calls_outside_of_the_bound_stay_on_the_axis() -> None:
    shown = distribution(replace(GAS, measured=(50, 400)))
    assert shown is not None
    assert 0 <= shown.columns[0].place < shown.lo < shown.hi < shown.columns[-1].place <= 100


def test_an_exact_bound_lies_in_the_middle() -> None:
    shown = distribution(replace(GAS, lo=7, hi=7, measured=(7, 7)))
    assert shown is not None
    assert shown.lo == shown.hi == 50


def test_nothing_to_show_without_a_bound_or_without_calls() -> None:
    assert distribution(replace(GAS, lo=None, hi=None)) is None
    assert distribution(replace(GAS, measured=())) is None


@pytest.mark.parametrize(("hi", "measured", "ratio"), [(200, (190,), "1.0526"), (5, (), "")])
def test_ratio_of_the_proved_to_the_measured(
    hi: int, measured: tuple[int, ...], ratio: str
) -> None:
    assert replace(GAS, hi=hi, measured=measured).ratio == ratio


# ------------------------------------------------------------------------------ the call graph


def drawing(view: BoundView) -> ET.Element:
    return ET.fromstring(str(call_graph_svg(view)))  # noqa: S314 - drawn above


def test_callees_stand_right_of_their_callers_coloured_by_share() -> None:
    boxes = {
        group[0].text: group.find("rect")
        for group in drawing(VIEW).iter("g")
    }  # fmt: skip
    dot, infer, never = (
        next(rect for title, rect in boxes.items() if title and title.startswith(name))
        for name in ("dot", "infer", "never")
    )
    assert dot is not None
    assert infer is not None
    assert never is not None
    assert int(infer.attrib["x"]) < int(dot.attrib["x"]) == int(never.attrib["x"])
    assert int(dot.attrib["y"]) < int(never.attrib["y"])
    strength = [float(rect.attrib["style"].strip("-p: %")) for rect in (dot, infer, never)]
    assert strength[0] > strength[1] > strength[2] == 0


def test_the_drawing_says_in_words_what_it_shows() -> None:
    root = drawing(VIEW)
    assert root.attrib["role"] == "img"
    assert "dot 80.0 percent, infer 20.0 percent" in root.attrib["aria-label"]
    assert [text.text for text in root.iter("text") if text.get("class") == "times"] == [
        "10 times", "0 times",
    ]  # fmt: skip


def test_many_functions_are_left_to_the_table() -> None:
    many = tuple(FunctionView(k, f"f{k}", "1", "1", 1.0, ()) for k in range(MOST_ROWS + 5))
    root = drawing(replace(VIEW, functions=many, calls=()))
    assert len(list(root.iter("g"))) == MOST_ROWS
    assert root.attrib["aria-label"].endswith("; 5 more in the table")


def test_recursion_is_no_line_and_no_endless_search() -> None:
    loops = (CallView(0, 0, "5"), CallView(0, 1, "1"), CallView(1, 0, "1"))
    root = drawing(replace(VIEW, calls=loops))
    assert len([path for path in root.iter("path") if path.get("class") == "wire"]) == 2


def test_without_shares_there_is_no_drawing() -> None:
    assert str(call_graph_svg(UNKNOWN)) == ""


# ------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize("view", [VIEW, UNKNOWN], ids=["proved", "unknown"])
def test_the_page_is_well_formed_and_needs_nothing_beside_itself(view: BoundView) -> None:
    text = bound_page([view, view])
    page = Page(text)
    assert page.open == []
    assert page.named("script", "link", "img", "iframe", "object", "base") == []
    assert not [v for _, attrs in page.tags for k, v in attrs.items() if k in {"href", "src"}]
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(names) == len(set(names))
    for attrs in page.named("svg"):
        assert attrs.get("aria-hidden") or (attrs.get("role") and attrs.get("aria-label"))


def test_both_colour_schemes_define_the_same_colours() -> None:
    style = bound_page([VIEW])
    light, dark = re.findall(r":root \{ (--heat[^}]*)\}", style)[:2]
    assert set(re.findall(r"--[a-z]+", light)) == set(re.findall(r"--[a-z]+", dark))


def test_numbers_of_the_page() -> None:
    text = " ".join(Page(bound_page([VIEW])).text)
    for words in ("proved 100..200", "lo 100", "hi 200", "1.0526 times the greatest",
                  "1 call trapped", "m.c:6", "0x86", "75.0 %", "10 times"):  # fmt: skip
        assert words in text, words


def test_an_unknown_shows_no_number_and_why() -> None:
    text = " ".join(Page(bound_page([UNKNOWN])).text)
    assert "Where the gas goes" not in text
    assert "Confirmed by the checker. " not in text.partition("Functions by themselves")[0]
    for words in ("it fails in the state local 0 = 1", "for each call", "not proved any more"):
        assert words in text


def test_a_call_outside_of_its_bound_is_shouted() -> None:
    wrong = replace(VIEW, gas=(replace(GAS, outside=2),))
    assert "2 calls outside of the bound: it is wrong" in " ".join(Page(bound_page([wrong])).text)
    assert "it is wrong" not in " ".join(Page(bound_page([VIEW])).text)


def test_hostile_names_are_only_ever_text() -> None:
    named = tuple(replace(item, title=EVIL) for item in FUNCTIONS)
    text = bound_page([replace(VIEW, entry=EVIL, functions=named, precondition=(EVIL,))])
    assert "<script" not in text
    assert "\u202e" not in text
    assert Page(text).open == []
