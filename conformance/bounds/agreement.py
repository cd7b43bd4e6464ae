"""
Two analyses of one call that share no reasoning must not contradict each other.

The proof and abstract execution have the decoder, the layout of bodies and the table of charges in
common, nothing else. Where abstract execution followed every path, each gas that a call can have
lies in its interval, and in the proved one: so both must meet, and hold what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.bounds.abstract.explore import Explored
from conformance.bounds.certificate import Bound


def contradiction(
    explored: Explored | None, bounds: Sequence[Bound], measured: Mapping[str, Sequence[int]]
) -> str:
    """
    One sentence about the first contradiction of proof, abstract execution and measurement.

    Empty where there is none, or where abstract execution gave up: then it says nothing.
    """
    if explored is None or not explored.complete:
        return ""
    seen = {gas.model: gas for gas in explored.gas}
    for bound in bounds:
        gas = seen.get(bound.model)
        if gas is None:
            continue
        if bound.lo > gas.hi or bound.hi < gas.lo:
            return (
                f"under {bound.model} the proof says {bound.lo:,}..{bound.hi:,} and abstract"
                f" execution {gas.lo:,}..{gas.hi:,}: one of them is wrong"
            )
        for one in measured.get(bound.model, ()):
            if one > gas.any_hi:
                return (
                    f"under {bound.model} a call cost {one:,}, and abstract execution allows"
                    f" {gas.any_hi:,} at most"
                )
    return ""
