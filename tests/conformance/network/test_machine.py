from __future__ import annotations

import pytest
from network_samples import DIGEST

from conformance.network.answers import Answer, Kind
from conformance.network.machine import apply_block, transactions_hash
from conformance.network.state import State
from conformance.network.transactions import (
    Infer,
    StoreModule,
    Transaction,
    WriteResult,
    flat_gas,
)

STORE = StoreModule(1, DIGEST)
INFER = Infer(2, DIGEST, "infer", "bytes:" + "00" * 16)
WRITE = WriteResult(2, 5)
GOOD = Answer(Kind.RETURNED, b"\x01\x02")
EMPTY = State()


def kinds(*transactions: Transaction, answer: Answer = GOOD, state: State = EMPTY) -> list[str]:
    applied = apply_block(state, 1, transactions, dict.fromkeys(range(len(transactions)), answer))
    return [result.kind.value for result in applied.results]


def test_a_module_is_stored_called_and_its_result_written() -> None:
    applied = apply_block(State(), 3, (STORE, INFER, WRITE), {1: GOOD})
    assert list(applied.state) == [
        ("board/0005", b"\x01\x02"),
        ("latest/0002", b"\x01\x02"),
        (f"module/{DIGEST}", b"\x03" + b"\0" * 7),
    ]
    assert [r.kind.value for r in applied.results] == ["stored", "returned", "written"]


def test_what_is_refused_writes_nothing() -> None:
    assert kinds(STORE, STORE) == ["stored", "already-stored"]
    assert kinds(INFER, WRITE) == ["unknown-module", "nothing-to-write"]
    assert list(apply_block(State(), 1, (INFER, WRITE), {0: GOOD}).state) == []


@pytest.mark.parametrize("kind", [Kind.TRAPPED, Kind.EXHAUSTED, Kind.REJECTED])
def test_a_call_that_does_not_return_leaves_the_latest_result(kind: Kind) -> None:
    first = apply_block(State(), 1, (STORE, INFER), {1: GOOD}).state
    applied = apply_block(first, 2, (INFER, WRITE), {0: Answer(kind, b"")})
    assert [r.kind for r in applied.results] == [kind, Kind.WRITTEN]
    assert applied.state.get("board/0005") == b"\x01\x02"


def test_gas_is_a_flat_fee_and_ten_a_byte() -> None:
    assert [flat_gas(t) for t in (STORE, INFER, WRITE)] == [1320, 1160, 1000]


def test_gas_does_not_depend_on_what_the_engine_answers() -> None:
    gas = {
        apply_block(State(), 1, (STORE, INFER), {1: answer}).results[1].gas
        for answer in (GOOD, Answer(Kind.TRAPPED, b""))
    }
    assert gas == {1160}


def test_one_bit_of_output_changes_both_hashes() -> None:
    one, other = (
        apply_block(State(), 1, (STORE, INFER), {1: Answer(Kind.RETURNED, output)})
        for output in (b"\x00", b"\x01")
    )
    assert one.results_hash != other.results_hash
    assert one.app_hash != other.app_hash


def test_a_kind_of_outcome_alone_changes_both_hashes() -> None:
    one, other = (
        apply_block(State(), 1, (STORE, INFER), {1: Answer(kind, b"")})
        for kind in (Kind.TRAPPED, Kind.EXHAUSTED)
    )
    assert list(one.state) == list(other.state)
    assert one.results_hash != other.results_hash
    assert one.app_hash != other.app_hash  # by its events


def test_an_earlier_difference_stays_in_the_app_hash_and_not_in_the_results() -> None:
    one, other = (
        apply_block(State({"board/0001": value}), 9, (STORE,), {}) for value in (b"1", b"2")
    )
    assert one.results_hash == other.results_hash
    assert one.app_hash != other.app_hash


def test_the_order_of_transactions_is_part_of_the_block() -> None:
    assert transactions_hash((STORE, WRITE)) != transactions_hash((WRITE, STORE))
    assert transactions_hash((STORE,)) != transactions_hash((STORE, STORE))


def test_transactions_that_differ_in_one_thing_have_other_hashes() -> None:
    some: tuple[Transaction, ...] = (
        STORE, StoreModule(2, DIGEST), StoreModule(1, "cd" * 32), INFER,
        Infer(3, DIGEST, "infer", INFER.input), Infer(2, DIGEST, "other", INFER.input),
        Infer(2, DIGEST, "infer", "bytes:" + "01" * 16), WRITE, WriteResult(1, 5),
        WriteResult(2, 6),
    )  # fmt: skip
    assert len({transactions_hash((t,)) for t in some}) == len(some)
