import dataclasses
import itertools
import math
import struct
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from conformance.differential.corpus import (
    QUICK,
    RELEASE,
    BadCorpusError,
    Corpus,
    CorpusSize,
    Origin,
    Stratum,
    build_corpus,
    case_ids,
    indices_of,
    origins_of,
)
from conformance.differential.edges import EDGES
from conformance.differential.sampling import in_sample
from conformance.manifest.calls import build_calls, input_columns
from conformance.manifest.read import parse_manifest
from conformance.manifest.records import Manifest
from conformance.manifest.tables import BitsTable, table_of
from runners.records import Level

SMALL = CorpusSize(dataset=5, uniform=40, edges=60, patterns=20, products=200)
LARGE = CorpusSize(dataset=9, uniform=90, edges=150, patterns=50, products=2_000)
CODES = {"i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}


def buffers(
    dtype: str = "f64", shape: str = "[5]", bounds: str = "low = -2.0\nhigh = 16.0"
) -> Manifest:
    return parse_manifest(
        f"""
schema = 1
module.name = "m"
abi.entry = "infer"
limits = {{ pages = 3, deadline_ms = 77, fuel = 5 }}
[input]
dtype = "{dtype}"
shape = {shape}
pointer.export = "in_ptr"
{bounds}
[output]
dtype = "f64"
shape = [1]
pointer.export = "out_ptr"
""".encode()
    )


CALLS = parse_manifest(
    b"""
schema = 1
module.name = "m"
[[call]]
entry = "min"
parameters = ["f64", "f64"]
results = ["f64"]
carried = true
[[call]]
entry = "wrap"
parameters = ["i64"]
results = ["i32"]
[[call]]
entry = "scale"
parameters = ["f32", "i32"]
results = ["f32"]
carried = true
domains = [{ low = -1.5, high = 2.5, special = true }, { low = -3, high = 9 }]
[[call]]
entry = "now"
parameters = []
results = ["i32"]
"""
)
ROWS = table_of("f64", np.full((7, 5), 0x3FF0000000000000, np.uint64))


def corpus(
    manifest: Manifest,
    seed: int = 1,
    effort: CorpusSize = SMALL,
    rows: BitsTable | None = None,
    constants: set[int] | None = None,
    edges: Mapping[str, tuple[int, ...]] | None = None,
) -> Corpus:
    constant_sets = {"f64": constants or set(), "f32": set()}
    return build_corpus(manifest, build_calls(manifest), rows, constant_sets, seed, effort, edges)


def cases(found: Corpus) -> dict[int, bytes]:
    pairs = [
        (int(number), row.tobytes())
        for part in found.blocks
        for number, row in zip(part.block.ids, part.block.inputs, strict=True)
    ]
    assert len({number for number, _ in pairs}) == len(pairs), "ids repeat"
    return dict(pairs)


def of_origin(found: Corpus, origin: Origin, entry: str = "") -> list[bytes]:
    return [
        row.tobytes()
        for part in found.blocks
        if part.entry == entry or not entry
        for row, kind in zip(part.block.inputs, part.origins, strict=True)
        if kind == origin
    ]


def elements(manifest: Manifest, entry: str, row: bytes) -> list[tuple[str, float, bytes]]:
    """
    The elements of a row as the struct module reads them.
    """
    found = []
    for offset, dtype, count in input_columns(manifest, entry):
        width = struct.calcsize(CODES[dtype])
        for place in range(count):
            data = row[offset + width * place :][:width]
            found.append((dtype, struct.unpack(CODES[dtype], data)[0], data))
    return found


def uniform_values(found: Corpus) -> NDArray[np.float64]:
    """
    The draws of an f64 buffer in the order of their indices.
    """
    data = b"".join(row for number, row in sorted(cases(found).items())
                    if number >> 44 == Origin.UNIFORM)  # fmt: skip
    return np.frombuffer(data, "<f8")


MANIFESTS = [
    buffers(),
    buffers("f32", "[3]", 'low = 0.1\nhigh = "0x1p+100"\nspecial = true'),
    buffers("i32", "[4]", "low = -7\nhigh = 90"),
    buffers("f64", "[1]", "special = true"),
    CALLS,
]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(manifest: Manifest) -> None:
    first, second, other = corpus(manifest, 1), corpus(manifest, 1), corpus(manifest, 2)
    assert first.digest() == second.digest()
    assert cases(first) == cases(second)
    assert [(b.entry, b.stratum, b.block.level, len(b.block)) for b in first.blocks] == [
        (b.entry, b.stratum, b.block.level, len(b.block)) for b in second.blocks
    ]
    assert first.digest() != other.digest()
    assert of_origin(first, Origin.UNIFORM) != of_origin(other, Origin.UNIFORM)


def test_the_digest_sees_ids_inputs_levels_and_strata() -> None:
    found = corpus(buffers())
    part = found.blocks[0]
    inputs = part.block.inputs.copy()
    inputs[0, 0] ^= 1
    changed = [
        dataclasses.replace(part, stratum=Stratum.BULK),
        dataclasses.replace(part, block=dataclasses.replace(part.block, level=Level.FULL)),
        dataclasses.replace(part, block=dataclasses.replace(part.block, ids=part.block.ids + 1)),
        dataclasses.replace(part, block=dataclasses.replace(part.block, inputs=inputs)),
    ]
    for other in changed:
        assert dataclasses.replace(found, blocks=(other, *found.blocks[1:])).digest() != (
            found.digest()
        )


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_larger_corpus_holds_the_smaller_one_under_the_same_ids(manifest: Manifest) -> None:
    constants = {0x3FF8000000000000, 0x3FB999999999999A}
    small = cases(corpus(manifest, 3, SMALL, constants=constants))
    large = cases(corpus(manifest, 3, LARGE, constants=constants))
    assert small.items() < large.items()


def test_every_count_grows_without_losing_a_case() -> None:
    manifest, before = buffers(), dict[int, bytes]()
    for count in range(40):
        effort = CorpusSize(dataset=count, uniform=count, edges=count)
        found = cases(corpus(manifest, 5, effort, ROWS, {0x3FF8000000000000}))
        assert before.items() <= found.items()
        assert len(found) >= len(before) + (count > 0)
        before = found


@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_every_generated_value_is_in_its_domain(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["f64", "f32"]))
    code = CODES[dtype]
    finite = st.floats(allow_nan=False, allow_infinity=False, width=64 if dtype == "f64" else 32)
    low, high = sorted((data.draw(finite), data.draw(finite)))
    special = data.draw(st.booleans())
    as_bits = [struct.pack(code, x)[::-1].hex() for x in (low, high)]
    bounds = f'low = "{dtype}:{as_bits[0]}"\nhigh = "{dtype}:{as_bits[1]}"\n'
    manifest = buffers(dtype, "[4]", bounds + f"special = {str(special).lower()}")
    found = corpus(manifest, data.draw(st.integers()), constants={0x3FF0000000000000})
    seen_special = False
    for row in cases(found).values():
        for _, value, _ in elements(manifest, "infer", row):
            if math.isfinite(value):
                assert low <= value <= high
            else:
                seen_special = True
    assert seen_special == special


