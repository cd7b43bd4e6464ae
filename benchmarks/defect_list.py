"""
The defects of engines that ship as smallest modules, in `vectors/defects`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
import wasmtime
from msgspec import Struct

from benchmarks.loop_process import BenchmarkError
from conformance.wasm.decode import validated
from conformance.wasm.module import Module

FOLDER: Final = Path(__file__).parent.parent / "vectors" / "defects"
ENTRY: Final = "run"
PLAIN: Final = "plain"
"""The export that `run` is compared with where fuel is."""

Shows = Literal["value", "fuel-more", "fuel-same", "fuel-apart"]
"""
How a defect shows. `value`: the call ends otherwise than the reference evaluator's, or gives other
bits. `fuel-more`: `run` takes more fuel than `plain`. `fuel-same`: they take the same.
`fuel-apart`: the engine tells other fuel than the control of the same version.
"""


class Defect(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One defect: its module and where to look for it.
    """

    name: str
    """The module is `NAME.wat`."""
    title: str
    engines: tuple[str, ...]
    """`name` or `name/compiler`; all catalogued versions are asked."""
    shows: Shows
    control: str
    """An engine in which it does not show; for `fuel-apart`, the compiler that is compared with."""
    found: str
    """What found it."""
    arguments: tuple[str, ...] = ()
    """Typed bits."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    defect: tuple[Defect, ...]


def defects(folder: Path = FOLDER) -> tuple[Defect, ...]:
    """
    All defects, in the order of the list; raises BenchmarkError for a list that is wrong.
    """
    path = folder / "defects.toml"
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File).defect
    except (OSError, msgspec.DecodeError) as error:
        raise BenchmarkError(f"{path.name}: {error}") from error
    names = [defect.name for defect in found]
    there = sorted(path.stem for path in folder.glob("*.wat"))
    if sorted(names) != there:
        odd = ", ".join(sorted(set(names) ^ set(there))) or "a name is there twice"
        raise BenchmarkError(f"{path.name}: list and modules do not match: {odd}")
    return found


def module_of(defect: Defect, folder: Path = FOLDER) -> Module:
    """
    The defect's module, assembled.
    """
    text = (folder / f"{defect.name}.wat").read_text(encoding="utf-8")
    return validated(bytes(wasmtime.wat2wasm(text)))
