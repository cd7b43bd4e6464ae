from __future__ import annotations

import msgspec
import pytest
from sample_reports import (
    ENGINES,
    crash_finding,
    doubles,
    kind_finding,
    nan_finding,
    node,
    outcome,
    seen,
    value_finding,
    words,
)

from conformance.differential.records import FindingClass, Observed
from reports.findings import element_text, failing_input, kind_words, lay_out
from runners.bits import BadBitsError
from runners.records import (
    BrokeProtocol,
    Exhausted,
    GasReading,
    NotObserved,
    OutcomeKind,
    Rejected,
    Returned,
    TimedOut,
    Trapped,
)


def test_nodes_with_equal_outcome_share_a_group_and_the_oracle_stands_apart() -> None:
    layout = lay_out(value_finding())
    assert [group.letter for group in layout.groups] == ["A", "B", "oracle"]
    assert layout.groups[0].labels == tuple(sorted(e[0] for e in ENGINES[:3]))
    assert [group.blamed for group in layout.groups] == [False, True, False]
    assert layout.groups[2].oracle


def test_only_elements_that_differ_are_rows() -> None:
    layout = lay_out(value_finding())
    (row,) = layout.bits
    assert (row.name, row.dtype, row.mask, row.note) == ("output[2]", "f64", 1, "1 ulp apart")
    assert row.patterns == (0x3FE6666666666666, 0x3FE6666666666667, 0x3FE6666666666666)
    assert layout.equal_elements == 2


def test_equal_outputs_leave_nothing_to_mark() -> None:
    right = Returned((), doubles(0.1, 0.2, 0.7))
    finding = msgspec.structs.replace(
        value_finding(), observed=tuple(seen(place, right) for place in range(4))
    )
    layout = lay_out(finding)
    assert layout.bits == ()
    assert layout.equal_elements == 3
    assert len(layout.groups) == 2


def test_the_mask_covers_every_pair_of_groups() -> None:
    (row,) = lay_out(nan_finding()).bits
    assert row.mask == 0x8000000000000BAD


def test_more_elements_than_fit_are_counted() -> None:
    left = Returned((), words(*range(30)))
    right = Returned((), words(*range(1, 31)))
    finding = msgspec.structs.replace(
        value_finding(), observed=(seen(0, left), seen(1, right)), expected=""
    )
    layout = lay_out(finding, limit=5)
    assert [row.name for row in layout.bits] == [f"output[{i}]" for i in range(5)]
    assert layout.hidden_elements == 25


def test_bytes_of_unknown_meaning_are_shown_in_memory_order() -> None:
    left, right = Returned((), "bytes:0102030405060708aa"), Returned((), "bytes:0102030405060708ab")
    finding = msgspec.structs.replace(
        value_finding(), observed=(seen(1, left), seen(0, right)), expected="", output_dtype=""
    )
    (row,) = lay_out(finding).bits
    assert (row.name, row.dtype, row.patterns) == ("output+8", "bytes1", (0xAA, 0xAB))


def test_carried_floats_read_as_what_they_mean() -> None:
    left, right = Returned(("i64:3ff0000000000000",), ""), Returned(("i64:3ff0000000000001",), "")
    finding = msgspec.structs.replace(
        nan_finding(),
        observed=(seen(0, left), seen(1, right)),
        result_dtypes=("f64",),
        slot_dtypes=("f64", "f64"),
    )
    assert lay_out(finding).bits[0].note == "1 ulp apart"
    plain = msgspec.structs.replace(finding, result_dtypes=())
    assert lay_out(plain).bits[0].note == ""


def test_a_crash_shows_what_the_others_returned() -> None:
    layout = lay_out(crash_finding())
    assert layout.words[0].words == ("returned", "crashed: SIGSEGV")
    assert layout.words[0].differs
    assert [row.patterns[1] for row in layout.bits] == [None, None, None]
    assert {row.mask for row in layout.bits} == {0}


def _state(place: int, memory: str | NotObserved) -> Observed:
    known = outcome(Returned((), doubles(0.1, 0.2, 0.7)))
    return Observed(
        node(place), ENGINES[place][3], msgspec.structs.replace(known, memory_sha256=memory)
    )


def test_state_findings_group_by_state_and_show_it() -> None:
    finding = msgspec.structs.replace(
        value_finding(),
        kind=FindingClass.STATE,
        expected="",
        observed=(_state(0, "a" * 64), _state(1, "b" * 64), _state(2, NotObserved("no memory"))),
    )
    layout = lay_out(finding)
    assert len(layout.groups) == 3
    memory = next(row for row in layout.words if row.name == "memory")
    assert set(memory.words) == {
        "sha256 " + "a" * 64, "sha256 " + "b" * 64, "not observed: no memory",
    }  # fmt: skip
    same_results = msgspec.structs.replace(finding, kind=FindingClass.VALUE)
    assert len(lay_out(same_results).groups) == 1


def test_gas_findings_show_both_readings() -> None:
    def metered(place: int, spent: int) -> Observed:
        reading = GasReading("fuel:wasmtime@50.0.1", "fuel", spent, NotObserved("no host"))
        known = outcome(Returned((), doubles(0.1, 0.2, 0.7)))
        return Observed(
            node(place), ENGINES[place][3], msgspec.structs.replace(known, gas=(reading,))
        )

    finding = msgspec.structs.replace(
        value_finding(), kind=FindingClass.GAS, expected="",
        observed=(metered(0, 1_000), metered(2, 1_001)),
    )  # fmt: skip
    gas = lay_out(finding).words[1]
    assert gas.name == "gas fuel:wasmtime@50.0.1"
    assert gas.words == ("1,000 fuel", "1,001 fuel")


def test_every_kind_of_outcome_has_words() -> None:
    kinds: list[OutcomeKind] = [
        Trapped("unreachable"), Exhausted("stack"), Rejected("compile", "no SIMD"), TimedOut(),
        BrokeProtocol("two answers"),
    ]  # fmt: skip
    assert [kind_words(kind) for kind in kinds] == [
        "trapped: unreachable", "exhausted: stack", "rejected at compile: no SIMD", "timed out",
        "broke protocol: two answers",
    ]  # fmt: skip


def test_the_input_is_cut_into_elements_and_zeros_are_counted() -> None:
    shown = failing_input(value_finding())
    assert [element_text(e) for e in shown.elements] == [
        "input[1] = f64:3ff8000000000000 (1.5)",
        "input[2] = f64:c000000000000000 (-2.0)",
    ]
    assert (shown.zeros, shown.hidden, shown.earlier_calls) == (14, 0, 0)


def test_slots_have_the_type_of_their_argument() -> None:
    shown = failing_input(kind_finding())
    assert [element_text(e) for e in shown.elements] == [
        "slot 0 = i64:ffffffffffffffff (-1)",
        "slot 1 = i64:0000000000000001 (1)",
    ]
    assert failing_input(nan_finding()).earlier_calls == 1


def test_malformed_bits_are_refused() -> None:
    broken = msgspec.structs.replace(value_finding(), expected="bytes:0")
    with pytest.raises(BadBitsError, match="is not a byte pattern"):
        lay_out(broken)
