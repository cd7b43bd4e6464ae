"""
Lays out the outcomes of a finding: groups of nodes that agree, and the elements that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final

from conformance.differential.records import Finding, FindingClass, Observed
from reports.numerals import decimal, distance, hex_digits
from reports.phrases import count
from runners.bits import WIDTH_BYTES, parse_bits, parse_bytes
from runners.records import (
    BrokeProtocol,
    Crashed,
    Exhausted,
    GasReading,
    NotObserved,
    Outcome,
    OutcomeKind,
    Rejected,
    Returned,
    Slot,
    TimedOut,
    Trapped,
)

FEW_ELEMENTS: Final = 4
"""Up to so many elements are shown even if equal, where some group has none to compare."""

ELEMENTS_SHOWN: Final = 8
"""Differing elements of one finding that a page prints; the JSON report has them all."""

CLASS_WORDS: Final[dict[FindingClass, str]] = {
    FindingClass.VALUE: "result bits differ",
    FindingClass.NAN_BITS: "only NaN bits differ",
    FindingClass.KIND: "kinds of outcome differ",
    FindingClass.STATE: "state after the call differs",
    FindingClass.GAS: "one meter reads differently",
    FindingClass.HOST_CALLS: "host calls differ",
    FindingClass.LIMIT: "a limit differs between engines",
    FindingClass.BROKEN_WORKER: "a worker broke",
    FindingClass.REFUSED: "a claimed feature was refused",
    FindingClass.FLAKY: "one node gave two outcomes",
    FindingClass.UNFAITHFUL: "bits are not those of the declared semantics",
    FindingClass.FPU_MODE: "floating-point mode was changed",
    FindingClass.RESIDUE: "something is left of an earlier call",
    FindingClass.IMPORTS: "the host's answers move the outcome",
    FindingClass.BOUND: "a measured value lies outside a proved bound",
}


@dataclass(frozen=True, slots=True)
class Group:
    """
    Nodes with equal outcome, or the oracle: one column.
    """

    letter: str
    labels: tuple[str, ...]
    """Node labels, sorted; empty for the oracle."""
    generators: tuple[str, ...]
    blamed: bool
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """
    One typed value of a row.
    """

    name: str
    """`result 0`, `output[3]`, `slot 1`, `input[5]`."""
    dtype: str
    bits: int


@dataclass(frozen=True, slots=True)
class BitRow:
    """
    One element, as each group has it.
    """

    name: str
    dtype: str
    patterns: tuple[int | None, ...]
    """Per group; None where that group has no such element."""
    mask: int
    """Bits in which any two patterns differ; 0 where those that have the element agree."""
    note: str
    """Distance in words."""


@dataclass(frozen=True, slots=True)
class WordRow:
    """
    One observation in words: kind of outcome, memory digest, pages, a global, a meter.
    """

    name: str
    words: tuple[str, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """
    A finding, laid out.
    """

    groups: tuple[Group, ...]
    words: tuple[WordRow, ...]
    """The kind of outcome first, then what differs beside results."""
    bits: tuple[BitRow, ...]
    equal_elements: int
    hidden_elements: int
    """Differing elements beyond the limit."""


@dataclass(frozen=True, slots=True)
class ShownInput:
    """
    The failing input: its elements that are not zero.
    """

    elements: tuple[Element, ...]
    zeros: int
    hidden: int
    """Elements beyond the limit that are not zero."""
    earlier_calls: int
    """Calls made on the same instance before the failing one."""


def kind_words(kind: OutcomeKind) -> str:  # noqa: PLR0911 - one per kind of outcome
    """
    Say what became of a call.
    """
    match kind:
        case Returned():
            return "returned"
        case Trapped(kind=why):
            return f"trapped: {why}"
        case Exhausted(resource=resource):
            return f"exhausted: {resource}"
        case Rejected(stage=stage, rule=rule):
            return f"rejected at {stage}: {rule}"
        case Crashed(signal=signal):
            return f"crashed: {signal}"
        case TimedOut():
            return "timed out"
        case BrokeProtocol(rule=rule):
            return f"broke protocol: {rule}"


def _elements(data: bytes, dtype: str, name: str) -> list[Element]:
    """
    Cut a buffer into elements; bytes of unknown meaning into `bytes8`, in memory order.
    """
    known = dtype in WIDTH_BYTES
    width = WIDTH_BYTES.get(dtype, 8)
    found = []
    for start in range(0, len(data), width):
        piece = data[start : start + width]
        label = f"{name}[{start // width}]" if known else f"{name}+{start}"
        whole = known and len(piece) == width
        shown = dtype if whole else f"bytes{len(piece)}"
        bits = int.from_bytes(piece, "little" if whole else "big")
        found.append(Element(label, shown, bits))
    return found


def _result_type(finding: Finding, index: int, core: str) -> str:
    if index < len(finding.result_dtypes) and finding.result_dtypes[index] in WIDTH_BYTES:
        return finding.result_dtypes[index]
    return core


def _outcome_elements(finding: Finding, outcome: Outcome) -> list[Element]:
    """
    Results and output buffer of one outcome; nothing unless it returned.
    """
    if not isinstance(outcome.kind, Returned):
        return []
    found = []
    for index, text in enumerate(outcome.kind.results):
        core, bits = parse_bits(text)
        found.append(Element(f"result {index}", _result_type(finding, index, core), bits))
    output = parse_bytes(outcome.kind.output) if outcome.kind.output else b""
    return found + _elements(output, finding.output_dtype, "output")


def _expected_elements(finding: Finding) -> list[Element]:
    """
    Read the oracle's output row: 8 bytes per result, little-endian, then the output buffer.
    """
    row = parse_bytes(finding.expected)
    found = []
    for index, core in enumerate(finding.call.results):
        dtype = _result_type(finding, index, core)
        slot = row[8 * index : 8 * index + 8]
        bits = int.from_bytes(slot[: WIDTH_BYTES[dtype]], "little")
        found.append(Element(f"result {index}", dtype, bits))
    rest = row[8 * len(finding.call.results) :]
    return found + _elements(rest, finding.output_dtype, "output")


def _gas_words(reading: GasReading) -> str:
    host = reading.host_part
    text = f"{reading.vm_part:,} {reading.unit}"
    return text if isinstance(host, NotObserved) else f"{text} + {host:,} in the host"


def _observation_words(finding: Finding, outcome: Outcome) -> dict[str, str]:
    """
    Everything beside results that was observed, or why it was not, by name.
    """
    words: dict[str, str] = {}

    def say(name: str, value: object) -> None:
        words[name] = (
            f"not observed: {value.reason}" if isinstance(value, NotObserved) else str(value)
        )

    memory = outcome.memory_sha256
    say("memory", memory if isinstance(memory, NotObserved) else f"sha256 {memory}")
    say("pages", outcome.pages)
    if isinstance(outcome.globals, NotObserved):
        say("globals", outcome.globals)
    else:
        for place, bits in enumerate(outcome.globals):
            names = finding.call.globals
            say(f"global {names[place] if place < len(names) else place}", bits)
    if isinstance(outcome.gas, NotObserved):
        say("gas", outcome.gas)
    else:
        for reading in outcome.gas:
            say(f"gas {reading.meter}", _gas_words(reading))
    calls = outcome.host_calls
    say("host calls", calls if isinstance(calls, NotObserved) else ", ".join(calls) or "none")
    return words


def _grouping_key(finding: Finding, outcome: Outcome) -> tuple[object, ...]:
    """
    Pick what makes two outcomes equal in this finding: results always, the rest by its class.
    """
    match finding.kind:
        case FindingClass.STATE:
            return (outcome.kind, outcome.memory_sha256, outcome.pages, outcome.globals)
        case FindingClass.GAS:
            return (outcome.kind, outcome.gas)
        case FindingClass.BOUND:
            return (outcome.kind, outcome.pages, outcome.gas)
        case FindingClass.HOST_CALLS:
            return (outcome.kind, outcome.host_calls)
        case FindingClass.FLAKY | FindingClass.IMPORTS:
            return (
                outcome.kind, outcome.memory_sha256, outcome.pages, outcome.globals,
                outcome.gas, outcome.host_calls,
            )  # fmt: skip
        case _:
            return (outcome.kind,)


def _grouped(finding: Finding) -> list[list[Observed]]:
    """
    Observations with equal outcome together, the largest group first.
    """
    found: dict[tuple[object, ...], list[Observed]] = {}
    for seen in finding.observed:
        found.setdefault(_grouping_key(finding, seen.outcome), []).append(seen)
    groups = [sorted(members, key=lambda seen: seen.node.label()) for members in found.values()]
    return sorted(groups, key=lambda members: (-len(members), members[0].node.label()))


def _letter(place: int) -> str:
    return ascii_uppercase[place] if place < len(ascii_uppercase) else f"G{place + 1}"


def _bit_rows(columns: list[list[Element]]) -> tuple[list[BitRow], int]:
    """
    Elements that differ between the columns that have any, and the number of other elements.
    """
    full = [column for column in columns if column]
    if not full:
        return [], 0
    names = max(full, key=len)
    show_equal = len(full) < len(columns) and len(names) <= FEW_ELEMENTS
    rows, equal = [], 0
    for place, element in enumerate(names):
        patterns = tuple(c[place].bits if place < len(c) else None for c in columns)
        present = tuple(bits for bits in patterns if bits is not None)
        mask = 0
        for bits in present:
            mask |= bits ^ present[0]
        if mask == 0 and not show_equal:
            equal += 1
            continue
        note = distance(element.dtype, present)
        rows.append(BitRow(element.name, element.dtype, patterns, mask, note))
    return rows, equal


def _word_rows(finding: Finding, groups: list[list[Observed]], columns: int) -> list[WordRow]:
    """
    List the kind of outcome, then each other observation that differs between groups.

    An oracle column, when there is one, has no observations: it is padded with empty words.
    """
    pad = ("",) * (columns - len(groups))
    kinds = [kind_words(members[0].outcome.kind) for members in groups]
    rows = [WordRow("outcome", (*kinds, *pad), len(set(kinds)) > 1)]
    seen = [_observation_words(finding, members[0].outcome) for members in groups]
    for name in dict.fromkeys(name for words in seen for name in words):
        values = tuple(words.get(name, "-") for words in seen)
        shown = {v for v in values if not v.startswith("not observed: ") and v != "-"}
        if len(shown) > 1:
            rows.append(WordRow(name, (*values, *pad), differs=True))
    return rows


def lay_out(finding: Finding, limit: int = ELEMENTS_SHOWN) -> Layout:
    """
    Arrange a finding's outcomes: one column per group of nodes that agree, then the oracle.

    Marks say where columns differ, not which one is right. Raises BadBitsError if the record
    holds malformed bits.
    """
    members = _grouped(finding)
    blamed = set(finding.blame.nodes)
    groups = [
        Group(
            _letter(place),
            tuple(seen.node.label() for seen in group),
            tuple(sorted({seen.generator for seen in group})),
            any(seen.node.label() in blamed for seen in group),
        )
        for place, group in enumerate(members)
    ]
    columns = [_outcome_elements(finding, group[0].outcome) for group in members]
    if finding.expected:
        groups.append(Group("oracle", (), (), blamed=False, oracle=True))
        columns.append(_expected_elements(finding))
    bits, equal = _bit_rows(columns)
    words = _word_rows(finding, members, len(columns))
    return Layout(
        tuple(groups), tuple(words), tuple(bits[:limit]), equal, max(0, len(bits) - limit)
    )


def earlier_words(finding: Finding) -> str:
    """
    `, after 2 earlier calls on the same instance`; nothing if the failing call is the only one.
    """
    earlier = len(finding.history) - 1
    if earlier < 1:
        return ""
    own = finding.kind is FindingClass.RESIDUE and finding.policy == "fresh"
    where = "in another instance" if own else "on the same instance"
    return f", after {count(earlier, 'earlier call')} {where}"


def failing_input(finding: Finding, limit: int = ELEMENTS_SHOWN) -> ShownInput:
    """
    Show the last input row of the history, cut into scalar slots and buffer elements.
    """
    if not finding.history:
        return ShownInput((), 0, 0, 0)
    row = parse_bytes(finding.history[-1])
    slots = finding.call.slots
    cores = {a.index: a.value_type for a in finding.call.arguments if isinstance(a, Slot)}
    found = []
    for index in range(slots):
        meant = finding.slot_dtypes[index] if index < len(finding.slot_dtypes) else ""
        dtype = meant if meant in WIDTH_BYTES else cores.get(index, "i64")
        slot = row[8 * index : 8 * index + min(8, WIDTH_BYTES[dtype])]
        found.append(Element(f"slot {index}", dtype, int.from_bytes(slot, "little")))
    found += _elements(row[8 * slots :], finding.input_dtype, "input")
    nonzero = [element for element in found if element.bits]
    return ShownInput(
        tuple(nonzero[:limit]),
        len(found) - len(nonzero),
        max(0, len(nonzero) - limit),
        len(finding.history) - 1,
    )


def element_text(element: Element) -> str:
    """
    One element on one line: name, typed bits, decimal.
    """
    kind = "bytes" if element.dtype.startswith("bytes") else element.dtype
    typed = f"{kind}:{hex_digits(element.dtype, element.bits)}"
    aid = decimal(element.dtype, element.bits)
    return f"{element.name} = {typed}" + (f" ({aid})" if aid else "")
