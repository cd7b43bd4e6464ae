from __future__ import annotations

import struct

import pytest
from network_samples import DIGEST, model

from conformance.differential.profiles import OutputShape
from conformance.network.answers import Answer, Kind
from conformance.network.difference import Execution, differing_element, first_difference
from conformance.network.machine import Applied, Result, apply_block
from conformance.network.state import State
from conformance.network.transactions import Infer, StoreModule, Transaction, WriteResult

BLOCK: tuple[Transaction, ...] = (
    StoreModule(0, DIGEST),
    Infer(1, DIGEST, "infer", "bytes:" + "00" * 16),
    Infer(2, DIGEST, "infer", "bytes:" + "11" * 16),
    WriteResult(2, 9),
)


def good(second: float = 2.0) -> Answer:
    return Answer(Kind.RETURNED, struct.pack("<2d", 1.0, second))


def executed(label: str, *answers: Answer, state: State | None = None) -> Execution:
    by_place = dict(enumerate(answers, start=1))
    return Execution(label, apply_block(state or State(), 1, BLOCK, by_place))


def test_equal_executions_differ_in_nothing() -> None:
    pair = [executed(label, good(), good()) for label in "xy"]
    assert first_difference(BLOCK, pair, [model()]) is None


def test_the_first_transaction_key_element_and_bits_are_named() -> None:
    three = [
        executed("x", good(), good()),
        executed("y", good(), good(-0.0)),
        executed("z", good(), good(3.0)),
    ]
    found = first_difference(BLOCK, three, [model()])
    assert found is not None
    assert (found.transaction, found.request, found.aspect) == (2, BLOCK[2], "output")
    assert (found.key, found.element) == ("latest/0002", 1)
    assert [(s.validator, s.value) for s in found.shown] == [
        ("x", "f64:4000000000000000"), ("y", "f64:8000000000000000"), ("z", "f64:4008000000000000"),
    ]  # fmt: skip


def test_a_difference_that_a_later_transaction_spreads_is_named_where_it_arose() -> None:
    found = first_difference(
        BLOCK, [executed("x", good(), good()), executed("y", good(1.0), good(1.0))], [model()]
    )
    assert found is not None
    assert (found.transaction, found.key) == (1, "latest/0001")


def test_a_kind_comes_before_bits() -> None:
    trap = Answer(Kind.TRAPPED, b"")
    found = first_difference(
        BLOCK,
        [
            executed("x", good(), good()),
            executed("y", trap, good()),
            executed("z", good(7.0), good()),
        ],
        [model()],
    )
    assert found is not None
    assert (found.transaction, found.aspect, found.key) == (1, "kind", "latest/0001")
    assert [s.value for s in found.shown] == ["returned", "trapped", "returned"]


def test_two_kinds_that_write_nothing_name_no_key() -> None:
    pair = [
        executed(n, Answer(k, b""), good())
        for n, k in zip("xy", (Kind.TRAPPED, Kind.EXHAUSTED), strict=True)
    ]
    found = first_difference(BLOCK, pair, [model()])
    assert found is not None
    assert (found.aspect, found.key) == ("kind", "")


def test_states_that_differed_before_are_named_by_key() -> None:
    old = State({"board/0003": b"\x01", "zebra": b"\x01"})
    pair = [executed("x", good(), good()), executed("y", good(), good(), state=old)]
    found = first_difference(BLOCK, pair, [model()])
    assert found is not None
    assert (found.transaction, found.aspect, found.key) == (None, "state", "board/0003")
    assert [s.value for s in found.shown] == ["absent", "bytes:01"]


def test_the_least_key_is_named_whichever_validator_has_it() -> None:
    states = [State(), State({"zebra": b"\x01"}), State({"board/0003": b"\x01"})]
    for order in (states, states[::-1], [states[0], states[2], states[1]]):
        some = [executed(n, good(), good(), state=s) for n, s in zip("xyz", order, strict=True)]
        found = first_difference(BLOCK, some, [model()])
        assert found is not None
        assert found.key == "board/0003"


def applied(result: Result) -> Applied:
    return Applied(State(), (result,), "", "")


@pytest.mark.parametrize(
    ("left", "right", "aspect", "values"),
    [
        (Result(Kind.WRITTEN, b"", 5), Result(Kind.WRITTEN, b"", 6), "gas",
         ["i64:0000000000000005", "i64:0000000000000006"]),
        (Result(Kind.WRITTEN, b"", 5, (("k", b"\x01"),)),
         Result(Kind.WRITTEN, b"", 5, (("k", b"\x02"),)), "state", ["bytes:01", "bytes:02"]),
    ],
)  # fmt: skip
def test_gas_and_writes_are_compared_as_well(
    left: Result, right: Result, aspect: str, values: list[str]
) -> None:
    pair = [Execution("x", applied(left)), Execution("y", applied(right))]
    found = first_difference((WriteResult(0, 0),), pair, [model()])
    assert found is not None
    assert found.aspect == aspect
    assert [s.value for s in found.shown] == values


def test_elements_are_counted_over_columns_and_raw_bytes_follow() -> None:
    shape = OutputShape(((0, "i32", 1), (8, "f32", 2)))
    one = bytes(16)
    other = bytes(12) + b"\x01\x02\x03\x04"
    assert differing_element(shape, [one, other]) == (2, ["f32:00000000", "f32:04030201"])
    hidden = bytes(5) + b"\x09" + bytes(10)
    assert differing_element(shape, [one, hidden]) == (3 + 5, ["bytes:00", "bytes:09"])
    with pytest.raises(ValueError, match="equal"):
        differing_element(shape, [one, one])
