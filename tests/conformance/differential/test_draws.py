import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.differential.draws import MAX_SPREAD, mixed, scaled, spread, stream, words
from conformance.differential.edges import EDGES, SPECIALS, constant_edges, edge_values
from conformance.manifest.records import Domain

WORDS = st.integers(0, 2**64 - 1)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(WORDS, st.integers(1, 2**64))
def test_scaling_is_the_high_word_of_the_product(word: int, span: int) -> None:
    assert int(scaled(np.array([word], np.uint64), span)[0]) == (word * span) >> 64


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(), st.integers(0, 3000), st.integers(0, 4000))
def test_a_spread_visits_each_member_once_and_grows_at_its_end(
    seed: int, population: int, count: int
) -> None:
    found = spread(seed, "x", population, count).tolist()
    assert len(set(found)) == len(found) == min(count, population)
    assert all(0 <= member < population for member in found)
    assert found == spread(seed, "x", population, count + 7).tolist()[: len(found)]


def test_a_spread_covers_a_huge_population_evenly() -> None:
    found = np.sort(spread(1, "x", MAX_SPREAD, 1000))
    assert int(np.diff(found).max()) < 4 * MAX_SPREAD // 1000
    with pytest.raises(ValueError, match="cannot spread"):
        spread(1, "x", MAX_SPREAD + 1, 1)


def test_streams_differ_by_seed_and_name_and_names_do_not_run_together() -> None:
    first = words(stream(1, "a", "bc"), 4).tolist()
    assert first == words(stream(1, "a", "bc"), 9).tolist()[:4]
    others = [stream(2, "a", "bc"), stream(1, "ab", "c"), stream(1, "abc"), stream(11, "a", "bc")]
    assert all(words(other, 4).tolist() != first for other in others)


def test_mixing_is_splitmix64() -> None:
    # First three outputs of SplitMix64 seeded with 1234567, as published with its C source.
    state = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1234567)
    assert mixed(state).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize("dtype", sorted(EDGES))
def test_edges_are_distinct_and_hold_both_ends_of_the_type(dtype: str) -> None:
    values = EDGES[dtype]
    width = 32 if dtype.endswith("32") else 64
    assert len(set(values)) == len(values) == {"i32": 14, "i64": 19, "f32": 25, "f64": 35}[dtype]
    assert all(0 <= value < 1 << width for value in values)
    assert 0 in values
    assert 1 << (width - 1) in values


def test_specials_are_all_infinities_and_nans() -> None:
    for dtype, code in (("f32", "<u4"), ("f64", "<u8")):
        bits = np.array(EDGES[dtype], code)
        special = ~np.isfinite(bits.view(code.replace("u", "f")))
        assert SPECIALS[dtype] == tuple(int(b) for b in bits[special])
        assert len(SPECIALS[dtype]) >= 5


def test_constants_of_the_other_width_are_taken_at_their_nearest_value() -> None:
    domain = Domain(low="f32:00000000", high="f32:40000000")
    # 0.1 in binary64; its nearest binary32 is 3dcccccd. 1e300 has none.
    found = constant_edges("f32", domain, {"f64": {0x3FB999999999999A, 0x7E37E43C8800759C}})
    assert found == (0x3DCCCCCD, 0x3DCCCCCC, 0x3DCCCCCE)
    wide = constant_edges("f64", None, {"f32": {0x3DCCCCCD, 0x7FC00000}})
    assert wide == (0x3FB99999A0000000, 0x3FB999999FFFFFFF, 0x3FB99999A0000001)
    assert constant_edges("i32", None, {"f64": {0}}) == ()


def test_edges_without_a_domain_are_the_given_ones() -> None:
    assert edge_values("f64", None) == EDGES["f64"]
    assert edge_values("f64", None, (3, 1)) == (3, 1)
