"""
Chain files: what a contract call is held to on one chain, each value with its source and height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from conformance.manifest.section import Section, open_document

UNKNOWN: Final = "unknown"
_MOST: Final = (1 << 63) - 1
_VALUE_KEYS: Final = ("value", "source", "height")


class SourcedNumber(Struct, frozen=True):
    """
    A number, where it was found, and from which block it is known to hold.
    """

    value: int | None
    """None: no public source gives it."""
    source: str
    height: int | None
    """None: the source speaks of a release, not of the chain's state."""


class SourcedText(Struct, frozen=True):
    """
    A text, where it was found, and from which block it is known to hold.
    """

    value: str | None
    source: str
    height: int | None


class GasRegister(Struct, frozen=True):
    """
    How the chain turns gas of its VM into SDK gas (wasmd's gas register).
    """

    multiplier: SourcedNumber
    """CosmWasm gas per unit of SDK gas."""
    instance_unpinned: SourcedNumber
    """SDK gas for making an instance of code that is not pinned."""
    instance_pinned: SourcedNumber
    instance_seen: SourcedNumber
    """The same, where the checksum was loaded earlier in the same transaction."""
    message_byte: SourcedNumber
    """SDK gas per byte of the message."""


class ChainLimits(Struct, frozen=True):
    """
    What a module and one call of it must fit.
    """

    memory_pages: SourcedNumber
    module_bytes: SourcedNumber
    query_gas: SourcedNumber
    """SDK gas of a smart query: of each node, not of consensus."""
    transaction_gas: SourcedNumber
    """SDK gas that one transaction may ask for."""
    block_gas: SourcedNumber
    """SDK gas of one block, `block.max_gas` of the consensus parameters; -1 is no limit."""


class Chain(Struct, frozen=True):
    """
    One chain at one release.
    """

    name: str
    chain_id: str
    release: str
    source: str
    height: int | None
    wasmvm: SourcedText
    gas_model: SourcedText
    register: GasRegister
    limits: ChainLimits


def read_chain(path: Path) -> Chain:
    """
    Read a chain file; raises BadManifestError with file, line, key and what was expected.
    """
    document = open_document(path)
    document.only(("schema", "chain", "vm", "gas_register", "limits"))
    document.integer("schema", 1, 1)
    chain, machine = document.section("chain"), document.section("vm")
    register, limits = document.section("gas_register"), document.section("limits")
    chain.only(("name", "chain_id", "release", "source", "height"))
    machine.only(("wasmvm", "gas_model"))
    register.only(GasRegister.__struct_fields__)
    limits.only(ChainLimits.__struct_fields__)
    return Chain(
        name=chain.text("name"),
        chain_id=chain.text("chain_id"),
        release=chain.text("release"),
        source=chain.text("source"),
        height=_height(chain),
        wasmvm=_text(machine, "wasmvm"),
        gas_model=_text(machine, "gas_model"),
        register=GasRegister(
            **{key: _number(register, key, 0) for key in GasRegister.__struct_fields__}
        ),
        limits=ChainLimits(
            **{
                # Only a block's limit may be lifted, which the consensus parameters write as -1.
                key: _number(limits, key, -1 if key == "block_gas" else 1)
                for key in ChainLimits.__struct_fields__
            }
        ),
    )


def _number(section: Section, key: str, low: int) -> SourcedNumber:
    entry = _entry(section, key)
    if entry.required("value") == UNKNOWN:
        return SourcedNumber(None, entry.text("source"), _height(entry))
    value = entry.integer("value", low, _MOST)
    return SourcedNumber(value, entry.text("source"), _height(entry))


def _text(section: Section, key: str) -> SourcedText:
    entry = _entry(section, key)
    value = entry.text("value")
    return SourcedText(None if value == UNKNOWN else value, entry.text("source"), _height(entry))


def _entry(section: Section, key: str) -> Section:
    section.required(key)
    entry = section.section(key)
    entry.only(_VALUE_KEYS)
    return entry


def _height(section: Section) -> int | None:
    if section.required("height") == UNKNOWN:
        return None
    height: int = section.integer("height", 0, _MOST)
    return height
