"""
Turns a manifest into the calls of a run, and names what the columns of their rows mean.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from conformance.manifest.records import Manifest, ScalarCall, Tensor
from runners.bits import WIDTH_BYTES, ValueType
from runners.records import Buffer, Call, Slot

Columns = tuple[tuple[int, str, int], ...]
"""(byte offset in the row, element type, number of elements), in the order of the row."""

_SLOT_BYTES: Final = 8
_CARRIERS: Final[dict[str, ValueType]] = {"f32": "i32", "f64": "i64"}


class UnknownEntryError(KeyError):
    """
    The manifest has no call of that entry.
    """

    def __str__(self) -> str:
        """
        The sentence without the quotes that KeyError adds.
        """
        return str(self.args[0])


def build_calls(
    manifest: Manifest,
    watched_globals: tuple[str, ...] = (),
    memory: str | None = None,
    *,
    grows: bool = True,
    global_types: tuple[ValueType, ...] = (),
) -> tuple[Call, ...]:
    """
    The calls of a manifest, in its order: one of its entry, or one for each `[[call]]`.

    *watched_globals* and their *global_types*, *memory* and *grows* come from the module (see
    `runners.records.Call`).
    """
    types = global_types or msgspec.UNSET
    run = manifest.run
    if run.entry is not None:
        return (
            Call(
                entry=run.entry,
                arguments=run.arguments,
                results=run.entry_results,
                input=_buffer(run.input),
                output=_buffer(run.output),
                initialize=run.initialize,
                memory=memory,
                globals=watched_globals,
                global_types=types,
                grows=grows,
                abi=run.abi,
            ),
        )
    return tuple(
        Call(
            entry=call.entry,
            arguments=tuple(
                Slot(place, _core_type(call, dtype)) for place, dtype in enumerate(call.parameters)
            ),
            results=tuple(_core_type(call, dtype) for dtype in call.results),
            initialize=run.initialize,
            memory=memory,
            globals=watched_globals,
            global_types=types,
            grows=grows,
            abi=run.abi,
        )
        for call in run.calls
    )


def build_call(
    manifest: Manifest,
    watched_globals: tuple[str, ...] = (),
    memory: str | None = None,
    *,
    grows: bool = True,
    entry: str = "",
) -> Call:
    """
    One call of a manifest: of *entry*, or the only one there is; raises UnknownEntryError.
    """
    calls = build_calls(manifest, watched_globals, memory, grows=grows)
    found = [call for call in calls if call.entry == entry or (not entry and len(calls) == 1)]
    if not found:
        raise UnknownEntryError(_unknown(manifest, entry))
    return found[0]


def input_columns(manifest: Manifest, entry: str) -> Columns:
    """
    What an input row of *entry* holds, by the types that values mean; raises UnknownEntryError.
    """
    run = manifest.run
    if run.entry is not None and entry == run.entry:
        return () if run.input is None else ((0, run.input.dtype, math.prod(run.input.shape)),)
    call = scalar_call(manifest, entry)
    return tuple((_SLOT_BYTES * place, dtype, 1) for place, dtype in enumerate(call.parameters))


def output_columns(manifest: Manifest, entry: str) -> Columns:
    """
    What an output row of *entry* holds, by the types that values mean; raises UnknownEntryError.
    """
    run = manifest.run
    if run.entry is None or entry != run.entry:
        call = scalar_call(manifest, entry)
        return tuple((_SLOT_BYTES * place, dtype, 1) for place, dtype in enumerate(call.results))
    columns: list[tuple[int, str, int]] = [
        (_SLOT_BYTES * place, dtype, 1) for place, dtype in enumerate(run.entry_results)
    ]
    if run.output is not None:
        start = _SLOT_BYTES * len(run.entry_results)
        columns.append((start, run.output.dtype, math.prod(run.output.shape)))
    return tuple(columns)


def scalar_call(manifest: Manifest, entry: str) -> ScalarCall:
    """
    The `[[call]]` table of *entry*; raises UnknownEntryError.
    """
    for call in manifest.run.calls:
        if call.entry == entry:
            return call
    raise UnknownEntryError(_unknown(manifest, entry))


def _core_type(call: ScalarCall, dtype: ValueType) -> ValueType:
    return _CARRIERS.get(dtype, dtype) if call.carried else dtype


def _buffer(tensor: Tensor | None) -> Buffer | None:
    if tensor is None:
        return None
    return Buffer(tensor.place, math.prod(tensor.shape) * WIDTH_BYTES[tensor.dtype])


def _unknown(manifest: Manifest, entry: str) -> str:
    run = manifest.run
    entries = [run.entry] if run.entry is not None else [call.entry for call in run.calls]
    named = f"no call of {entry!r}" if entry else "more than one call, so say which"
    return f"{manifest.name}: the manifest has {named}; it has {', '.join(entries[:8])}"
