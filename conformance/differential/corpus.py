"""
The cases of a run: rows of inputs as bit patterns, from a seed, whatever engines will see them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from conformance.differential.inputs import EntryInputs, Pick
from conformance.differential.sampling import in_sample
from conformance.manifest.domains import Bits
from conformance.manifest.records import Manifest
from conformance.manifest.tables import BitsTable
from runners.blocks import CaseBlock
from runners.records import Budget, Call, Level


class BadCorpusError(ValueError):
    """
    The rows that an author gave do not fit the manifest; the message names the first misfit.
    """


class Origin(IntEnum):
    """
    Where a case came from.
    """

    DATASET = 0
    """A held-out row of the author; its index is the number of the row."""
    UNIFORM = 1
    """Drawn from the domain; its index counts the draws."""
    EDGE = 2
    """Made of edge values; its index names which, see `EntryInputs`."""


class Stratum(StrEnum):
    """
    Who sees a case.
    """

    EDGE = "edge"
    """Every node."""
    SAMPLE = "sample"
    """Every node as well, drawn by seed and id."""
    BULK = "bulk"
    """Fast nodes only."""


class CorpusSize(Struct, frozen=True, kw_only=True):
    """
    How much effort a corpus is worth: numbers of cases, shares, and the sizes of blocks.
    """

    dataset: int = 200
    """Most held-out rows, spread evenly."""
    uniform: int = 1_000
    """Rows drawn from the domain of an entry with buffers, or of a call with domains."""
    edges: int = 96
    """Most edge rows of an entry with buffers; rows of one value throughout come on top. Every
    node, however slow, sees them."""
    patterns: int = 64
    """Rows of random bits for each scalar call without domains."""
    products: int = 4_096
    """Most combinations of edge values for each scalar call."""
    sample_share: float = 0.05
    state_share: float = 0.05
    full_share: float = 0.01
    block_cases: int = 4_096
    """Most cases of a block. What is done once per block (keys, batches, transactions, the vote)
    takes about as long as a hundred calls of a small model."""
    shared_block_cases: int = 512
    """Most cases of a block that slow nodes see too: what they did is kept block by block."""
    block_bytes: int = 4 << 20
    """Most bytes of input in a block; one case is always taken."""
    total_bytes: int = 64 << 20
    """Most bytes of input in the corpus; larger rows mean fewer of them."""


QUICK: Final = CorpusSize()
RELEASE: Final = CorpusSize(
    dataset=2_000,
    uniform=10_000,
    edges=960,
    patterns=640,
    products=40_960,
    total_bytes=256 << 20,
)


@dataclass(frozen=True, slots=True)
class CorpusBlock:
    """
    Cases of one entry, one stratum and one observe level, in the order of their ids.
    """

    entry: str
    stratum: Stratum
    origins: NDArray[np.uint8]
    """Shape (n,): `Origin` of each case."""
    block: CaseBlock


@dataclass(frozen=True, slots=True)
class Corpus:
    """
    All blocks of a run, and how many cases they hold.
    """

    blocks: tuple[CorpusBlock, ...]
    origins: tuple[tuple[str, int], ...]
    """(`dataset`, `uniform` or `edge`; cases)."""
    strata: tuple[tuple[str, int], ...]
    levels: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        """
        Number of cases.
        """
        return sum(count for _, count in self.origins)

    def digest(self) -> str:
        """
        SHA-256 over entries, strata, levels, ids and input bytes of all blocks, in order.
        """
        total = hashlib.sha256()
        for part in self.blocks:
            head = f"{part.entry}\0{part.stratum}\0{part.block.level}\0{len(part.block)}\0"
            total.update(head.encode())
            total.update(part.block.ids.astype("<u8").tobytes())
            total.update(part.block.inputs.tobytes())
        return total.hexdigest()


def case_ids(entry_place: int, origin: Origin, indices: Bits) -> Bits:
    """
    Ids of cases: entry in the top 16 bits, origin in the next 4, index in the other 44.

    They depend on nothing else, so a larger corpus gives the same case the same id.
    """
    head = np.uint64((entry_place << 48) | (origin << 44))
    return indices | head


def origins_of(ids: Bits) -> NDArray[np.uint8]:
    """
    The origins in ids.
    """
    return ((ids >> np.uint64(44)) & np.uint64(15)).astype(np.uint8)


def indices_of(ids: Bits) -> Bits:
    """
    The indices in ids: for `dataset` the number of the row.

    For `edge` cases of a scalar call that fit into `CorpusSize.products`: the place in the product
    of its parameters' edge values, the first parameter varying slowest.
    """
    return ids & np.uint64((1 << 44) - 1)


def build_corpus(
    manifest: Manifest,
    calls: Sequence[Call],
    rows: BitsTable | None,
    float_constants: Mapping[str, AbstractSet[int]],
    seed: int,
    effort: CorpusSize = QUICK,
    edges: Mapping[str, tuple[int, ...]] | None = None,
) -> Corpus:
    """
    Make the cases of *calls*, which `conformance.manifest.calls.build_calls` made of *manifest*.

    *rows* are held-out inputs, *float_constants* the module's own, as bits by type, *edges* the
    author's edge values by type. Raises BadCorpusError for rows that do not fit the manifest.
    """
    budget = Budget(
        deadline_ms=manifest.run.deadline_ms,
        fuel=manifest.run.fuel,
        memory_pages=manifest.run.memory_pages,
    )
    blocks: list[CorpusBlock] = []
    for place, call in enumerate(calls):
        inputs = EntryInputs.of(manifest, call.entry, float_constants, edges, seed)
        if rows is not None:
            _require_fit(inputs, rows)
        picks = _picks(inputs, rows, effort, len(calls))
        ids = np.concatenate([case_ids(place, origin, pick.indices) for origin, pick in picks])
        data = np.concatenate([pick.rows for _, pick in picks])
        blocks += _blocks(call, budget, ids, data, seed, effort)
    return Corpus(
        blocks=tuple(blocks),
        origins=tuple(
            (origin.name.lower(), sum(int((b.origins == origin).sum()) for b in blocks))
            for origin in Origin
        ),
        strata=tuple(
            (str(stratum), sum(len(b.block) for b in blocks if b.stratum == stratum))
            for stratum in Stratum
        ),
        levels=tuple(
            (str(level), sum(len(b.block) for b in blocks if b.block.level == level))
            for level in Level
        ),
    )


def _require_fit(inputs: EntryInputs, rows: BitsTable) -> None:
    if inputs.slots:
        message = f"held-out rows go with an input buffer, but {inputs.entry!r} takes scalars"
        raise BadCorpusError(message)
    column = inputs.columns[0]
    if (rows.dtype, rows.count) != (column.dtype, column.count):
        message = (
            f"held-out rows are {rows.count} {rows.dtype}, "
            f"the manifest says {column.count} {column.dtype}"
        )
        raise BadCorpusError(message)
    legal = column.legal(rows.bits())
    if not legal.all():
        row, element = (int(place[0]) for place in np.nonzero(~legal))
        message = f"held-out row {row}, element {element}, lies outside the domain of [input]"
        raise BadCorpusError(message)


def _picks(
    inputs: EntryInputs, rows: BitsTable | None, effort: CorpusSize, entries: int
) -> list[tuple[Origin, Pick]]:
    """
    The cases of one entry by origin; all counts shrink alike where rows are large.
    """
    dataset = 0 if rows is None else min(effort.dataset, len(rows))
    uniform = effort.uniform if inputs.bounded else effort.patterns
    edge = effort.products if inputs.slots else effort.edges
    room = max(1, effort.total_bytes // entries // max(1, inputs.row_bytes))
    total = dataset + uniform + edge

    def fitting(count: int) -> int:
        return count if total <= room else min(count, max(1, count * room // total))

    return [
        (Origin.DATASET, inputs.dataset(rows, fitting(dataset))),
        (Origin.UNIFORM, inputs.uniform(fitting(uniform))),
        (Origin.EDGE, inputs.edge(rows, fitting(edge), room)),
    ]


def _blocks(
    call: Call,
    budget: Budget,
    ids: Bits,
    data: NDArray[np.uint8],
    seed: int,
    effort: CorpusSize,
) -> list[CorpusBlock]:
    """
    Part the cases of one entry by stratum and level, and cut the parts into blocks.
    """
    placed = np.argsort(ids, kind="stable")
    ids, data = ids[placed], data[placed]
    origins = origins_of(ids)
    edge = origins == Origin.EDGE
    sampled = in_sample(seed, ids, effort.sample_share) & ~edge
    strata = ((Stratum.EDGE, edge), (Stratum.SAMPLE, sampled), (Stratum.BULK, ~edge & ~sampled))
    levels = _levels(ids, seed, effort)
    room = min(effort.block_cases, max(1, effort.block_bytes // max(1, call.input_bytes)))
    found: list[CorpusBlock] = []
    for stratum, within in strata:
        most = room if stratum is Stratum.BULK else min(room, effort.shared_block_cases)
        for level in Level:
            chosen = np.flatnonzero(within & (levels == level.rank))
            for start in range(0, len(chosen), most):
                part = chosen[start : start + most]
                block = CaseBlock(call, budget, level, ids[part], np.ascontiguousarray(data[part]))
                found.append(CorpusBlock(call.entry, stratum, origins[part], block))
    return found


def _levels(ids: Bits, seed: int, effort: CorpusSize) -> NDArray[np.uint8]:
    """
    The rank of each case's observe level, from seed and id alone.

    The first edge case is always at `full` and the second at `state`, so that even a tiny
    corpus looks at everything once.
    """
    full = in_sample(seed, ids, effort.full_share, "level full")
    state = in_sample(seed, ids, effort.state_share, "level state")
    first_edges = np.flatnonzero(origins_of(ids) == Origin.EDGE)[:2]
    full[first_edges[:1]] = True
    state[first_edges[1:]] = True
    ranks = np.where(full, Level.FULL.rank, np.where(state, Level.STATE.rank, 0))
    return ranks.astype(np.uint8)
