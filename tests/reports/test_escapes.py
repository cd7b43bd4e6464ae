from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.escapes import shortened, visible, without_surrogates


def test_characters_that_do_not_print_become_codes() -> None:
    assert visible("a\x1b[31m\x00\u202e\ud800\ufffe\n") == (
        "a\\u{1b}[31m\\u{0}\\u{202e}\\u{d800}\\u{fffe}\\u{a}"
    )


def test_what_prints_is_left_alone() -> None:
    assert visible("Modell für Äpfel 模型 <b>&") == "Modell für Äpfel 模型 <b>&"


@given(st.text())
@settings(derandomize=True)
def test_visible_text_prints(text: str) -> None:
    assert visible(text).isprintable()


@given(st.text(max_size=300), st.integers(min_value=8, max_value=200))
@settings(derandomize=True)
def test_shortened_text_keeps_both_ends(text: str, limit: int) -> None:
    full, short = visible(text), shortened(text, limit)
    assert len(short) <= limit + 24
    if len(full) <= limit:
        assert short == full
    else:
        assert short.startswith(full[: limit - limit // 4])
        assert short.endswith(full[-(limit // 4) :])
        assert f"({len(full) - limit:,} more)" in short


def test_only_lone_surrogates_are_replaced_for_storage() -> None:
    assert without_surrogates("\x1b\udcffx") == "\x1b\\u{dcff}x"
    assert without_surrogates("\x1b\n") == "\x1b\n"