def test_scalars_respect_their_own_domains() -> None:
    found = corpus(CALLS, constants={0x3FF8000000000000})
    seen = set()
    for row in of_origin(found, Origin.UNIFORM, "scale") + of_origin(found, Origin.EDGE, "scale"):
        (_, real, _), (_, whole, _) = elements(CALLS, "scale", row)
        assert not math.isfinite(real) or -1.5 <= real <= 2.5
        assert -3 <= whole <= 9
        assert row[4:8] == row[12:16] == bytes(4), "slots are zero-extended"
        seen |= {math.isnan(real), whole}
    assert {True, False, -3, 9} <= seen


def test_half_of_the_draws_are_uniform_in_value_and_half_in_exponent() -> None:
    effort = replace(SMALL, uniform=4_000)
    drawn = uniform_values(corpus(buffers(), 1, effort)).reshape(-1, 5)
    reals, patterns = drawn[0::2], drawn[1::2]
    # A uniform mean over [-2, 16] is 7 with a standard error of 0.05 in 10,000 draws.
    assert abs(reals.mean() - 7) < 0.3
    assert (np.abs(reals) < 1e-10).mean() < 0.001
    assert (np.abs(patterns) < 1e-10).mean() > 0.9
    assert (patterns < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_low_halves_of_ones_come_often() -> None:
    words = np.frombuffer(b"".join(of_origin(corpus(buffers()), Origin.UNIFORM)), "<u8")
    ones = (words & np.uint64(0xFFFFFFFF)) == 0xFFFFFFFF
    assert ones.sum() >= 10


def test_edge_rows_hold_what_they_must() -> None:
    constant = 0x3FF0000000012345
    found = corpus(buffers(), effort=LARGE, constants={constant})
    rows = [row.view("<u8") for row in _edge_rows(found)]
    equal = {int(row[0]) for row in rows if (row == row[0]).all()}
    bounds = {0xC000000000000000, 0x4030000000000000}
    inner = {0xBFFFFFFFFFFFFFFF, 0x402FFFFFFFFFFFFF}
    outer = {0xC000000000000001, 0x4030000000000001}
    zeros_and_subnormals = {0, 1 << 63, 1, (1 << 63) + 1, 0x000FFFFFFFFFFFFF}
    assert bounds | inner | zeros_and_subnormals <= equal
    assert not outer & equal
    anywhere = {int(word) for row in rows for word in row}
    assert {constant - 1, constant, constant + 1} <= anywhere
    assert {constant - 1, constant, constant + 1} <= equal
    without = {int(w) for r in _edge_rows(corpus(buffers(), effort=LARGE)) for w in r.view("<u8")}
    assert constant not in without
    assert any(word & 0xFFFFFFFF == 0xFFFFFFFF for word in equal)


def test_zero_bounds_of_either_sign_include_both_zeros() -> None:
    for bounds in ("low = 0.0\nhigh = 1.0", "low = -1.0\nhigh = -0.0", "low = -0.0\nhigh = 0.0"):
        words = {int(w) for r in _edge_rows(corpus(buffers(bounds=bounds))) for w in r.view("<u8")}
        assert {0, 1 << 63} <= words
    words = {int(w) for r in _edge_rows(corpus(buffers(bounds="low = 0.5\nhigh = 1.0")))
             for w in r.view("<u8")}  # fmt: skip
    assert not {0, 1 << 63} & words


def test_single_edges_stand_in_plausible_rows() -> None:
    found = corpus(buffers(), rows=ROWS, effort=LARGE)
    singles = [
        row.view("<u8") for row in _edge_rows(found)
        if (row.view("<u8") == 0x3FF0000000000000).sum() == 4
    ]  # fmt: skip
    assert len(singles) > 20
    changed = {int(np.flatnonzero(row != 0x3FF0000000000000)[0]) for row in singles}
    assert changed == {0, 1, 2, 3, 4}


def _edge_rows(found: Corpus) -> list[NDArray[np.uint8]]:
    return [
        row
        for part in found.blocks
        for row, origin in zip(part.block.inputs, part.origins, strict=True)
        if origin == Origin.EDGE
    ]


def test_scalar_calls_without_domains_meet_all_pairs_of_edges_in_order() -> None:
    found = corpus(CALLS, effort=LARGE)
    place = {
        int(index): row
        for part in found.blocks
        if part.entry == "min"
        for index, row, origin in zip(
            indices_of(part.block.ids), part.block.inputs, part.origins, strict=True
        )
        if origin == Origin.EDGE
    }
    pairs = list(itertools.product(EDGES["f64"], repeat=2))
    assert len(pairs) == 35 * 35
    assert {i: tuple(row.view("<u8").tolist()) for i, row in place.items()} == dict(
        enumerate(pairs)
    )


def test_edges_of_the_author_replace_the_built_in_ones() -> None:
    own = {"i64": (5, 3, 4)}
    found = corpus(CALLS, edges=own)
    rows = of_origin(found, Origin.EDGE, "wrap")
    assert {int.from_bytes(row, "little") for row in rows} == {3, 4, 5}
    numbers = {
        int(i): int(r.view("<u8")[0])
        for part in found.blocks
        if part.entry == "wrap"
        for i, r, o in zip(indices_of(part.block.ids), part.block.inputs, part.origins, strict=True)
        if o == Origin.EDGE
    }
    assert numbers == {0: 5, 1: 3, 2: 4}
    assert len(of_origin(found, Origin.EDGE, "min")) == SMALL.products


def test_random_bits_reach_special_values() -> None:
    found = corpus(CALLS, effort=replace(LARGE, patterns=400))
    drawn = [elements(CALLS, "min", row) for row in of_origin(found, Origin.UNIFORM, "min")]
    assert any(math.isnan(value) for row in drawn for _, value, _ in row)
    assert len(drawn) == 400


def test_a_call_without_parameters_is_one_case() -> None:
    found = corpus(CALLS)
    assert of_origin(found, Origin.EDGE, "now") == [b""]
    assert of_origin(found, Origin.UNIFORM, "now") == []


def test_strata_follow_the_sampling_and_edges_are_always_in() -> None:
    found = corpus(buffers(), 9, replace(LARGE, sample_share=0.3), ROWS)
    seen = set()
    for part in found.blocks:
        seen.add(part.stratum)
        assert ((part.origins == Origin.EDGE) == (part.stratum == Stratum.EDGE)).all()
        assert (origins_of(part.block.ids) == part.origins).all()
        if part.stratum != Stratum.EDGE:
            drawn = in_sample(9, part.block.ids, 0.3)
            assert (drawn == (part.stratum == Stratum.SAMPLE)).all()
    assert seen == set(Stratum)


def test_shares_decide_the_levels_and_even_a_tiny_corpus_has_all() -> None:
    tiny = corpus(buffers(), effort=CorpusSize(dataset=0, uniform=1, edges=1, full_share=0,
                                               state_share=0))  # fmt: skip
    assert dict(tiny.levels)["full"] == dict(tiny.levels)["state"] == 1
    everything = corpus(buffers(), effort=replace(SMALL, full_share=1.0))
    assert dict(everything.levels) == {"result": 0, "state": 0, "full": len(everything)}
    half = corpus(buffers(), effort=replace(QUICK, full_share=0.0, state_share=0.5))
    assert 0.4 < dict(half.levels)["state"] / len(half) < 0.6
    assert dict(half.levels)["full"] == 1


def test_counts_add_up() -> None:
    found = corpus(buffers(), rows=ROWS)
    assert dict(found.origins)["dataset"] == 5
    assert dict(found.origins)["uniform"] == 40
    assert len(found) == len(cases(found))
    for counts in (found.origins, found.strata, found.levels):
        assert sum(count for _, count in counts) == len(found)


def test_blocks_keep_to_their_limits_and_carry_the_budget() -> None:
    manifest = buffers()
    for effort, most in (
        (replace(SMALL, block_cases=7), 7),
        (replace(SMALL, block_bytes=3 * 40 + 39), 3),
        (replace(SMALL, block_bytes=1), 1),
    ):
        found = corpus(manifest, effort=effort)
        assert max(len(part.block) for part in found.blocks) == most
        assert cases(found) == cases(corpus(manifest))
    for part in found.blocks:
        budget = part.block.budget
        assert (budget.deadline_ms, budget.fuel, budget.memory_pages) == (77, 5, 3)
        assert part.block.inputs.shape == (len(part.block), 40)
        assert part.block.inputs.flags.c_contiguous
        assert (np.diff(part.block.ids.astype(np.int64)) > 0).all()


def test_blocks_that_slow_nodes_see_are_short() -> None:
    effort = CorpusSize(dataset=0, uniform=400, edges=60, sample_share=0.5,
                        state_share=0, full_share=0, block_cases=64,
                        shared_block_cases=20)  # fmt: skip
    longest: dict[str, int] = {}
    for part in corpus(buffers(), effort=effort).blocks:
        longest[part.stratum] = max(longest.get(part.stratum, 0), len(part.block))
    assert longest == {"edge": 20, "sample": 20, "bulk": 64}
    tight = corpus(buffers(), effort=replace(effort, block_cases=7))
    assert max(len(part.block) for part in tight.blocks) == 7


def test_wide_rows_mean_fewer_of_them() -> None:
    manifest = buffers(shape="[65536]")
    effort = replace(QUICK, total_bytes=4 << 20)
    found = corpus(manifest, effort=effort)
    # 512 KiB a row: eight rows fit, and as many of one value throughout come on top.
    assert 3 <= len(found) <= 16
    assert all(len(part.block) <= 8 for part in found.blocks)
    assert dict(found.origins)["uniform"] >= 1


def test_dataset_rows_keep_their_numbers() -> None:
    rows = table_of("f64", (np.arange(35, dtype=np.uint64) << np.uint64(32)).reshape(7, 5))
    found = corpus(buffers(), rows=rows)
    taken = {
        int(index): row.tobytes()
        for part in found.blocks
        for index, row, origin in zip(
            indices_of(part.block.ids), part.block.inputs, part.origins, strict=True
        )
        if origin == Origin.DATASET
    }
    assert len(taken) == SMALL.dataset
    assert all(rows.rows[index].tobytes() == data for index, data in taken.items())


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadCorpusError, match="are 5 f64, the manifest says 4 f64"):
        corpus(buffers(shape="[4]"), rows=ROWS)
    with pytest.raises(BadCorpusError, match="are 5 f64, the manifest says 5 i64"):
        corpus(buffers("i64", bounds=""), rows=ROWS)
    with pytest.raises(BadCorpusError, match="takes scalars"):
        corpus(CALLS, rows=ROWS)
    bits = ROWS.bits()
    bits[2, 3] = 0x4031000000000000
    with pytest.raises(BadCorpusError, match="row 2, element 3, lies outside"):
        corpus(buffers(), rows=table_of("f64", bits))


def test_ids_are_made_of_entry_origin_and_index() -> None:
    ids = case_ids(3, Origin.EDGE, np.array([0, 5], np.uint64))
    assert [hex(number) for number in ids.tolist()] == ["0x3200000000000", "0x3200000000005"]
    assert origins_of(ids).tolist() == [Origin.EDGE, Origin.EDGE]
    assert indices_of(ids).tolist() == [0, 5]


def test_release_is_ten_times_quick() -> None:
    for field in ("dataset", "uniform", "edges", "patterns", "products"):
        assert getattr(RELEASE, field) == 10 * getattr(QUICK, field)
