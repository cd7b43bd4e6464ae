from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from sample_reports import HOSTILE, SAMPLES, hostile, nan_red, value_red

import reports
from reports.html import html_page, marked_text, nibbles

BUILDERS = {**SAMPLES, "hostile": hostile}
VOID = {"meta", "br", "wbr"}
STYLE = (Path(reports.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


class Page(HTMLParser):
    """
    Tags in order, with a check that they are closed in turn.
    """

    def __init__(self, text: str) -> None:
        """
        Read the page; a tag closed out of turn is an error.
        """
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            message = f"</{tag}> closes nothing"
            raise ValueError(message)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, *names: str) -> list[dict[str, str | None]]:
        """
        Attributes of all tags with one of *names*.
        """
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_page_is_well_formed_and_needs_nothing_beside_itself(name: str) -> None:
    text = html_page(BUILDERS[name]())
    page = Page(text)
    assert page.open == []
    assert page.named("script", "link", "img", "iframe", "object", "base") == []
    urls = [v for _, attrs in page.tags for k, v in attrs.items() if k in {"href", "src"}]
    assert urls == []
    style = text[text.index("<style>") : text.index("</style>")]
    assert re.findall(r"url\((.*?)\)", style) == ["#hatch"]
    assert "@import" not in style


def test_the_page_check_can_fail() -> None:
    with pytest.raises(ValueError, match="closes nothing"):
        Page(html_page(value_red()).replace("</h2>", "</h3>"))


def test_hostile_text_is_only_ever_text() -> None:
    text = html_page(hostile())
    assert "<script" not in text
    assert not {c for c in text if not c.isprintable()} - {"\n"}
    shown = "".join(Page(text).text)
    assert "<script>alert(1)</script>\\u{1b}[31m\\u{0}\\u{202e}&\"'nnn" in shown
    assert "n" * 10_000 in shown, "the replay line stays whole"


def test_hostile_names_are_shortened_where_they_are_not_needed_whole() -> None:
    assert html_page(hostile()).count("n" * 9_000) == 2, "replay line and command, nothing else"
    assert len(HOSTILE) > 10_000


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_headings_go_down_by_one_and_header_cells_say_what_they_head(name: str) -> None:
    page = Page(html_page(SAMPLES[name]()))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {attrs.get("scope") for attrs in page.named("th")} == {"col", "row"}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_pictures_have_words_or_are_hidden_from_readers(name: str) -> None:
    for attrs in Page(html_page(SAMPLES[name]())).named("svg"):
        assert attrs.get("aria-hidden") == "true" or attrs.get("aria-label")


def test_every_table_scrolls_in_a_box_of_its_own() -> None:
    page = Page(html_page(nan_red()))
    boxed = [
        after[0]
        for before, after in pairwise(page.tags)
        if before[0] == "div" and before[1].get("class") == "box"
    ]
    assert boxed == ["table"] * len(page.named("table"))


def test_differing_bits_are_marked_and_others_are_not() -> None:
    assert marked_text("0110", (False, True, True, False)) == "0<mark>11</mark>0"
    assert marked_text("01", (False, False)) == "01"
    gap = '<span class="gap"></span>'
    assert nibbles("10110", (False,) * 4 + (True,)) == f"1{gap}011<mark>0</mark>"


def test_a_contradictory_record_is_not_shown_as_a_pass() -> None:
    text = html_page(msgspec.structs.replace(value_red(), exit_code=0))
    assert "PASS" not in text
    assert "CONTRADICTION" in text


def _colours(scheme: str) -> dict[str, tuple[float, float, float]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    block = blocks[{"light": 0, "dark": 1, "print": 2}[scheme]]
    found = {}
    for name, digits in re.findall(r"--([a-z-]+): #([0-9a-f]{3,6});", block):
        full = digits if len(digits) == 6 else "".join(2 * d for d in digits)
        found[name] = (int(full[:2], 16) / 255, int(full[2:4], 16) / 255, int(full[4:], 16) / 255)
    return found


def _luminance(colour: tuple[float, float, float]) -> float:
    """
    Relative luminance, WCAG 2.1.
    """
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """
    Contrast ratio, WCAG 2.1.
    """
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_the_contrast_that_wcag_aa_asks_for(scheme: str) -> None:
    colours = _colours(scheme)
    inks = ("ink", "soft", "good", "bad", "open", "sign", "exponent")
    pairs = [(ink, ground) for ink in inks for ground in ("bg", "card")]
    pairs += [(tone, f"{tone}-bg") for tone in ("good", "bad", "open")]
    pairs += [(ink, f"{tone}-bg") for ink in ("ink", "soft") for tone in ("good", "bad", "open")]
    pairs.append(("mark-ink", "mark"))
    weak = {p: contrast(colours[p[0]], colours[p[1]]) for p in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


def test_the_contrast_check_can_fail() -> None:
    assert contrast((0.5, 0.5, 0.5), (1, 1, 1)) < 4.5
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
