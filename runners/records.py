"""
The records that every room speaks: engines, nodes, calls, budgets and outcomes.

All are frozen; their JSON Schemas are generated into `runners/schemas/` and checked in.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Final, Literal

import msgspec
from msgspec import Struct

from runners.bits import ValueType


class BadEngineIdError(ValueError):
    """
    A text does not follow the grammar `name[@version][/compiler][+key=value,...]`.
    """


_ENGINE_ID = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)"
    r"(?:@(?P<version>[0-9][0-9A-Za-z.\-]*))?"
    r"(?:/(?P<compiler>[a-z][a-z0-9]*))?"
    r"(?:\+(?P<settings>[a-z0-9_]+=[A-Za-z0-9_.\-]+(?:,[a-z0-9_]+=[A-Za-z0-9_.\-]+)*))?\Z"
)


class EngineId(Struct, frozen=True, order=True):
    """
    One engine: `name@version/compiler+key=value,...`, the version being the package's.

    `EngineId.parse("wasmer@1.1.0/singlepass")`; empty `version` or `compiler` mean "not said",
    and the catalogue fills them in.
    """

    name: str
    version: str = ""
    compiler: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    """Sorted by key."""

    @classmethod
    def parse(cls, text: str) -> EngineId:
        """
        Read an engine id; raises BadEngineIdError with the grammar when it is none.
        """
        match = _ENGINE_ID.match(text)
        if match is None:
            message = f"{text!r} is not an engine: write name@version/compiler+key=value"
            raise BadEngineIdError(message)
        settings: list[tuple[str, str]] = []
        for item in filter(None, (match["settings"] or "").split(",")):
            key, _, value = item.partition("=")
            settings.append((key, value))
        if len({key for key, _ in settings}) != len(settings):
            message = f"{text!r} gives one setting twice"
            raise BadEngineIdError(message)
        return cls(
            match["name"], match["version"] or "", match["compiler"] or "", tuple(sorted(settings))
        )

    def __str__(self) -> str:
        """
        The id in its canonical spelling.
        """
        text = self.name
        if self.version:
            text += f"@{self.version}"
        if self.compiler:
            text += f"/{self.compiler}"
        if self.settings:
            text += "+" + ",".join(f"{key}={value}" for key, value in self.settings)
        return text


class Families(Struct, frozen=True):
    """
    Which code an engine shares with others, per aspect; a vote counts code generators.
    """

    generator: str
    runtime: str
    host: str = "weavegate"


class Node(Struct, frozen=True):
    """
    An engine plus everything around it that may differ between two validators.
    """

    engine: EngineId
    cpu: str = "native"
    """`native`, or `baseline`: code generated without the host's optional CPU features."""
    fpu: str = "ieee"
    environment: tuple[tuple[str, str], ...] = ()
    cache: str = "none"
    policy: str = "fresh"
    """Instance policy: `fresh`, `reuse(N)` or `pooled`."""
    lifecycle: tuple[str, ...] = ()
    host: str | msgspec.UnsetType = msgspec.UNSET
    """Digest of what answers the imports of modules; absent: every import is refused."""

    def digest(self) -> str:
        """
        SHA-256 of the node's canonical JSON.
        """
        return digest_of(self)

    def label(self) -> str:
        """
        The engine id, followed by what is unusual about the node in brackets.
        """
        usual = Node(self.engine)
        extra = [] if self.policy == usual.policy else [self.policy]
        extra += [
            f"{field}={getattr(self, field)}"
            for field in ("cpu", "fpu", "environment", "cache", "lifecycle")
            if getattr(self, field) != getattr(usual, field)
        ]
        if isinstance(self.host, str):
            extra.append(f"host={self.host[:8]}")
        return str(self.engine) + (f"[{' '.join(extra)}]" if extra else "")


class Level(StrEnum):
    """
    How much of a call is observed; each level includes the ones before it.
    """

    RESULT = "result"
    """Kind of outcome and result bits."""
    STATE = "state"
    """Also exported globals, a digest of linear memory, and its pages."""
    FULL = "full"
    """Also gas and the log of host calls."""

    @property
    def rank(self) -> int:
        """
        0, 1 or 2: a stored outcome of a higher rank serves a lower one.
        """
        return _RANKS[self]


_RANKS: Final = {level: rank for rank, level in enumerate(Level)}


# ------------------------------------------------------------------------------ how to call


class InputPointer(Struct, frozen=True, tag="input-pointer"):
    """
    The argument is the address of the input buffer (i32).
    """


class OutputPointer(Struct, frozen=True, tag="output-pointer"):
    """
    The argument is the address of the output buffer (i32).
    """


class Slot(Struct, frozen=True, tag="slot"):
    """
    The argument is the case's own scalar number *index*, taken from the row of the input.
    """

    index: int
    value_type: ValueType


class Constant(Struct, frozen=True, tag="constant"):
    """
    The argument is the same for every case, as typed bits.
    """

    bits: str


class Made(Struct, frozen=True, tag="made"):
    """
    The argument is what an export returned when the instance was opened (i32): an object that the
    module keeps, such as the state that its entry works on.
    """

    export: str
    given: tuple[str, ...] = ()
    """The export's arguments, as typed bits."""


Argument = InputPointer | OutputPointer | Slot | Constant | Made


class ByExport(Struct, frozen=True, tag="export"):
    """
    The buffer's address is what the argument-less export *name* returns (i32).
    """

    name: str


class ByAllocator(Struct, frozen=True, tag="allocator"):
    """
    The buffer's address is what the export *name* returns for the size in bytes (i32 -> i32).
    """

    name: str


class AtAddress(Struct, frozen=True, tag="address"):
    """
    The buffer lies at a fixed address of linear memory.
    """

    address: int


