"""
What a host bills for one call by its contract, lengths within what the certificate says of them.
"""

from __future__ import annotations

from conformance.bounds.certificate import Summary
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.host_records import HostContract
from conformance.gas.load import HOST_PART


def bill(caller: Summary, at: int, contract: HostContract, model: str) -> tuple[int, int]:
    """
    The least and the most under a meter: 0 unless it is the host's part of a gas model.

    RefusedError where the contract states none.
    """
    if not model.startswith(HOST_PART):
        return 0, 0
    found = [cost for cost in contract.costs if cost.model == model]
    where = f"{caller.name}, instruction {at}"
    if len(found) != 1:
        message = f"{where}: the contract of {contract.key} states no gas under {model}"
        raise RefusedError("form", message)
    low, high = found[0].lo, found[0].hi
    for length in found[0].lengths:
        limits = [
            item
            for item in caller.host_amounts
            if (item.at, item.key, item.of) == (at, contract.key, length.of)
        ]
        tops = [item.most for item in limits]
        tops += [] if length.most is None else [length.most]
        if not tops and length.per:
            message = f"{where}: {contract.key} bills by {length.of}, which has no limits"
            raise RefusedError("form", message)
        # A length beyond the host's own limit ends the call, so it is in no call that returns.
        low += length.per * max((item.least for item in limits), default=0)
        high += length.per * min(tops, default=0)
    return low, high
