"""
Altered certificates: every number, expression, list and flag of a certificate, one at a time.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from conformance.bounds.certificate import BadCertificateError, Certificate, read_certificate

Path = tuple[str | int, ...]
_TURNED = {
    "ule": ("ult", "uge"), "ult": ("ule",), "uge": ("ugt", "ule"), "ugt": ("uge",),
    "eq": ("ne",), "ne": ("eq",), "add": ("sub",), "sub": ("add",), "and": ("or",),
    "local": ("param",), "param": ("local",), "all": ("any",),
    "global": ("entry-global",), "entry-global": ("global",),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """
    What was altered, and the file that came of it.
    """

    what: str
    data: bytes

    def certificate(self) -> Certificate | None:
        """
        None where the file is no certificate any more.
        """
        try:
            return read_certificate(self.data)
        except BadCertificateError:
            return None


def mutants(certificate: Certificate) -> Iterator[Mutant]:
    """
    All mutants of one certificate, in a fixed order; its inputs stay as they are.
    """
    whole = msgspec.json.decode(msgspec.json.encode(certificate))
    data = msgspec.json.encode(certificate)
    for place, (path, value) in enumerate(_leaves(whole, ())):
        if path[0] == "inputs":
            continue
        for how, altered in _altered(path, value):
            made = copy.deepcopy(whole)
            _put(made, path, altered)
            yield Mutant(f"{'.'.join(map(str, path))}: {how}", msgspec.json.encode(made))
        if place % 7 == 0:
            cut = 1 + place * len(data) // (len(data) + 7 * place)
            yield Mutant(f"truncated to {cut} bytes", data[:cut])


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key in value:
            yield from _leaves(value[key], (*path, key))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _leaves(item, (*path, place))


def _put(whole: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        whole = whole[key]
    whole[path[-1]] = value


def _altered(path: Path, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, bool):
        yield "turned", not value
    elif isinstance(value, int):
        for altered in dict.fromkeys((value + 1, value - 1, 0, 2 * value)):
            if altered != value:
                yield f"{value} -> {altered}", altered
    elif isinstance(value, str):
        yield from _text(path, value)
    elif isinstance(value, (list, tuple)):
        items = list(value)
        for place in range(len(items)):
            yield f"without item {place}", items[:place] + items[place + 1 :]
        for place in range(len(items) - 1):
            turned = items[:]
            turned[place : place + 2] = reversed(turned[place : place + 2])
            yield f"items {place} and {place + 1} exchanged", turned
    elif value is None and path[-1] == "writes":
        yield "nothing", []


def _text(  # noqa: C901, PLR0912 - one branch for each kind of text
    path: Path, text: str
) -> Iterator[tuple[str, Any]]:
    if re.fullmatch(r"-?\d+(/\d+)?", text):
        half = f"{text}/2" if "/" not in text else "0"
        more = str(int(text.partition("/")[0]) + 1)
        for altered in (more, half, "0", f"-{text.lstrip('-')}"):
            if altered != text:
                yield f"{text} -> {altered}", altered
    elif text.startswith("("):
        tokens = re.findall(r"[()]|[^\s()]+|\s+", text)
        for place, token in enumerate(tokens):
            others = _TURNED.get(token, ())
            if token.isdecimal():
                others = tuple(str(n) for n in (int(token) + 1, int(token) - 1) if n >= 0)
            for other in others:
                made = "".join([*tokens[:place], other, *tokens[place + 1 :]])
                yield f"{text} -> {made}", made
    elif path[-1] == "module":
        yield "another module", text[::-1]
    elif text.startswith(("cosmwasm-vm@", "wasmtime-fuel@")):
        yield "another model", "cosmwasm-vm@1.0.0"
    elif text in ("most", "least"):
        yield "the other kind", "least" if text == "most" else "most"
    elif text in ("call", "entry", "visit"):
        for other in ("call", "entry", "visit"):
            if other != text:
                yield f"{text} -> {other}", other
