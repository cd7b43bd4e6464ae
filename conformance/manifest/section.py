"""
Typed access to one table of a TOML document, with refusals that name the line.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from conformance.manifest.errors import BadManifestError
from conformance.manifest.positions import KeyPath, TooDeepError, scan_keys

MAX_FILE_BYTES: Final = 262_144
MAX_TEXT: Final = 4_096

_Default = TypeVar("_Default")
_SHOWN: Final = 60
_SHOWN_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Section:
    """
    One table: its keys, where it stands, and what it is called in messages.

    Every getter takes the key, and a default for when it is absent; without a default the key
    is required. All of them raise BadManifestError.
    """

    document: str
    lines: Mapping[KeyPath, int]
    path: KeyPath
    table: Mapping[str, object]

    @property
    def title(self) -> str:
        """
        `[input]`, `[[call]] number 2`, or `the manifest` for the document itself.
        """
        if not self.path:
            return "the manifest"
        if isinstance(self.path[-1], int):
            return f"[[{_dotted(self.path[:-1])}]] number {self.path[-1] + 1}"
        return f"[{_dotted(self.path)}]"

    def line(self, *keys: str | int) -> int | None:
        """
        The line of a key of this table, or of the nearest table around it that has one.
        """
        path = (*self.path, *keys)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def refusal(self, keys: str | tuple[str | int, ...], sentence: str) -> BadManifestError:
        """
        The error to raise about a key of this table (`()`: about the table as a whole).
        """
        place = (keys,) if isinstance(keys, str) else keys
        return BadManifestError(
            self.document, self.line(*place), _dotted((*self.path, *place)), sentence
        )

    def only(self, known: Collection[str]) -> None:
        """
        Refuse the first key that is not *known*, and name the nearest one that is.
        """
        for key in self.table:
            if key in known:
                continue
            near = difflib.get_close_matches(key[:_SHOWN], known, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise self.refusal(key, f"unknown key `{clean(key)}` in {self.title}; {hint}")

    def text(self, key: str, default: str | None = None) -> str:
        """
        A text of at most MAX_TEXT characters without control characters.
        """
        value = self.required(key, default)
        return self.plain_text((key,), value)

    def plain_text(self, keys: tuple[str | int, ...], value: object) -> str:
        """
        Check that a value found under *keys* is a text as `text` wants it.
        """
        if not isinstance(value, str):
            raise self.wrong(keys, "a text in quotes", value)
        if len(value) > MAX_TEXT or any(c < " " or c == "\x7f" for c in value):
            raise self.refusal(
                keys,
                f"`{_name(keys)}` must be at most {MAX_TEXT} characters without control characters",
            )
        return value

    def file(self, key: str, default: str | None = None) -> str:
        """
        A file in the manifest's own folder, so that a module and what judges it travel together.
        """
        name = self.text(key, default)
        if key not in self.table:
            return name
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
            sentence = f"`{key}` must be a file inside the manifest's folder, written with `/`"
            raise self.refusal(key, sentence)
        return name

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """
        A list of different texts.
        """
        items = self.items(key, default)
        found = tuple(self.plain_text((key, place), item) for place, item in enumerate(items))
        for place, item in enumerate(found):
            if item in found[:place]:
                raise self.refusal((key, place), f"`{key}` has {shown(item)} twice")
        return found

    def items(self, key: str, default: tuple[object, ...] | None = None) -> tuple[object, ...]:
        """
        A list of anything.
        """
        value = self.required(key, default)
        if not isinstance(value, list | tuple):
            raise self.wrong((key,), "a list", value)
        return tuple(value)

    def choice(self, key: str, options: Collection[str], default: str | None = None) -> str:
        """
        One of the words in *options*.
        """
        return self.one_of((key,), self.required(key, default), options)

    def one_of(self, keys: tuple[str | int, ...], value: object, options: Collection[str]) -> str:
        """
        Check that a value found under *keys* is one of the words in *options*.
        """
        if isinstance(value, str) and value in options:
            return value
        sentence = f"`{_name(keys)}` must be one of {', '.join(options)}, not {shown(value)}"
        near = difflib.get_close_matches(clean(value), options, n=1)
        if near:
            sentence += f"; did you mean {shown(near[0])}?"
        raise self.refusal(keys, sentence)

    def integer(
        self, key: str, low: int, high: int, default: _Default | None = None
    ) -> int | _Default:
        """
        An integer from *low* to *high*, both included.
        """
        if key not in self.table and default is not None:
            return default
        return self.whole((key,), self.required(key), low, high)

    def whole(self, keys: tuple[str | int, ...], value: object, low: int, high: int) -> int:
        """
        Check that a value found under *keys* is an integer from *low* to *high*.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(keys, "an integer", value)
        if not low <= value <= high:
            raise self.refusal(
                keys, f"`{_name(keys)}` must be from {low} to {high}, not {shown(value)}"
            )
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """
        Either `true` or `false`.
        """
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong((key,), "true or false", value)
        return value

    def section(self, key: str) -> Section:
        """
        The table under *key*; an empty one when it is absent.
        """
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong((key,), f"a table: write [{_dotted((*self.path, key))}]", value)
        return Section(self.document, self.lines, (*self.path, key), value)

    def sections(self, key: str) -> tuple[Section, ...]:
        """
        The tables of the list under *key*; none when it is absent.
        """
        found: list[Section] = []
        for place, item in enumerate(self.items(key, ())):
            if not isinstance(item, dict):
                raise self.wrong((key, place), f"a table: write [[{key}]]", item)
            found.append(Section(self.document, self.lines, (*self.path, key, place), item))
        return tuple(found)

    def required(self, key: str, default: object = None) -> object:
        """
        The value of *key*, or *default*; refuses an absent key without a default.
        """
        value = self.table.get(key, default)
        if value is None:
            raise self.refusal(key, f"{self.title} needs `{key}`")
        return value

    def wrong(self, keys: tuple[str | int, ...], expected: str, value: object) -> BadManifestError:
        """
        The error for a value of another kind than *expected*.
        """
        return self.refusal(keys, f"`{_name(keys)}` must be {expected}, not {shown(value)}")


