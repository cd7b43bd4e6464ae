"""
From a manifest to the precondition of a bound, and inputs that meet it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from conformance.bounds.certificate import Bytes, HostBytes, Input, Precondition, Range
from conformance.bounds.contract import Contract
from conformance.manifest.calls import UnknownEntryError
from conformance.manifest.records import Domain, Manifest, RunPart, ScalarCall, Tensor
from conformance.wasm.module import Module
from runners.bits import parse_bits
from runners.records import AtAddress, ByExport, Constant, InputPointer, OutputPointer, Place

ALL_PAGES: Final = 65536
"""All that 32 bits can address."""
_RANDOM_INPUTS: Final = 3
_WIDTHS: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}


class CannotStateError(ValueError):
    """
    What a manifest says of a call cannot be said in a precondition; one sentence why.
    """


@dataclass(frozen=True, slots=True)
class Stated:
    """
    Which calls a bound is about, and some of them: the least input, the greatest, seeded ones.
    """

    precondition: Precondition
    inputs: tuple[Input, ...]


def state(
    manifest: Manifest, module: Module, entry: str = "", seed: int = 0,
    contract: Contract | None = None,
) -> Stated:  # fmt: skip
    """
    The precondition of one entry of a manifest, on an instance as instantiation leaves it.

    A module that grows memory is refused more than the manifest's limit of pages. Raises
    CannotStateError, or UnknownEntryError for an *entry* that the manifest does not call.
    """
    run = manifest.run
    pages = run.memory_pages if grows(module, contract) else ALL_PAGES
    if run.entry is not None and entry in ("", run.entry):
        return _initialising(run, _buffered(manifest, module, seed, pages))
    found = [call for call in run.calls if call.entry == entry or (not entry)]
    if len(found) != 1:
        known = ", ".join([run.entry or "", *(call.entry for call in run.calls)]).strip(", ")
        message = f"name one of the manifest's entries: {known}"
        raise UnknownEntryError(message)
    return _initialising(run, _scalar(found[0], module, seed, pages))


def _initialising(run: RunPart, stated: Stated) -> Stated:
    """
    The same call, on an instance that was initialised first.
    """
    if not run.initialize:
        return stated
    given = msgspec.structs.replace(stated.precondition, initialize=run.initialize)
    return replace(stated, precondition=given)


def grows(module: Module, contract: Contract | None = None) -> bool:
    """
    Whether any instruction can grow memory, or a host under its contract.
    """
    by_host = contract is not None and any(item.grows for item in contract.imports)
    return by_host or "memory.grow" in module.operators


def state_bare(
    module: Module, entry: str, arguments: tuple[Range, ...] = (), pages: int = 512,
    contract: Contract | None = None,
) -> Stated:  # fmt: skip
    """
    A call without a manifest: *arguments* in their ranges, or any where none are given.

    A module that grows memory is refused more than *pages*.
    """
    pages = pages if grows(module, contract) else ALL_PAGES
    export = module.exported(entry)
    if export is None or export.kind != "function":
        message = f"no function {entry!r} is exported"
        raise CannotStateError(message)
    kinds = module.function_type(export.index).parameters
    strange = sorted(set(kinds) - _WIDTHS.keys())
    if strange:
        message = f"{entry} takes a parameter of type {strange[0]}"
        raise CannotStateError(message)
    ranges = arguments or tuple(Range(0, (1 << _WIDTHS[kind]) - 1) for kind in kinds)
    if len(ranges) != len(kinds):
        message = f"{entry} takes {len(kinds)} arguments, {len(ranges)} ranges are given"
        raise CannotStateError(message)
    precondition = Precondition(entry, ranges, most_pages=pages)
    chosen = {tuple(r.lo for r in ranges): None}
    # The greatest of an unlimited argument may run for ever: it is no use as an input.
    if all(r.hi - r.lo < 1 << 20 for r in ranges):
        chosen[tuple(r.lo + (r.hi - r.lo) * 2 // 3 for r in ranges)] = None
        chosen[tuple(r.hi for r in ranges)] = None
    return Stated(precondition, tuple(Input(values) for values in chosen))


def _buffered(manifest: Manifest, module: Module, seed: int, pages: int) -> Stated:
    run = manifest.run
    tensor, entry = run.input, run.entry or ""
    start = None if tensor is None else _address(module, tensor.place)
    size = 0 if tensor is None else _bytes(tensor)
    values: list[int] = []
    for argument in run.arguments:
        if isinstance(argument, InputPointer):
            values.append(start or 0)
        elif isinstance(argument, OutputPointer) and run.output is not None:
            values.append(_address(module, run.output.place))
        elif isinstance(argument, Constant):
            values.append(parse_bits(argument.bits)[1])
        else:
            message = f"an argument of {entry} has no place in memory that is known beforehand"
            raise CannotStateError(message)
    unknown = () if start is None else (Bytes(start, start + size),)
    precondition = Precondition(
        entry, tuple(Range(value, value) for value in values), unknown=unknown, most_pages=pages
    )
    if tensor is None or start is None:
        return Stated(precondition, (Input(tuple(values)),))
    inputs = tuple(
        Input(tuple(values), (HostBytes(start, data.hex()),)) for data in _rows(tensor, seed)
    )
    return Stated(precondition, inputs)


def _address(module: Module, place: Place) -> int:
    """
    Where a buffer lies: told, or by an export that only returns a number.
    """
    if isinstance(place, AtAddress):
        return place.address
    if isinstance(place, ByExport):
        export = module.exported(place.name)
        own = -1 if export is None else export.index - module.imported_functions
        if own >= 0:
            body = module.functions[own].body
            first = body[0]
            if len(body) == 2 and first.opcode.name == "i32.const":  # noqa: PLR2004 - and `end`
                return int(first.immediates[0]) & 0xFFFFFFFF  # type: ignore[arg-type]
    message = "a buffer of the call has no address that is known beforehand"
    raise CannotStateError(message)


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * _kind(tensor).itemsize


def _kind(tensor: Tensor) -> np.dtype[Any]:
    """
    The element type as numpy has it: `u8` has one byte there, so the bits are counted off.
    """
    return np.dtype(f"{tensor.dtype[0]}{int(tensor.dtype[1:]) // 8}")


def _rows(tensor: Tensor, seed: int) -> list[bytes]:
    """
    Input rows: all at the least value, all at the greatest, then seeded ones.
    """
    count, kind = math.prod(tensor.shape), _kind(tensor)
    low, high = _limits(tensor.domain, kind)
    draw = random.Random(seed)  # noqa: S311 - inputs, not secrets
    rows = [[low] * count, [high] * count]
    for _ in range(_RANDOM_INPUTS):
        if kind.kind == "f":
            rows.append([draw.uniform(low, high) for _ in range(count)])
        else:
            rows.append([draw.randint(int(low), int(high)) for _ in range(count)])
    return [np.array(row, kind.newbyteorder("<")).tobytes() for row in rows]


def _limits(domain: Domain | None, kind: np.dtype[Any]) -> tuple[float, float]:
    if domain is not None:
        ends = []
        for text in (domain.low, domain.high):
            raw = parse_bits(text)[1].to_bytes(8, "little")[: kind.itemsize]
            ends.append(np.frombuffer(raw, kind)[0].item())
        return ends[0], ends[1]
    if kind.kind == "f":
        return -1000.0, 1000.0
    bits = 8 * kind.itemsize - (kind.kind == "i")
    return (-(1 << bits) if kind.kind == "i" else 0), (1 << bits) - 1


def _scalar(call: ScalarCall, module: Module, seed: int, pages: int) -> Stated:
    export = module.exported(call.entry)
    if export is None:
        message = f"no function {call.entry!r} is exported"
        raise CannotStateError(message)
    kinds = module.function_type(export.index).parameters
    ranges = []
    for place, kind in enumerate(kinds):
        whole = Range(0, (1 << _WIDTHS[kind]) - 1)
        domain = call.domains[place] if call.domains else None
        if (
            domain is not None
            and kind.startswith("i")
            and not call.parameters[place].startswith("f")
        ):
            low, high = parse_bits(domain.low)[1], parse_bits(domain.high)[1]
            ranges.append(Range(low, high) if low <= high else whole)
        else:
            ranges.append(whole)
    draw = random.Random(seed)  # noqa: S311 - inputs, not secrets
    rows = [tuple(r.lo for r in ranges), tuple(r.hi for r in ranges)]
    rows += [tuple(draw.randint(r.lo, r.hi) for r in ranges) for _ in range(_RANDOM_INPUTS)]
    precondition = Precondition(call.entry, tuple(ranges), most_pages=pages)
    return Stated(precondition, tuple(Input(row) for row in dict.fromkeys(rows)))
