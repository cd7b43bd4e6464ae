"""
Blocks and voices for tests of the vote: small, explicit, built without any engine.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from conformance.differential.profiles import NanProfile, OutputShape, output_shape
from conformance.differential.vote import BlockVote, Voice, vote
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import AtAddress, Budget, Buffer, Call, EngineId, Families, Level, Node
from runners.status import Status

ONE = 0x3FF0000000000000
TWO = 0x4000000000000000
ZERO = 0
MINUS_ZERO = 1 << 63
NAN = 0x7FF8000000000000
MINUS_NAN = 0xFFF8000000000000
PAYLOAD_NAN = 0x7FF8000000001234
SIGNALLING_NAN = 0x7FF0000000000001

CALL = Call(
    "infer",
    results=("i64",),
    output=Buffer(AtAddress(64), 16),
    input=Buffer(AtAddress(0), 8),
    globals=("g",),
    grows=False,
)
"""One f64 carried as i64, and two f64 in a buffer, of a module that never grows its memory."""

GROWING = structs.replace(CALL, grows=True)

SHAPE: OutputShape = output_shape(CALL, ["f64"], "f64")
SCALAR = Call("f64_min", results=("i64",))
SCALAR_SHAPE: OutputShape = output_shape(SCALAR, ["f64"])


def rows_of(values: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """
    Rows of 64-bit words as bytes.
    """
    words = np.array(values, dtype="<u8").reshape(len(values), -1)
    return words.view(np.uint8).reshape(len(values), -1)


def block_of(n: int, call: Call = SCALAR, level: Level = Level.FULL) -> CaseBlock:
    """
    A block of n cases with ids 100, 101, ...
    """
    inputs = np.zeros((n, call.input_bytes), dtype=np.uint8)
    return CaseBlock(call, Budget(), level, np.arange(100, 100 + n, dtype=np.uint64), inputs)


def node_of(name: str, cpu: str = "native", policy: str = "fresh") -> Node:
    """
    A node of an engine that nobody has.
    """
    return Node(EngineId(name, "1.0"), cpu=cpu, policy=policy)


def voice_of(
    name: str,
    outcome: BlockOutcome,
    *,
    generator: str = "",
    runtime: str = "",
    cpu: str = "native",
    rows: NDArray[np.int64] | None = None,
) -> Voice:
    """
    A voice whose families are its own name unless said otherwise.
    """
    families = Families(generator or name, runtime or name)
    return Voice(node_of(name, cpu), families, outcome, rows)


def returning(*values: int) -> BlockOutcome:
    """
    One case per value, each returning it.
    """
    status = np.full(len(values), Status.RETURNED, dtype=np.uint8)
    return BlockOutcome(status, rows_of([[value] for value in values]))


def ending(*ends: Status | int) -> BlockOutcome:
    """
    One case per end: a status, or the bits of a returned value.
    """
    status = [int(e) if isinstance(e, Status) else int(Status.RETURNED) for e in ends]
    values = [[0 if isinstance(e, Status) else e] for e in ends]
    return BlockOutcome(np.array(status, dtype=np.uint8), rows_of(values))


def vote_on(
    outcomes: dict[str, BlockOutcome],
    *,
    profile: NanProfile = "exact",
    quorum: int = 2,
    generators: dict[str, str] | None = None,
) -> BlockVote:
    """
    Vote on cases of SCALAR, one voice per name.
    """
    names = generators or {}
    voices = [
        voice_of(name, outcome, generator=names.get(name, "")) for name, outcome in outcomes.items()
    ]
    n = len(next(iter(outcomes.values())))
    return vote(block_of(n), SCALAR_SHAPE, voices, profile, quorum)


def is_nan(bits: int) -> bool:
    """
    Ask Python, not the product.
    """
    return math.isnan(struct.unpack("<d", struct.pack("<Q", bits))[0])
