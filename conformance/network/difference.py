"""
Names the first thing that validators of one height do not hold alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.differential.profiles import WIDTHS, OutputShape
from conformance.network.answers import Kind
from conformance.network.events import Difference, Shown
from conformance.network.machine import Applied, Result
from conformance.network.models import Model
from conformance.network.state import first_differing_key
from conformance.network.transactions import Infer, Transaction
from runners.bits import format_bits, format_bytes


@dataclass(frozen=True, slots=True)
class Execution:
    """
    A block as one validator executed it.
    """

    label: str
    applied: Applied


def first_difference(
    transactions: Sequence[Transaction], executions: Sequence[Execution], models: Sequence[Model]
) -> Difference | None:
    """
    The first transaction whose results differ, or else the first key; None if all is equal.
    """
    for place, transaction in enumerate(transactions):
        results = [execution.applied.results[place] for execution in executions]
        if len(set(results)) > 1:
            return _of_results(place, transaction, executions, models)
    first, *others = executions
    found = (first_differing_key(first.applied.state, other.applied.state) for other in others)
    key = min((key for key in found if key is not None), default=None)
    if key is None:
        return None
    shown = tuple(Shown(e.label, _bytes_or_absent(e.applied.state.get(key))) for e in executions)
    return Difference(None, None, "state", key, None, shown)


def _of_results(
    place: int,
    transaction: Transaction,
    executions: Sequence[Execution],
    models: Sequence[Model],
) -> Difference:
    """
    What differs in the results of one transaction: kind before output, output before gas.
    """
    results = [execution.applied.results[place] for execution in executions]
    key = _differing_write(results)
    labels = [execution.label for execution in executions]
    if len({result.kind for result in results}) > 1:
        shown = [result.kind.value for result in results]
        return Difference(place, transaction, "kind", key, None, _shown(labels, shown))
    outputs = [result.output for result in results]
    if len(set(outputs)) > 1:
        shape = OutputShape()
        if isinstance(transaction, Infer) and results[0].kind is Kind.RETURNED:
            model = next(m for m in models if m.sha256 == transaction.module_sha256)
            shape = model.entries[transaction.entry].shape
        element, texts = differing_element(shape, outputs)
        return Difference(place, transaction, "output", key, element, _shown(labels, texts))
    if len({result.gas for result in results}) > 1:
        texts = [format_bits("i64", result.gas) for result in results]
        return Difference(place, transaction, "gas", key, None, _shown(labels, texts))
    texts = [_bytes_or_absent(dict(result.writes).get(key)) for result in results]
    return Difference(place, transaction, "state", key, None, _shown(labels, texts))


def _shown(labels: Sequence[str], texts: Sequence[str]) -> tuple[Shown, ...]:
    return tuple(Shown(label, text) for label, text in zip(labels, texts, strict=True))


def _bytes_or_absent(value: bytes | None) -> str:
    return "absent" if value is None else format_bytes(value)


def _differing_write(results: Sequence[Result]) -> str:
    """
    The first key that these results do not all write alike; empty if there is none.
    """
    written = [dict(result.writes) for result in results]
    for key in (key for writes in written for key in writes):
        if len({writes.get(key) for writes in written}) > 1:
            return key
    return ""


def differing_element(shape: OutputShape, outputs: Sequence[bytes]) -> tuple[int, list[str]]:
    """
    The first element in which output rows of equal length differ, and its bits in each of them.

    Elements are counted over the columns of *shape*, in the order of the row; bytes that belong to
    no column count as one element each, after all others.
    """
    before = 0
    for at, dtype, count in sorted(shape.columns):
        width = WIDTHS[dtype]
        for index in range(count):
            start = at + index * width
            chunks = [output[start : start + width] for output in outputs]
            if len(set(chunks)) > 1:
                texts = [format_bits(dtype, int.from_bytes(chunk, "little")) for chunk in chunks]
                return before + index, texts
        before += count
    for start in range(max(map(len, outputs))):
        chunks = [output[start : start + 1] for output in outputs]
        if len(set(chunks)) > 1:
            return before + start, [format_bytes(chunk) for chunk in chunks]
    message = "these output rows are equal"
    raise ValueError(message)
