"""
The catalogue of gas models: `models.toml`, read once and checked.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from msgspec import Struct

from conformance.gas.errors import BadGasModelError, UnknownGasModelError
from conformance.gas.records import (
    ChargePoint,
    DynamicKind,
    DynamicTerm,
    GasModel,
    HostTerms,
    Locals,
)
from conformance.wasm.opcodes import BY_NAME

_FILE: Final = "models.toml"
HOME: Final = "cosmwasm-vm"
"""The model that is meant when none is named."""
HOST_PART: Final = "host:"
"""
Before the id of a model: what the host bills under it, apart from what operators cost.

`cosmwasm-vm@3.0.4` and `host:cosmwasm-vm@3.0.4` are the two parts of one bill.
"""


class _Term(Struct, frozen=True, forbid_unknown_fields=True):
    operators: tuple[str, ...]
    kind: DynamicKind
    price: int | Literal["unknown"]
    paid: Literal["before", "after"]
    even_refused: int = 0
    drops_run: bool = False
    folds_literal: bool = False


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One `[[model]]` of the file.
    """

    name: str
    versions: tuple[str, ...]
    unit: str
    point: ChargePoint
    boundaries: str
    weights: tuple[tuple[int, str], ...]
    sources: dict[str, str]
    unknown: tuple[str, ...]
    refuses: str = ""
    refused: str = ""
    entry: int = 0
    header: int = 0
    locals: Locals | None = None
    per_target: int = 0
    per_parameter: int = 0
    after_itself: str = ""
    commits: str | None = None
    skips_dead_code: bool = False
    dynamic: tuple[_Term, ...] = ()
    host: str | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    host: dict[str, HostTerms]
    model: tuple[_Entry, ...]


_CITED: Final = (
    "boundaries", "weights", "point", "entry", "header", "locals", "per_target", "per_parameter",
    "after_itself", "commits", "dynamic", "host", "refuses",
)  # fmt: skip
_ALWAYS: Final = ("boundaries", "weights", "point")


