"""
Modules that are forgotten are dropped by workers, and can be given again.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from wasmtime import wat2wasm

from runners.blocks import CaseBlock
from runners.catalog import Catalog
from runners.environments import Environments
from runners.pool import Pool
from runners.records import Budget, Call, Level, Node
from runners.status import Status

pytestmark = pytest.mark.engines

CALL = Call("f", (), ("i32",), memory="memory", grows=False)


def module(number: int) -> bytes:
    """
    A module with a data segment: wasmtime keeps a descriptor open for each.
    """
    return bytes(
        wat2wasm(
            f'(module (memory (export "memory") 1) (data (i32.const 64) "abc")'
            f' (func (export "f") (result i32) (i32.const {number})))'
        )
    )


def block() -> CaseBlock:
    ids = np.zeros(1, np.uint64)
    return CaseBlock(CALL, Budget(), Level.RESULT, ids, np.zeros((1, 0), np.uint8))


def test_hundreds_of_modules_run_one_after_the_other() -> None:
    catalog = Catalog.load()
    engine = catalog.resolve("wasmtime")
    with Pool([(Node(engine), Environments(catalog).launch(engine))]) as pool:
        worker = None
        for number in range(400):
            data = module(number)
            sha256 = hashlib.sha256(data).hexdigest()
            pool.add_module(sha256, data)
            outcome = pool.run(0, sha256, block())
            assert outcome.status[0] == Status.RETURNED, (number, outcome.details)
            assert int(outcome.outputs[0, :4].view("<u4")[0]) == number
            worker = pool.seats[0].worker
            assert worker is not None
            assert sha256 in worker.loaded
            pool.forget([sha256])
            assert sha256 not in worker.loaded
        assert worker is pool.seats[0].worker, "one process served them all"


def test_a_forgotten_module_has_to_be_given_again() -> None:
    catalog = Catalog.load()
    engine = catalog.resolve("wasmtime")
    data = module(7)
    sha256 = hashlib.sha256(data).hexdigest()
    with Pool([(Node(engine), Environments(catalog).launch(engine))]) as pool:
        pool.add_module(sha256, data)
        assert pool.module(sha256).data == data
        pool.run(0, sha256, block())
        pool.forget([sha256, "0" * 64])
        with pytest.raises(KeyError, match="never given"):
            pool.run(0, sha256, block())
        with pytest.raises(KeyError):
            pool.module(sha256)
        pool.add_module(sha256, data)
        assert pool.run(0, sha256, block()).status[0] == Status.RETURNED
