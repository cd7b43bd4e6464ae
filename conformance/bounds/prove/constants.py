"""
Constants in memory on which control depends, and the loads that read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.bounds.check.semantics.image import Image
from conformance.bounds.prove.segments import Executor
from conformance.bounds.prove.states import Frame, Loaded, Reads, Region
from conformance.bounds.prove.subject import FunctionProof, relevant
from conformance.bounds.prove.terms import Term, Terms, leaves
from conformance.wasm.module import Module

_LARGEST: Final = 1 << 16
"""Bytes of a region whose content is looked up."""

Tables = dict[str, tuple[int, tuple[int, ...]]]
"""Name -> width of an entry in bits, entries."""


@dataclass(frozen=True, slots=True)
class Constants:
    """
    Parts of memory taken for constants, and the loads that read them.
    """

    spans: tuple[tuple[int, int], ...] = ()
    """(Start, end) of each region."""
    reads: Mapping[int, Reads] = field(default_factory=dict)
    """By function."""
    regions: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(Function, instruction) of a load -> number of its region."""
    tables: Tables = field(default_factory=dict)


def find_constants(
    module: Module, image: Image, entry: int, frames: Mapping[int, Frame], terms: Terms
) -> Constants:
    """
    Regions that loads start from on which control depends; each reaches to the next one used.
    """
    called = {c for function in image.reachable(entry) for c in image.called(function)}
    if any((host := image.host(c)) is not None and host.writes is None for c in called):
        # It may write over any constant.
        return Constants()
    wanted: dict[tuple[int, int], tuple[int, int]] = {}
    bases: set[int] = set()
    for function in sorted(image.reachable(entry)):
        layout = image.layout(function)
        executor = Executor(terms, image, layout, is_entry=False)
        executor.frame = frames.get(function)
        regions = {cut: executor.region(cut) for cut in layout.cuts}
        proof = FunctionProof(function, layout, executor, regions)
        proof.relevant = relevant(proof)
        for region in regions.values():
            bases.update(_bases(region))
        for loaded in _deciding(proof):
            base = _base(loaded.address)
            if base is not None and image.known(base, loaded.size) is not None:
                wanted[function, loaded.at] = (base, loaded.size)
    return _regions(module, image, wanted, sorted(bases))


def _regions(
    module: Module, image: Image, wanted: Mapping[tuple[int, int], tuple[int, int]],
    bases: Sequence[int],
) -> Constants:  # fmt: skip
    ends = [
        int(segment.offset.instructions[0].immediates[0]) + segment.content.size  # type: ignore[arg-type]
        for segment in module.data
        if segment.offset is not None
    ]
    spans: dict[tuple[int, int], int] = {}
    reads: dict[int, dict[int, tuple[int, int, str]]] = {}
    regions: dict[tuple[int, int], int] = {}
    tables: Tables = {}
    for (function, at), (base, size) in sorted(wanted.items()):
        limits = [b for b in (*bases, *ends) if b >= base + size]
        end = min([base + _LARGEST, *limits])
        content = image.known(base, end - base)
        if content is None or end - base < size:
            continue
        number = spans.setdefault((base, end), len(spans))
        data = content.to_bytes(end - base, "little")
        name = f"region{number}x{size}"
        entries = tuple(
            int.from_bytes(data[k : k + size], "little") for k in range(len(data) - size + 1)
        )
        tables[name] = (8 * size, entries)
        reads.setdefault(function, {})[at] = (base, end - base, name)
        regions[function, at] = number
    made = {function: Reads(found) for function, found in reads.items()}
    return Constants(tuple(spans), made, regions, tables)


def _bases(region: Region) -> Iterator[int]:
    for loaded in region.loads:
        base = _base(loaded.address)
        if base is not None:
            yield base
    for access in region.writes:
        base = _base(access.start)
        if base is not None:
            yield base


def _base(address: Term) -> int | None:
    """
    The number in an address `something + number`, or the whole of a known one.
    """
    if address.value is not None:
        return address.value
    if address.operator == "add" and address.operands[1].value is not None:
        return address.operands[1].value
    return None


def _deciding(proof: FunctionProof) -> Iterator[Loaded]:
    """
    Loads whose values reach a test between cuts, directly or through variables.
    """
    known: dict[Term, frozenset[Term]] = {}
    for cut, region in proof.regions.items():
        names: set[Term] = set()
        for target, end in region.ends:
            names |= leaves(end.guard, known)
            if target >= 0:
                put = proof.put(target, end)
                for variable in proof.relevant[target]:
                    if variable in put:
                        names |= leaves(put[variable], known)
        del cut
        needed = dict(_by_value(region))
        todo = [name for name in names if name in needed]
        seen: set[Term] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            todo += [x for x in leaves(needed[name].address, known) if x in needed]
        yield from sorted((needed[name] for name in seen), key=lambda loaded: loaded.at)


def _by_value(region: Region) -> Iterator[tuple[Term, Loaded]]:
    for loaded in region.loads:
        yield loaded.value, loaded
