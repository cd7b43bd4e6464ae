"""
On which line each key of a TOML document stands.

The standard library's reader keeps no positions. This scan walks a document that it has already
accepted, so it need not judge TOML, only find the ends of keys and values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys from the top of the document; an integer is a place in an array."""

MAX_DEPTH: Final = 24
"""Deepest nesting that is followed, far beyond what any manifest needs."""

_BLANK = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\n#]*")


class TooDeepError(ValueError):
    """
    The document nests deeper than MAX_DEPTH; *line* says where.
    """

    def __init__(self, line: int) -> None:
        """
        Keep the line.
        """
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")
        self.line = line


def scan_keys(text: str) -> dict[KeyPath, int]:
    """
    Map every key path of *text*, a TOML document with bare line feeds, to its 1-based line.

    Tables have the line of their header, or of the first key that makes them; array elements
    the line they begin on. Raises TooDeepError.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """
    One walk over a document: *at* only ever moves forward.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.table_counts: dict[KeyPath, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def line(self) -> int:
        return bisect_left(self.newlines, self.at) + 1

    def note(self, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            raise TooDeepError(self.line())
        self.lines.setdefault(path, self.line())

    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        if found:
            self.at += len(mark)
        return found

    def document(self) -> None:
        prefix: KeyPath = ()
        self.skip(_FILLER)
        while self.at < len(self.text):
            before = self.at
            if self.take("[["):
                prefix = self.array_header()
            elif self.take("["):
                prefix = self.table_header()
            else:
                self.pair(prefix)
            self.skip(_FILLER)
            if self.at == before:
                return

    def array_header(self) -> KeyPath:
        names = self.key()
        path = (*self.resolve(names[:-1]), *names[-1:])
        count = self.table_counts.get(path, 0)
        self.table_counts[path] = count + 1
        self.note(path)
        self.note((*path, count))
        self.skip(_BLANK)
        self.take("]]")
        return (*path, count)

    def table_header(self) -> KeyPath:
        path = self.resolve(self.key())
        self.skip(_BLANK)
        self.take("]")
        return path

    def resolve(self, names: tuple[str, ...]) -> KeyPath:
        """
        Follow a header's names; an array of tables means its last table.
        """
        path: KeyPath = ()
        for name in names:
            path = (*path, name)
            self.note(path)
            if path in self.table_counts:
                path = (*path, self.table_counts[path] - 1)
        return path

    def key(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            self.skip(_BLANK)
            for pattern in (_BARE_KEY, _BASIC, _LITERAL):
                match = pattern.match(self.text, self.at)
                if match is not None:
                    raw = match[0]
                    names.append(raw if pattern is _BARE_KEY else tomllib.loads(f"k={raw}")["k"])
                    self.at = match.end()
                    break
            self.skip(_BLANK)
            if len(names) > MAX_DEPTH:
                raise TooDeepError(self.line())
            if not self.take("."):
                return tuple(names)

    def pair(self, prefix: KeyPath) -> None:
        start = self.at
        names = self.key()
        end, self.at = self.at, start
        for count in range(1, len(names) + 1):
            self.note((*prefix, *names[:count]))
        self.at = end
        if self.take("="):
            self.value((*prefix, *names))

    def value(self, path: KeyPath) -> None:
        self.skip(_BLANK)
        if self.take("["):
            self.elements(path)
        elif self.take("{"):
            self.members(path)
        else:
            for pattern in (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL, _SCALAR):
                match = pattern.match(self.text, self.at)
                if match is not None:
                    self.at = match.end()
                    return

    def elements(self, path: KeyPath) -> None:
        index = 0
        self.skip(_FILLER)
        while self.at < len(self.text) and not self.take("]"):
            before = self.at
            self.note((*path, index))
            self.value((*path, index))
            index += 1
            self.skip(_FILLER)
            self.take(",")
            self.skip(_FILLER)
            if self.at == before:
                return

    def members(self, path: KeyPath) -> None:
        self.skip(_FILLER)
        while self.at < len(self.text) and not self.take("}"):
            before = self.at
            self.pair(path)
            self.skip(_FILLER)
            self.take(",")
            self.skip(_FILLER)
            if self.at == before:
                return
