"""
Exported globals of old wasmtime wheels are read as bits: zeros, and signalling NaNs of f32.
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
from weavegate.engines_job import install_engines

TEXT = """(module
  (global (export "zero") i32 (i32.const 0)) (global (export "minus") i64 (i64.const -2))
  (global (export "nan") f32 (f32.const nan:0x200001)) (global (export "wide") f64 (f64.const -0))
  (func (export "f")))"""
NAMES = ("zero", "minus", "nan", "wide")
BITS = [0, (1 << 64) - 2, 0x7FA00001, 1 << 63]


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["0.26.0", "0.37.0", "6.0.0"])
def test_globals_of_old_wheels_are_bits(version: str) -> None:
    install_engines((f"wasmtime@{version}",), core=False, again=False, say=lambda _: None)
    catalog = Catalog.load()
    engine = catalog.resolve(f"wasmtime@{version}")
    data = bytes(wat2wasm(TEXT))
    sha256 = hashlib.sha256(data).hexdigest()
    call = Call("f", globals=NAMES, grows=False)
    ids = np.zeros(1, np.uint64)
    block = CaseBlock(call, Budget(), Level.STATE, ids, np.zeros((1, 0), np.uint8))
    with Pool([(Node(engine), Environments(catalog).launch(engine))]) as pool:
        pool.add_module(sha256, data)
        outcome = pool.run(0, sha256, block)
    assert outcome.status[0] == Status.RETURNED, outcome.details
    assert outcome.globals is not None
    assert outcome.globals[0].view("<u8").tolist() == BITS