class ByResult(Struct, frozen=True, tag="result"):
    """
    The output buffer's address is the first result (i32) of the entry itself.
    """


Place = ByExport | ByAllocator | AtAddress | ByResult


class Buffer(Struct, frozen=True):
    """
    A block of linear memory that carries a case's input or output.
    """

    place: Place
    size_bytes: int


class Call(Struct, frozen=True):
    """
    How one entry of a module is called: the same for all cases of a block.

    A case's input row is its scalar slots, 8 bytes each, little-endian and zero-extended, then
    the bytes of the input buffer. Its output row is the entry's results, 8 bytes each, then the
    bytes of the output buffer; it is all zero unless the call returned. No v128 in slots.
    """

    entry: str
    arguments: tuple[Argument, ...] = ()
    results: tuple[ValueType, ...] = ()
    input: Buffer | None = None
    output: Buffer | None = None
    initialize: tuple[str, ...] = ()
    """Argument-less exports called once, in order, after instantiation."""
    memory: str | None = None
    """Name of the exported linear memory, if the module exports one."""
    globals: tuple[str, ...] = ()
    """Exported globals that are observed at level `state`, in this order."""
    global_types: tuple[ValueType, ...] | msgspec.UnsetType = msgspec.UNSET
    """Their types, one each; absent where they are not known, and then bits are given as `i64`."""
    grows: bool = True
    """Whether anything in the module can grow its memory (a buffer's address may then move)."""
    abi: str = "plain"

    @property
    def slots(self) -> int:
        """
        Number of scalar slots in an input row.
        """
        return max((a.index + 1 for a in self.arguments if isinstance(a, Slot)), default=0)

    @property
    def input_bytes(self) -> int:
        """
        Size of one input row in bytes.
        """
        return 8 * self.slots + (self.input.size_bytes if self.input else 0)

    @property
    def output_bytes(self) -> int:
        """
        Size of one output row in bytes.
        """
        return 8 * len(self.results) + (self.output.size_bytes if self.output else 0)


class Budget(Struct, frozen=True):
    """
    What one call may use.
    """

    deadline_ms: int = 10_000
    fuel: int | None = None
    memory_pages: int = 512


# ---------------------------------------------------------------------------------- outcomes


class NotObserved(Struct, frozen=True, tag="not-observed"):
    """
    The node cannot show this, or was not asked to; *reason* says which.
    """

    reason: str


TrapKind = Literal[
    "unreachable",
    "memory out of bounds",
    "integer divide by zero",
    "integer overflow",
    "invalid conversion to integer",
    "indirect call to null",
    "table out of bounds",
    "indirect call type mismatch",
    "undefined element",
    "host error",
    "unknown",
]


class Returned(Struct, frozen=True, tag="returned"):
    """
    The call came back.
    """

    results: tuple[str, ...]
    """The entry's results as typed bits."""
    output: str
    """The output buffer, `bytes:...`."""


class Trapped(Struct, frozen=True, tag="trapped"):
    """
    The module trapped: a property of the case, not a fault of the engine.
    """

    kind: TrapKind


class Exhausted(Struct, frozen=True, tag="exhausted"):
    """
    The case met a limit of the node; such a node abstains.
    """

    resource: Literal["stack", "fuel", "memory", "table"]


class Rejected(Struct, frozen=True, tag="rejected"):
    """
    The engine would not take the module.
    """

    stage: Literal["compile", "instantiate", "entry"]
    rule: str


class Crashed(Struct, frozen=True, tag="crashed"):
    """
    The worker died of a signal, twice, on this case alone.
    """

    signal: str


class TimedOut(Struct, frozen=True, tag="timed-out"):
    """
    The worker did not finish the case before its deadline; never stored, never a vote.
    """


class BrokeProtocol(Struct, frozen=True, tag="broke-protocol"):
    """
    The worker spoke nonsense; *rule* names the rule of PROTOCOL.md that it broke.
    """

    rule: str


OutcomeKind = Returned | Trapped | Exhausted | Rejected | Crashed | TimedOut | BrokeProtocol


class GasReading(Struct, frozen=True):
    """
    What one meter showed for one call.
    """

    meter: str
    """`fuel:wasmtime@50.0.1`, `counted:wasmvm@3.0.3`, `model:cosmwasm-vm@3.0.4`."""
    unit: str
    vm_part: int
    host_part: int | NotObserved


class Outcome(Struct, frozen=True):
    """
    What one node did with one case; each observation is a value or the reason for its absence.
    """

    kind: OutcomeKind
    memory_sha256: str | NotObserved
    pages: int | NotObserved
    globals: tuple[str, ...] | NotObserved
    gas: tuple[GasReading, ...] | NotObserved
    host_calls: tuple[str, ...] | NotObserved


class Case(Struct, frozen=True):
    """
    One call of a module.
    """

    module_sha256: str
    call: Call
    input: str
    """The input row, `bytes:...`."""
    budget: Budget = Budget()
    level: Level = Level.RESULT
    context: str = ""
    """Digest of the call context (env, info, block, sender); empty for plain modules."""
    state_sha256: str = ""
    host_script: tuple[str, ...] = ()


class Identity(Struct, frozen=True):
    """
    What a running worker is made of; part of the key of its evidence.
    """

    package_version: str
    core_version: str
    library_sha256: str
    worker_sha256: str
    artifact_sha256: str
    interpreter: str
    cpu_features_sha256: str


def canonical_json(record: object) -> bytes:
    """
    Encode a record as JSON with a fixed order of keys: the form that is digested.
    """
    return msgspec.json.encode(record, order="deterministic")


def digest_of(record: object) -> str:
    """
    SHA-256, in hexadecimal, of a record's canonical JSON.
    """
    return hashlib.sha256(canonical_json(record)).hexdigest()
