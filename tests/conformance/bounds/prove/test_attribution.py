"""
Who pays for a proved maximum: counted by hand, and never more than was proved.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from msgspec.structs import replace
from provable_modules import (
    BRANCH,
    CALLS,
    MODELS,
    NEST,
    PARSER,
    RECURSIVE,
    UP_TO,
    Proving,
    module_of,
    proving,
)

from conformance.bounds.attribution import Attribution, attribute


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def divided(
    prove: Proving, text: str, *ranges: tuple[int, int], model: int = 0
) -> Attribution:  # fmt: skip
    report = prove(text, *ranges, guided=True)
    assert report.certificate is not None
    return attribute(module_of(text), report.certificate, MODELS[model])


@pytest.mark.engines
def test_nested_loops_share_as_counted(prove: Proving) -> None:
    found = divided(prove, NEST)
    # 1 for the call; a turn of the outer loop is 2 + 3 * 5 + 7, the inner loop has 2 back edges.
    assert (found.most, found.left) == (241, Fraction(0))
    (only,) = found.functions
    assert [only.calls, only.own] == [1, 241]
    outer, inner = only.loops
    assert [outer.entries, outer.rounds] == [1, 9]
    assert [inner.entries, inner.rounds] == [10, 20]
    assert inner.gas < outer.gas == 240


@pytest.mark.engines
def test_callees_pay_for_their_own_calls(prove: Proving) -> None:
    found = divided(prove, CALLS)
    leaf, caller = found.functions
    assert leaf.calls == 5
    assert dict(caller.callees) == {0: Fraction(5)}
    assert leaf.own + caller.own == found.most
    # The leaf: 1 for the call, 8 for the stack pointer, 7 turns of 5.
    assert leaf.own == 5 * (1 + 8 + 7 * 5)


@pytest.mark.engines
@pytest.mark.parametrize("model", [0, 1], ids=[model.id for model in MODELS])
@pytest.mark.parametrize(
    ("text", "ranges"),
    [(UP_TO, ((0, 50),)), (PARSER, ((0, 50),)), (RECURSIVE, ((0, 9),)), (BRANCH, ())],
    ids=["loop", "joint ranks", "recursion", "branch"],
)
def test_shares_add_up(
    prove: Proving, text: str, ranges: tuple[tuple[int, int], ...], model: int
) -> None:
    found = divided(prove, text, *ranges, model=model)
    assert 0 <= found.left < 1
    assert all(share.own >= 0 and share.calls >= 0 for share in found.functions)


@pytest.mark.engines
def test_a_bound_that_is_not_tight_leaves_something_over(prove: Proving) -> None:
    report = prove(NEST)
    assert report.certificate is not None
    bounds = tuple(replace(b, hi=b.hi + 9, any_hi=b.any_hi + 9) for b in report.certificate.bounds)
    loose = replace(report.certificate, bounds=bounds)
    assert attribute(module_of(NEST), loose, MODELS[0]).left == 9