def parse(text: str) -> Mapping[str, GasModel]:
    """
    The models of a catalogue *text*: id -> model, in the order of the file, versions ascending.

    Raises BadGasModelError.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadGasModelError(f"{_FILE}: {error}") from error
    models: dict[str, GasModel] = {}
    for entry in found.model:
        first = _model(entry, found.host)
        for version in entry.versions:
            model = msgspec.structs.replace(first, version=version)
            if model.id in models:
                raise BadGasModelError(f"{_FILE}: {model.id} is there twice")
            models[model.id] = model
    return MappingProxyType(models)


@cache
def catalogue() -> Mapping[str, GasModel]:
    """
    All models: id -> model.
    """
    return parse(resources.files("conformance.gas").joinpath(_FILE).read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """
    Names of meters, in the order of the catalogue.
    """
    return tuple(dict.fromkeys(model.name for model in catalogue().values()))


def newest(name: str = HOME) -> GasModel:
    """
    The model of the highest version of *name*; raises UnknownGasModelError.
    """
    versions = [model for model in catalogue().values() if model.name == name]
    if not versions:
        raise _unknown(name)
    return max(versions, key=lambda model: order(model.version))


def gas_model(text: str) -> GasModel:
    """
    The model with the id `name@version`; a bare name means its newest version.

    Raises UnknownGasModelError, which names the nearest.
    """
    if "@" not in text:
        return newest(text)
    found = catalogue().get(text)
    if found is None:
        raise _unknown(text)
    return found


def meter(text: str) -> GasModel:
    """
    The model `name@version`, or the host's part of its bill, `host:name@version`.

    Raises UnknownGasModelError.
    """
    if not text.startswith(HOST_PART):
        return gas_model(text)
    return host_part(gas_model(text.removeprefix(HOST_PART)))


def host_part(model: GasModel) -> GasModel:
    """
    A meter on which no operator costs anything: what is left of the bill is the host's.
    """
    return msgspec.structs.replace(
        model, name=HOST_PART + model.name, weights=dict.fromkeys(model.weights, 0), entry=0,
        header=0, locals=None, per_target=0, per_parameter=0, dynamic=(),
    )  # fmt: skip


def order(version: str) -> tuple[tuple[int, int | str], ...]:
    """
    A key by which versions sort: numbers as numbers, anything else as text after them.
    """
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in version.split("."))


def _unknown(text: str) -> UnknownGasModelError:
    """
    The error, with what lies nearest: other versions of the same meter before anything else.
    """
    name, _, version = text.partition("@")
    shown = f"{text[:80]}..." if len(text) > 80 else text  # noqa: PLR2004 - a sentence's share
    known = [model for model in catalogue().values() if model.name == name]
    sentence = f"there is no gas model {shown!r}"
    if known:
        versions = [model.version for model in known]
        near = difflib.get_close_matches(version, versions, n=1, cutoff=0.0)[0]
        oldest, newest_one = min(versions, key=order), max(versions, key=order)
        span = f"{len(versions)} versions are known, {oldest} to {newest_one}"
        if len(versions) == 1:
            span = "no other version is known"
        sentence += f": nearest is {name}@{near}; {span}"
    else:
        near_names = difflib.get_close_matches(name, names(), n=1)
        if near_names:
            sentence += f"; did you mean {newest(near_names[0]).id}?"
        else:
            sentence += f": meters are {', '.join(names())}"
    return UnknownGasModelError(f"{sentence}; `weavegate gas-models` lists all")


# -------------------------------------------------------------------------------- one entry


def _operators(patterns: str, where: str) -> tuple[str, ...]:
    """
    Operators that *patterns* match; a pattern that matches none is a mistake.
    """
    found: dict[str, None] = {}
    for pattern in patterns.split():
        matches = [name for name in BY_NAME if fnmatchcase(name, pattern)]
        if not matches:
            raise BadGasModelError(f"{_FILE}: {where}: no operator matches {pattern!r}")
        found.update(dict.fromkeys(matches))
    return tuple(found)


def _weights(entry: _Entry) -> dict[str, int]:
    where = f"{entry.name}@{entry.versions[0]}"
    prices = {name: price for price, row in entry.weights for name in _operators(row, where)}
    for name in _operators(entry.refuses, where):
        prices.pop(name, None)
    if len(prices) < len(BY_NAME) and not entry.refused:
        raise BadGasModelError(f"{_FILE}: {where}: `refused` does not say why operators are")
    return {name: prices[name] for name in BY_NAME if name in prices}


def _check_sources(entry: _Entry) -> None:
    """
    Every value that is not the default has a citation, and no citation lacks its value.
    """
    defaults = {field.name: field.default for field in msgspec.structs.fields(_Entry)}
    for key in _CITED:
        there = key in _ALWAYS or getattr(entry, key) != defaults[key]
        if key == "refuses":
            there = bool(entry.refused)
        if there != (key in entry.sources):
            what = "has no source" if there else "has a source and no value"
            raise BadGasModelError(f"{_FILE}: {entry.name}@{entry.versions[0]}: {key} {what}")
    other = set(entry.sources) - set(_CITED)
    if other:
        raise BadGasModelError(f"{_FILE}: {entry.name}: sources for unknown keys {sorted(other)}")


def _check_term(entry: _Entry, term: DynamicTerm, operators: tuple[str, ...], where: str) -> None:
    """
    What `drops_run` needs: runs that end at the operator, and an answer that says whether it grew.
    """
    if not term.drops_run:
        return
    ends = entry.point == "block-end" and set(operators) <= {*_operators(entry.boundaries, where)}
    if not ends or not term.kind.endswith("-granted") or term.paid != "after":
        message = "drops_run is for growth that is paid after, as granted, and that ends a run"
        raise BadGasModelError(f"{_FILE}: {where}: {message}")


def _model(entry: _Entry, hosts: Mapping[str, HostTerms]) -> GasModel:
    """
    The model of an entry's first version.
    """
    _check_sources(entry)
    if not entry.versions:
        raise BadGasModelError(f"{_FILE}: {entry.name} has no version")
    where = f"{entry.name}@{entry.versions[0]}"
    if list(entry.versions) != sorted(entry.versions, key=order):
        raise BadGasModelError(f"{_FILE}: {where}: versions are not in ascending order")
    if entry.host is not None and entry.host not in hosts:
        raise BadGasModelError(f"{_FILE}: {where}: there is no [host.{entry.host}]")
    dynamic = tuple(
        DynamicTerm(
            t.operators,
            t.kind,
            None if t.price == "unknown" else t.price,
            t.paid,
            t.even_refused,
            t.drops_run,
            t.folds_literal,
        )
        for t in entry.dynamic
    )
    for term in dynamic:
        _check_term(entry, term, _operators(" ".join(term.operators), where), where)
    commits = None if entry.commits is None else frozenset(_operators(entry.commits, where))
    return GasModel(
        name=entry.name, version=entry.versions[0], alike=entry.versions, unit=entry.unit,
        point=entry.point, boundaries=frozenset(_operators(entry.boundaries, where)),
        weights=MappingProxyType(_weights(entry)), refused=entry.refused, entry=entry.entry,
        header=entry.header, locals=entry.locals, per_target=entry.per_target,
        per_parameter=entry.per_parameter,
        after_itself=frozenset(_operators(entry.after_itself, where)), commits=commits,
        skips_dead_code=entry.skips_dead_code, dynamic=dynamic,
        host=None if entry.host is None else hosts[entry.host],
        sources=MappingProxyType(dict(entry.sources)), unknown=entry.unknown,
    )  # fmt: skip
