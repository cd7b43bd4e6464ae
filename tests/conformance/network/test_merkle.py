from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.network.merkle import framed, join, merkle_root

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=20)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def by_stack(domain: bytes, leaves: list[bytes]) -> bytes:
    """
    The same tree without recursion: full subtrees are joined as soon as there are two of a size.
    """
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        stack.append((1, sha(b"\0" + domain + b"\0" + leaf)))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (size, right), (_, left) = stack.pop(), stack.pop()
            stack.append((2 * size, sha(b"\1" + left + right)))
    while len(stack) > 1:
        (size, right), (more, left) = stack.pop(), stack.pop()
        stack.append((size + more, sha(b"\1" + left + right)))
    return stack[0][1]


@pytest.mark.parametrize("count", range(1, 40))
def test_a_second_way_of_building_the_tree_gives_the_same_root(count: int) -> None:
    leaves = [bytes([n]) * (n % 5) for n in range(count)]
    assert merkle_root("d", leaves) == by_stack(b"d", leaves)


def test_three_leaves_by_hand() -> None:
    a, b, c = (sha(b"\0d\0" + leaf) for leaf in (b"1", b"2", b"3"))
    assert merkle_root("d", [b"1", b"2", b"3"]) == sha(b"\1" + sha(b"\1" + a + b) + c)


def test_an_empty_tree_is_no_tree_with_an_empty_leaf() -> None:
    assert merkle_root("d", []) == sha(b"\2d")
    assert merkle_root("d", []) != merkle_root("d", [b""])


@given(LEAVES, st.integers(0, 19), st.binary(max_size=8))
@settings(derandomize=True, max_examples=200)
def test_another_leaf_gives_another_root(leaves: list[bytes], at: int, leaf: bytes) -> None:
    changed = list(leaves)
    changed[at % len(leaves)] = leaf
    assert (merkle_root("d", changed) == merkle_root("d", leaves)) == (changed == leaves)


@given(LEAVES, LEAVES)
@settings(derandomize=True, max_examples=200)
def test_only_equal_sequences_have_equal_roots(left: list[bytes], right: list[bytes]) -> None:
    assert (merkle_root("d", left) == merkle_root("d", right)) == (left == right)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    left, right = (merkle_root("d", [leaf]) for leaf in (b"1", b"2"))
    assert join(left, right) == merkle_root("d", [b"1", b"2"])
    assert merkle_root("d", [left + right]) != merkle_root("d", [b"1", b"2"])


def test_a_tree_of_one_domain_does_not_pass_for_another() -> None:
    assert merkle_root("d", [b"1"]) != merkle_root("e", [b"1"])
    assert merkle_root("d", []) != merkle_root("e", [])


@given(LEAVES, LEAVES)
@settings(derandomize=True, max_examples=200)
def test_framing_keeps_sequences_apart(left: list[bytes], right: list[bytes]) -> None:
    assert (framed(*left) == framed(*right)) == (left == right)


def test_plain_joining_would_not_keep_them_apart() -> None:
    assert b"".join([b"a", b"bc"]) == b"".join([b"ab", b"c"])
    assert framed(b"a", b"bc") != framed(b"ab", b"c")
