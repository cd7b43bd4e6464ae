"""
What calls of the host cost beside operators, by a model's host terms.

What the chain reports for storage, queries and addresses is the chain's, and no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from conformance.gas.records import GasModel
from runners.records import NotObserved


@dataclass(frozen=True, slots=True)
class HostCall:
    """
    One call of a host function, with the sizes that it is billed by.

    The empty name stands for the VM itself, which writes the arguments of an entry and reads its
    answer without a call.
    """

    function: str
    """`module.name` of the import."""
    read: tuple[int, ...] = ()
    """Bytes of each region that the host reads."""
    written: tuple[int, ...] = ()
    """Bytes of each region that the host writes."""
    texts: tuple[int, ...] = ()
    """Bytes of each text that it decodes."""


def host_gas(model: GasModel, calls: Iterable[HostCall]) -> int | NotObserved:
    """
    The host part of a bill, or the reason why it is not known; never a guess. No calls cost 0.
    """
    total = 0
    for call in calls:
        cost = _cost(model, call)
        if isinstance(cost, NotObserved):
            return cost
        total += cost
    return total


def _cost(model: GasModel, call: HostCall) -> int | NotObserved:
    terms = model.host
    if terms is None:
        return NotObserved(f"{model.id} has no prices of host calls")
    total = 0
    if call.function:
        price = terms.functions.get(call.function)
        if price is None or terms.call is None:
            return NotObserved(f"{model.id} has no price of {call.function}")
        total += price + terms.call
    for what, term, sizes in (
        ("reading a region", terms.read, call.read),
        ("writing a region", terms.write, call.written),
        ("decoding a text", terms.text, call.texts),
    ):
        if sizes and term is None:
            return NotObserved(f"{model.id} has no price of {what}")
        total += sum(term.of(size) for size in sizes) if term is not None else 0
    return total
