from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.network.state import State, first_differing_key

PAIRS = st.dictionaries(st.text(max_size=4), st.binary(max_size=4), max_size=6)


@given(PAIRS)
@settings(derandomize=True, max_examples=100)
def test_the_order_of_writing_changes_nothing(pairs: dict[str, bytes]) -> None:
    backwards = State()
    for key in reversed(list(pairs)):
        backwards = backwards.with_writes({key: pairs[key]})
    assert backwards.root() == State(pairs).root()
    assert list(backwards) == sorted(pairs.items())


@given(PAIRS, PAIRS)
@settings(derandomize=True, max_examples=200)
def test_roots_are_equal_where_no_key_differs(
    left: dict[str, bytes], right: dict[str, bytes]
) -> None:
    key = first_differing_key(State(left), State(right))
    assert (State(left).root() == State(right).root()) == (key is None) == (left == right)
    if key is not None:
        assert left.get(key) != right.get(key)
        assert all(left.get(k) == right.get(k) for k in {*left, *right} if k < key)


def test_a_key_with_an_empty_value_is_not_a_missing_key() -> None:
    assert first_differing_key(State({"a": b""}), State()) == "a"
    assert State({"a": b""}).root() != State().root()


def test_writing_leaves_the_state_before_as_it_was() -> None:
    given_pairs = {"a": b"1"}
    before = State(given_pairs)
    root = before.root()
    given_pairs["a"] = b"9"
    after = before.with_writes({"a": b"2"})
    assert (before.get("a"), after.get("a"), before.root()) == (b"1", b"2", root)


def test_key_and_value_do_not_run_together() -> None:
    assert State({"ab": b"c"}).root() != State({"a": b"bc"}).root()
