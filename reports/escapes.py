"""
Makes text from outside harmless: names of modules, rules and reasons may be hostile.
"""

from __future__ import annotations

from typing import Final

NAME_LIMIT: Final = 120
"""Characters of a name that a heading or a table shows."""


def visible(text: str) -> str:
    r"""
    Replace every character that does not print by its code, as in `\u{1b}`.

    That covers control characters (which steer terminals and are illegal in XML), bidirectional
    overrides, zero-width characters and lone surrogates. Line breaks are such characters, too.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)


def shortened(text: str, limit: int = NAME_LIMIT) -> str:
    """
    Return *text* made visible, and if it exceeds *limit* characters, its two ends and a count.
    """
    text = visible(text)
    if len(text) <= limit:
        return text
    tail = limit // 4
    head = limit - tail
    return f"{text[:head]}... ({len(text) - limit:,} more) ...{text[-tail:]}"


def without_surrogates(text: str) -> str:
    """
    Return *text* with lone surrogates (undecodable bytes of a file name) written as codes.

    UTF-8 has no form for them; everything else passes unchanged.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(f"\\u{{{ord(c):x}}}" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)  # noqa: PLR2004 - the range of surrogates
    return text
