"""
Contract files: what is assumed of a host's functions, as TOML, read into records of certificates.

`docs/host-contracts.md` describes the format.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from conformance.bounds.host_records import (
    ContractText,
    HostContract,
    HostCost,
    HostLength,
    Reentry,
    Written,
)
from conformance.gas.load import HOST_PART
from conformance.gas.records import GasModel, HostTerms, Linear
from conformance.manifest.section import MAX_FILE_BYTES, Section, parse_document

_MOST: Final = (1 << 63) - 1
_MOST_WORD: Final = (1 << 32) - 1
_MOST_PAGES: Final = 65_536
_MOST_TIMES: Final = 1_000
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}\Z")
_LENGTH: Final = re.compile(r"(word at )?argument (\d{1,3})(?: \+ (\d{1,10}))?\Z")
_IMPORT_KEYS: Final = (
    "name", "source", "results", "writes", "may_trap", "grows_pages", "re_enters", "gas",
)  # fmt: skip
_NOTHING: Final = "nothing"
_ANYTHING: Final = "anything"


@dataclass(frozen=True, slots=True)
class Length:
    """
    A length that a host function bills by.
    """

    of: str
    """Term over `param`; empty: known to the host alone, from 0 to `most`."""
    most: int | None
    per: int = 0
    """Gas for each unit; 0 where the gas model prices it."""


@dataclass(frozen=True, slots=True)
class Billing:
    """
    What one function bills under the gas models that `models` match.
    """

    models: tuple[str, ...]
    """Patterns such as `cosmwasm-vm@*`."""
    by_model: bool
    """Whether the prices are the gas model's own."""
    least: int = 0
    most: int = 0
    lengths: tuple[Length, ...] = ()
    reads: tuple[Length, ...] = ()
    """Regions that the host reads."""
    writes: tuple[Length, ...] = ()
    texts: tuple[Length, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """
    One function of the host.
    """

    key: str
    ensures: tuple[str, ...]
    writes: tuple[Written, ...] | None
    reenters: tuple[Reentry, ...]
    grows: int
    traps: bool
    billing: tuple[Billing, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """
    A contract file that was read.
    """

    text: ContractText
    imports: tuple[Imported, ...]

    def has(self, key: str) -> bool:
        """
        Whether it says anything of the import `module.name`.
        """
        return any(item.key == key for item in self.imports)

    def unpriced(self, keys: Iterable[str], model: GasModel) -> tuple[str, ...]:
        """
        Those of *keys* of which it states no gas under *model*.
        """
        wanted = set(keys)
        return tuple(
            item.key for item in self.imports if item.key in wanted and _cost(item, model) is None
        )

    def hosts(self, keys: Iterable[str], models: Sequence[GasModel]) -> tuple[HostContract, ...]:
        """
        The records of those of *keys* that it knows, with gas under those of *models* it prices.
        """
        wanted = set(keys)
        found = []
        for item in self.imports:
            if item.key in wanted:
                costs = (_cost(item, model) for model in models)
                found.append(
                    HostContract(
                        item.key, tuple(cost for cost in costs if cost is not None), item.ensures,
                        item.writes, item.reenters, item.grows, item.traps,
                    )
                )  # fmt: skip
        return tuple(found)


def read_contract(path: Path) -> Contract:
    """
    Read a contract file; raises BadManifestError with file, line, key and what was expected.
    """
    return _contract(*_opened(path))


def parse_contract(text: str, name: str = "the contract") -> Contract:
    """
    The contract that *text* states; raises BadManifestError.
    """
    data = text.encode()
    return _contract(parse_document(name, data), data)


def _opened(path: Path) -> tuple[Section, bytes]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        nothing = Section(str(path), {}, (), {})
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise nothing.refusal((), f"the contract cannot be read: {reason}") from error
    return parse_document(str(path), data), data


def _contract(top: Section, data: bytes) -> Contract:
    top.only(("schema", "id", "about", "import"))
    top.integer("schema", 1, 1)
    name = top.text("id")
    if not _ID.match(name):
        sentence = "`id` must be at most 64 small letters, digits and . _ @ -"
        raise top.refusal("id", sentence)
    top.text("about", "")
    sections = top.sections("import")
    if not sections:
        raise top.refusal((), "a contract needs at least one [[import]]")
    imports = tuple(_imported(section) for section in sections)
    for place, item in enumerate(imports):
        if any(other.key == item.key for other in imports[:place]):
            raise sections[place].refusal("name", f"`{item.key}` is there twice")
    text = data.decode()
    digest = hashlib.sha256(data).hexdigest()
    return Contract(ContractText(name, digest, text), imports)


def _imported(section: Section) -> Imported:
    section.only(_IMPORT_KEYS)
    key = section.text("name")
    if "." not in key:
        raise section.refusal("name", "`name` must be module.name, such as env.clock")
    section.text("source", "")
    return Imported(
        key=key,
        ensures=tuple(_ensured(section)),
        writes=_writes(section),
        reenters=tuple(
            Reentry(_only(item, ("export", "times")).text("export"),
                    item.integer("times", 1, _MOST_TIMES, 1))
            for item in section.sections("re_enters")
        ),
        grows=section.integer("grows_pages", 0, _MOST_PAGES, 0),
        traps=section.boolean("may_trap", default=True),
        billing=tuple(_billing(item) for item in section.sections("gas")),
    )  # fmt: skip


def _only(section: Section, known: Sequence[str]) -> Section:
    section.only(known)
    return section


def _ensured(section: Section) -> Iterator[str]:
    """
    Ranges of results as formulas; a result without limits may be anything.
    """
    for place, item in enumerate(section.sections("results")):
        item.only(("type", "low", "high"))
        kind = item.choice("type", ("i32", "i64", "f32", "f64"), "i32")
        width = int(kind[1:])
        if kind.startswith("f"):
            if item.table.keys() & {"low", "high"}:
                raise item.refusal("type", "results of float types have no limits")
            continue
        top = (1 << width) - 1
        low = item.integer("low", 0, top, 0)
        high = item.integer("high", low, top, top)
        if low:
            yield f"(uge (result {place}) (i{width} {low}))"
        if high < top:
            yield f"(ule (result {place}) (i{width} {high}))"


def _writes(section: Section) -> tuple[Written, ...] | None:
    value = section.required("writes")
    if isinstance(value, str):
        return None if section.choice("writes", (_NOTHING, _ANYTHING)) == _ANYTHING else ()
    found = []
    for item in section.sections("writes"):
        item.only(("at", "bytes"))
        start = _term(item, "at", loads=False)
        size = item.required("bytes")
        length = (
            f"(i32 {item.whole(('bytes',), size, 0, _MOST_WORD)})"
            if isinstance(size, int)
            else _term(item, "bytes", loads=False)
        )
        found.append(Written(start, f"(add {start} {length})"))
    return tuple(found)


def _term(section: Section, key: str, *, loads: bool) -> str:
    """
    `argument 1`, `argument 1 + 8`, or `word at argument 0 + 8` as a term.
    """
    text = section.text(key)
    found = _LENGTH.match(text)
    number = 0 if found is None or found[3] is None else int(found[3])
    if found is None or number > _MOST_WORD or (found[1] and not loads):
        forms = "argument 1, argument 1 + 8" + (", word at argument 0 + 8" if loads else "")
        raise section.refusal(key, f"`{key}` must be written like {forms}")
    term = f"(param {int(found[2])})"
    if found[3] is not None:
        term = f"(add {term} (i32 {number}))"
    return f"(load 4 {term})" if found[1] else term


def _billing(section: Section) -> Billing:
    section.only(("models", "by_model", "least", "most", "lengths", "reads", "writes", "texts"))
    models = section.texts("models")
    by_model = section.boolean("by_model", default=False)
    if by_model:
        for key in ("least", "most", "lengths"):
            if key in section.table:
                raise section.refusal(key, f"`{key}` is the model's own with by_model = true")
        reads, writes, texts = (
            tuple(_length(item, priced=False) for item in section.sections(key))
            for key in ("reads", "writes", "texts")
        )
        return Billing(models, True, reads=reads, writes=writes, texts=texts)
    for key in ("reads", "writes", "texts"):
        if key in section.table:
            raise section.refusal(key, f"`{key}` needs by_model = true")
    most = section.integer("most", 0, _MOST)
    least = section.integer("least", 0, most, 0)
    lengths = tuple(_length(item, priced=True) for item in section.sections("lengths"))
    return Billing(models, False, least, most, lengths)


def _length(section: Section, *, priced: bool) -> Length:
    section.only(("of", "per", "most") if priced else ("of", "most"))
    of = _term(section, "of", loads=True) if "of" in section.table else ""
    most = section.integer("most", 0, _MOST_WORD) if "most" in section.table else None
    if not of and most is None:
        raise section.refusal((), "a length needs `of`, `most`, or both")
    per = section.integer("per", 0, _MOST) if priced else 0
    return Length(of, most, per)


# ------------------------------------------------------------------------------- what is billed


def _cost(item: Imported, model: GasModel) -> HostCost | None:
    """
    What a function bills under a model; None where the contract or the model gives no price.
    """
    for billing in item.billing:
        if not any(fnmatchcase(model.id, pattern) for pattern in billing.models):
            continue
        if billing.by_model:
            return None if model.host is None else _modelled(item, billing, model, model.host)
        low, high, lengths = _summed(
            [(length, length.per) for length in billing.lengths], billing.least, billing.most
        )
        return HostCost(HOST_PART + model.id, low, high, lengths)
    return None


def _summed(
    lengths: Iterable[tuple[Length, int]], low: int, high: int
) -> tuple[int, int, tuple[HostLength, ...]]:
    """
    A length that only the host knows adds to the greatest bill alone.
    """
    found = []
    for length, per in lengths:
        if length.of:
            found.append(HostLength(per, length.of, length.most))
        else:
            high += per * (length.most or 0)
    return low, high, tuple(found)


def _modelled(
    item: Imported, billing: Billing, model: GasModel, terms: HostTerms
) -> HostCost | None:
    """
    A bill at the prices of the model; see `conformance.gas.host.host_gas`.
    """
    price = terms.functions.get(item.key)
    if price is None or terms.call is None:
        return None
    low = high = price + terms.call
    priced: list[tuple[Length, int]] = []
    rows = [(length, _reading(terms, length)) for length in billing.reads]
    rows += [(length, terms.write) for length in billing.writes]
    rows += [(length, terms.text) for length in billing.texts]
    for length, linear in rows:
        if linear is None:
            return None
        high += linear.base
        # A region of which the arguments say nothing may not come about at all.
        low += linear.base if length.of else 0
        priced.append((length, linear.per_unit))
    low, high, found = _summed(priced, low, high)
    return HostCost(HOST_PART + model.id, low, high, found)


def _reading(terms: HostTerms, length: Length) -> Linear | None:
    """
    The price of reading a region, None where no single one applies to all that it may hold.
    """
    read = terms.read
    if read is None or read.small == read.large:
        return None if read is None else read.small
    return read.small if length.most is not None and length.most <= read.largest_small else None
