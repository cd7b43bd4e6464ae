"""
Reads what a manifest asks of bounds, `[bounds]`, and which chain it is meant for, `[chain]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, cast

from conformance.gas.errors import UnknownGasModelError
from conformance.gas.load import gas_model
from conformance.manifest.records import BoundsPart, ChainPart
from conformance.manifest.section import Section

MAX_PAGES: Final = 65_536
_MOST: Final = (1 << 63) - 1
_MOST_WORDS: Final = (1 << 32) - 1
_LOADINGS: Final = ("unpinned", "pinned", "seen")
_CHAIN_KEYS: Final = (
    "name", "file", "loading", "message_bytes", "context_bytes", "answer_bytes", "max_sdk_gas",
)  # fmt: skip


def read_bounds(top: Section, folder: str) -> BoundsPart | None:
    """
    `[bounds]`, or None where there is none; raises BadManifestError.
    """
    if "bounds" not in top.table:
        return None
    section = top.section("bounds")
    section.only(BoundsPart.__struct_fields__)
    named = section.texts("models", ())
    models = tuple(_model(section, ("models", at), text) for at, text in enumerate(named))
    limits = section.section("max_gas")
    most = tuple(
        (_model(limits, (text,), text), limits.integer(text, 0, _MOST))
        for text in sorted(limits.table)
    )
    return BoundsPart(
        entries=section.texts("entries", ()),
        models=models,
        max_gas=most,
        max_pages=_most(section, "max_pages", MAX_PAGES),
        max_depth=_most(section, "max_depth", _MOST_WORDS),
        max_frame_words=_most(section, "max_frame_words", _MOST_WORDS),
        independent=section.boolean("independent", default=False),
        contract=_contract(section, folder),
    )


def read_chain_part(top: Section, folder: str) -> ChainPart | None:
    """
    `[chain]`, or None where it is left out or empty; raises BadManifestError.
    """
    section = top.section("chain")
    if not section.table:
        return None
    section.only(_CHAIN_KEYS)
    if ("name" in section.table) == ("file" in section.table):
        sentence = "[chain] needs one of `name`, a shipped chain, and `file`, a chain file"
        raise section.refusal((), sentence)
    file = section.file("file") if "file" in section.table else ""
    if file and not file.endswith(".toml"):
        raise section.refusal("file", "`file` must be a chain file, whose name ends in .toml")
    if file and not (Path(folder) / file).is_file():
        raise section.refusal("file", f"`file`: there is no file {Path(folder) / file}")
    return ChainPart(
        name=section.text("name", ""),
        file=file,
        loading=cast('Literal["unpinned"]', section.choice("loading", _LOADINGS, "unpinned")),
        message_bytes=section.integer("message_bytes", 0, _MOST, 0),
        context_bytes=_most(section, "context_bytes", _MOST),
        answer_bytes=_most(section, "answer_bytes", _MOST),
        max_sdk_gas=_most(section, "max_sdk_gas", _MOST),
    )


def _contract(section: Section, folder: str) -> str:
    """
    A file that ends in .toml, or the name of a shipped contract.
    """
    if not section.text("contract", "").endswith(".toml"):
        return section.text("contract", "")
    file = section.file("contract")
    if not (Path(folder) / file).is_file():
        raise section.refusal("contract", f"`contract`: there is no file {Path(folder) / file}")
    return file


def _model(section: Section, keys: tuple[str | int, ...], text: str) -> str:
    """
    The id of a catalogued gas model; a bare name means its newest version.
    """
    try:
        return gas_model(text).id
    except UnknownGasModelError as error:
        raise section.refusal(keys, str(error)) from None


def _most(section: Section, key: str, most: int) -> int | None:
    return section.integer(key, 0, most) if key in section.table else None
