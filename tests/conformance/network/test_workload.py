from __future__ import annotations

import random
from collections import Counter

import numpy as np
from network_samples import INPUTS, model

from conformance.network.transactions import Infer, StoreModule, Transaction, WriteResult
from conformance.network.workload import ACCOUNTS, BOARDS, Workload
from runners.bits import parse_bytes

MODELS = (model("one", "aa" * 32), model("two", "bb" * 32))


def blocks(seed: int, count: int) -> list[tuple[Transaction, ...]]:
    return [Workload(seed, MODELS).block(height) for height in range(1, count + 1)]


def test_one_seed_gives_one_workload_and_another_seed_another() -> None:
    assert blocks(7, 20) == blocks(7, 20)
    assert blocks(7, 20) != blocks(8, 20)


def test_a_block_does_not_depend_on_the_blocks_before_it() -> None:
    assert Workload(7, MODELS).block(13) == blocks(7, 20)[12]
    assert len(set(blocks(7, 20))) == 20


def test_the_first_block_stores_every_model_first() -> None:
    first = blocks(7, 1)[0]
    assert first[:2] == (StoreModule(0, "aa" * 32), StoreModule(0, "bb" * 32))
    assert len(first) > 2


def test_all_kinds_models_accounts_boards_and_inputs_occur() -> None:
    drawn = [transaction for block in blocks(7, 400)[1:] for transaction in block]
    shares = Counter(type(transaction).__name__ for transaction in drawn)
    assert abs(shares["Infer"] / len(drawn) - 11 / 16) < 0.03
    assert abs(shares["WriteResult"] / len(drawn) - 4 / 16) < 0.03
    assert shares["StoreModule"] > 0
    inferences = [t for t in drawn if isinstance(t, Infer)]
    assert {t.module_sha256 for t in inferences} == {"aa" * 32, "bb" * 32}
    assert {t.account for t in drawn} == set(range(ACCOUNTS))
    assert {t.board for t in drawn if isinstance(t, WriteResult)} == set(range(BOARDS))
    rows = {parse_bytes(t.input) for t in inferences}
    assert rows == {row.astype("<f8").tobytes() for row in INPUTS}


def test_blocks_hold_four_to_nine_drawn_transactions() -> None:
    assert set(map(len, blocks(7, 200)[1:])) == {4, 5, 6, 7, 8, 9}


def test_no_global_generator_is_touched() -> None:
    before = repr(np.random.get_state())  # noqa: NPY002 - it is what must stay as it is
    state = random.getstate()
    blocks(7, 5)
    assert repr(np.random.get_state()) == before  # noqa: NPY002 - as above
    assert random.getstate() == state