def open_document(path: Path) -> Section:
    """
    Read the TOML file *path* and return it as the section around all its tables.
    """
    name = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise BadManifestError(name, None, "", "there is no such file") from None
    except IsADirectoryError:
        sentence = "is a folder: name the model.toml inside it"
        raise BadManifestError(name, None, "", sentence) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadManifestError(name, None, "", f"cannot be read: {reason}") from error
    return parse_document(name, data)


def parse_document(name: str, data: bytes) -> Section:
    """
    Parse the bytes of a TOML file that is called *name* in messages.
    """
    if len(data) > MAX_FILE_BYTES:
        sentence = f"is larger than the {MAX_FILE_BYTES} bytes that a manifest may have"
        raise BadManifestError(name, None, "", sentence)
    if data.startswith(b"\0asm"):
        sentence = "is a WebAssembly module, where its manifest (TOML text) is wanted"
        raise BadManifestError(name, None, "", sentence)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = "is not UTF-8 text: save it as TOML in UTF-8"
        raise BadManifestError(name, line, "", sentence) from None
    try:
        table = tomllib.loads(text)
        lines = scan_keys(text)
    except TooDeepError as error:
        raise BadManifestError(name, error.line, "", f"is {error}") from None
    except RecursionError:
        raise BadManifestError(name, None, "", "is nested too deeply") from None
    except ValueError as error:
        place, sentence = _syntax_error(str(error), text)
        raise BadManifestError(name, place, "", sentence) from None
    return Section(name, lines, (), table)


def _syntax_error(message: str, text: str) -> tuple[int | None, str]:
    """
    Take the line out of a message of tomllib: `Invalid value (at line 3, column 5)`.
    """
    words, _, place = message.rpartition(" (at ")
    if place == "end of document)":
        return text.count("\n") + (not text.endswith("\n")), f"is not TOML: {words}"
    number = place.removeprefix("line ").partition(",")[0]
    if words and number.isdecimal():
        return int(number), f"is not TOML: {words}"
    return None, f"is not TOML: {message}"


def shown(value: object) -> str:
    """
    A value as it is quoted in a message: short, on one line, without control characters.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int):
        # Decimal text of a giant integer costs quadratic time and is refused beyond 4,300 digits.
        return str(value) if value.bit_length() <= _SHOWN_BITS else "a giant integer"
    return f'"{clean(value)}"' if isinstance(value, str) else clean(value)


def clean(value: object) -> str:
    """
    The text of a value, cut short and with control characters replaced.
    """
    text = str(value)
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _dotted(path: KeyPath) -> str:
    return ".".join(clean(part) for part in path)


def _name(keys: tuple[str | int, ...]) -> str:
    """
    `domains[1].low` for ("domains", 1, "low").
    """
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else (f".{key}" if text else key)
    return text
