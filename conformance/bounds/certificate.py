"""
The certificate of a bound: what is claimed about one call, and the hints that make it checkable.

Expressions are texts in the language of `conformance.bounds.expressions`; places in code are
instruction indices inside one body, counted from 0. Nothing in a certificate is believed: a checker
regenerates every obligation from the module.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from conformance.bounds.host_records import ContractText, HostAmount, HostContract, Written

SCHEMA: Final = 1
ENTRY: Final = -1
"""The cut at the entry of a function; the other cuts are the indices of its `loop` instructions."""
OUT: Final = -1
"""Where an edge goes that leaves the function."""

Natural = Annotated[int, Meta(ge=0)]
Word = Natural
Rational = Annotated[str, Meta(pattern=r"^-?[0-9]{1,60}(/[1-9][0-9]{0,59})?$")]
Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class BadCertificateError(ValueError):
    """
    A file is no certificate: not JSON, truncated, or with parts that do not fit.
    """


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Unsigned bit patterns `lo` to `hi`, both included.
    """

    lo: Word
    hi: Word


class Bytes(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Addresses `start` up to, not including, `end` of linear memory.
    """

    start: Natural
    end: Natural


class Values(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What the host wrote: each *size* bytes from `start` on hold `lo` to `hi`, little-endian.
    """

    start: Natural
    end: Natural
    size: Literal[1, 2, 4, 8]
    lo: Word
    hi: Word


class GlobalRange(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A mutable global that may hold anything in a range when the entry is called.
    """

    index: Natural
    lo: Word
    hi: Word


class Precondition(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which calls the bounds are about; arguments mean the values that the host passes.
    """

    entry: str
    """Name of the exported function."""
    arguments: tuple[Range, ...]
    """One per parameter, floats as bits."""
    assume: tuple[str, ...] = ()
    """Further formulas over `(param k)`."""
    unknown: tuple[Bytes, ...] = ()
    """Memory of which nothing is known at entry, such as the input region."""
    values: tuple[Values, ...] = ()
    """Input whose values are limited; must lie inside `unknown`."""
    fresh: bool = True
    """
    Memory outside `unknown` is as the data segments left it, globals have their initial values.
    False: nothing is known of memory and of mutable globals, nor that pages are at the minimum.
    """
    globals: tuple[GlobalRange, ...] = ()
    """Mutable globals that earlier calls may have changed."""
    most_pages: Annotated[int, Meta(ge=0, le=65536)] = 65536
    """The host refuses growth beyond."""
    initialize: tuple[str, ...] = ()
    """Exports without parameters that the host calls before the entry, in this order."""


class Cut(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What holds whenever control is at a cut; for ENTRY it is what every caller must ensure.
    """

    at: Annotated[int, Meta(ge=-1)]
    holds: tuple[str, ...] = ()
    dead: bool = False
    """Never reached: each way to it is impossible."""


class Measure(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The rank at one cut, an unsigned term.
    """

    at: Annotated[int, Meta(ge=-1)]
    term: str


class Weight(Struct, frozen=True, forbid_unknown_fields=True):
    """
    How much one passage of an edge counts; `source` is the last instruction of its block.
    """

    source: Annotated[int, Meta(ge=0)]
    target: Annotated[int, Meta(ge=-1)]
    """First instruction of the next block, or OUT."""
    weight: Natural


class FlowFact(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The sum over edges of weight times passages is at most (least) `bound` per passage of a scope.

    It holds because a rank falls by at least (at most) the weights passed between two cuts of its
    zone, and is at most (least) `bound` where the zone is entered.
    """

    name: Identifier
    kind: Literal["most", "least"]
    scope: Literal["call", "entry", "visit"]
    """Per call of the function, per entry of loop `of`, per passage of the head of loop `of`."""
    weights: tuple[Weight, ...]
    bound: Natural
    measure: tuple[Measure, ...]
    """One for each cut of the zone."""
    of: Annotated[int, Meta(ge=-1)] = ENTRY
    zone: tuple[Annotated[int, Meta(ge=-1)], ...] = ()
    """Cuts; empty: all cuts of the scope."""


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Dual value of the block that begins at `at`: the most (least) gas from there to the end.
    """

    at: Natural
    price: Rational


class Multiplier(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Dual value of a flow fact, not negative.
    """

    fact: Identifier
    price: Rational


class Dual(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A solution of the dual of one function's flow system; what is not named is 0.
    """

    prices: tuple[Price, ...] = ()
    multipliers: tuple[Multiplier, ...] = ()


class Cost(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Gas of one call of a function under a model, callees included, growth of memory not.
    """

    model: str
    lo: Natural
    """Of calls that return."""
    hi: Natural
    """Of every call, whatever its outcome."""
    least: Dual = Dual()
    most: Dual = Dual()


class Amount(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The last operand of a bulk memory instruction, in bytes, at one place.
    """

    at: Natural
    least: Natural
    most: Natural


class CallSite(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which summaries stand for the callees at one place; needed where a function has several.
    """

    at: Natural
    summaries: tuple[Identifier, ...]
    entries: tuple[Natural, ...] = ()
    """`call_indirect`: table indices that the operand can be; empty: any of the right type."""


class Reading(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A load whose address always lies in a region of constants, given by its index.
    """

    at: Natural
    region: Natural


class Recursion(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A potential pays for one activation and for the potentials of all recursive calls it makes.
    """

    potential: str
    """Term over `param`, `global` and constants, at ENTRY; at least 1."""
    measure: tuple[Measure, ...]
    """What is left of the potential at the cuts other than ENTRY."""
    most: Annotated[int, Meta(ge=1)]
    """The potential of every call from outside the group of mutually recursive functions."""


class Summary(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One function under the requirement that its ENTRY cut states.
    """

    name: Identifier
    function: Natural
    """Index, imported functions counted first."""
    cuts: tuple[Cut, ...]
    """A cut that is not named holds nothing; ENTRY is named where something is required."""
    costs: tuple[Cost, ...]
    """One per model of the certificate, in its order."""
    facts: tuple[FlowFact, ...] = ()
    ensures: tuple[str, ...] = ()
    """On return: over `param`, `result`, `global`, `pages`, `entry-global`, `entry-pages`."""
    writes: tuple[Written, ...] | None = None
    """None: anything outside the regions of constants."""
    cells: tuple[Written, ...] = ()
    """
    Memory that keeps what the function itself stored there, as its frame does: nothing else writes
    to it while the function runs, neither a store through a pointer nor a callee. Each has a known
    length; expressions may `load` from it.
    """
    calls: tuple[CallSite, ...] = ()
    reads: tuple[Reading, ...] = ()
    amounts: tuple[Amount, ...] = ()
    host_amounts: tuple[HostAmount, ...] = ()
    memory: bool = False
    """Follow all of linear memory; an expression may then `load` from anywhere."""
    floats: bool = False
    """Follow floats by the theory of floating point; otherwise they are unknown bits."""
    recursion: Recursion | None = None
    title: str = ""
    """What the module calls the function, for people: nothing rests on it."""


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Numbers that expressions may look up, such as the height of each node of a tree.
    """

    name: Identifier
    width: Annotated[int, Meta(ge=1, le=64)]
    entries: tuple[Word, ...]


class Stack(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The stack at its deepest.
    """

    depth: Natural
    """Activations of the module's own functions at once."""
    frame_words: Natural
    """Of all activations at once: locals plus greatest operand height of each."""
    shadow_global: Natural | None = None
    """The mutable global that holds the stack pointer of the stack in linear memory."""
    shadow_lowest: Natural = 0
    """Its least value, unsigned."""


class Bound(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Gas of the whole call under one model.
    """

    model: str
    lo: Natural
    """Of calls that return."""
    hi: Natural
    """Of calls that return."""
    any_lo: Natural
    """Of every call, whatever its outcome."""
    any_hi: Natural


class HostBytes(Struct, frozen=True, forbid_unknown_fields=True, rename={"data": "bytes"}):
    """
    Bytes that the host puts at an address before the call, as hexadecimal digits.
    """

    address: Natural
    data: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*$")]


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One call that the checker makes itself: it must meet the precondition.
    """

    arguments: tuple[Word, ...]
    memory: tuple[HostBytes, ...] = ()


class Certificate(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Bounds of one call of one module.
    """

    module: Sha256
    models: tuple[str, ...]
    """Gas models, `cosmwasm-vm@3.0.4`, or what the host bills under one (`host:...`)."""
    precondition: Precondition
    entry: Identifier
    """Summary of the entry function."""
    summaries: tuple[Summary, ...]
    bounds: tuple[Bound, ...]
    """One per model, in the same order."""
    pages: Natural
    """Most pages of linear memory at any time."""
    stack: Stack
    regions: tuple[Bytes, ...] = ()
    """Parts of memory that nothing writes after the host's input; known unless the host wrote."""
    tables: tuple[Table, ...] = ()
    hosts: tuple[HostContract, ...] = ()
    contract: ContractText | None = None
    """Where the hosts' contracts come from: the checker reads it itself."""
    assumptions: tuple[str, ...] = ()
    """Sentences for people; the checker compares them with what it had to assume."""
    inputs: tuple[Input, ...] = ()
    schema: Literal[1] = SCHEMA


def read_certificate(data: bytes) -> Certificate:
    """
    Decode a certificate; raises BadCertificateError with where and why.
    """
    try:
        return msgspec.json.decode(data, type=Certificate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"this is no certificate of a bound: {error}"
        raise BadCertificateError(message) from error


def write_certificate(certificate: Certificate) -> bytes:
    """
    The certificate as JSON: the same certificate always gives the same bytes.
    """
    return msgspec.json.format(msgspec.json.encode(certificate), indent=1) + b"\n"


def rational(text: str) -> Fraction:
    """
    The number that a Rational stands for.
    """
    if not re.fullmatch(r"-?[0-9]+(/[1-9][0-9]*)?", text):
        message = f"{text[:40]!r} is no rational number"
        raise BadCertificateError(message)
    return Fraction(text)
