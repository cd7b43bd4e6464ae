from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.evidence.keys import BlockKey, block_key, case_digest
from runners.blocks import CaseBlock
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    Call,
    EngineId,
    Identity,
    Level,
    Node,
    Slot,
    canonical_json,
    digest_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

CALL = Call("infer", (Slot(0, "f64"),), ("f64",), None, Buffer(AtAddress(64), 16))
BLOCK = CaseBlock(
    call=CALL,
    budget=Budget(deadline_ms=1000, fuel=None, memory_pages=17),
    level=Level.RESULT,
    ids=np.arange(3, dtype=np.uint64),
    inputs=np.arange(24, dtype=np.uint8).reshape(3, 8),
)
NODE = Node(EngineId("wasmtime", "50.0.1", "cranelift"))
IDENTITY = Identity("50.0.1", "wasmtime@50.0.1", "1" * 64, "2" * 64, "3" * 64, "cpython", "4" * 64)

CALL_CHANGES = {
    "entry": "other",
    "arguments": (Slot(0, "i64"),),
    "results": ("f32",),
    "input": Buffer(AtAddress(0), 0),
    "output": Buffer(AtAddress(128), 16),
    "initialize": ("start",),
    "memory": "memory",
    "globals": ("g",),
    "grows": False,
    "global_types": ("f64",),
    "abi": "wasi",
}
BUDGET_CHANGES = {"fuel": 1, "memory_pages": 18, "deadline_ms": 1001}
NODE_CHANGES = {
    "engine": EngineId("wasmtime", "50.0.1", "winch"),
    "cpu": "baseline",
    "fpu": "ftz",
    "environment": (("MALLOC_PERTURB_", "1"),),
    "cache": "warm",
    "policy": "pooled",
    "lifecycle": ("restart",),
    "host": "9" * 64,
}
IDENTITY_CHANGES = {
    "core_version": "wasmtime@50.0.2",
    "library_sha256": "5" * 64,
    "worker_sha256": "6" * 64,
    "cpu_features_sha256": "7" * 64,
    "package_version": "50.0.2",
    "artifact_sha256": "8" * 64,
    "interpreter": "pypy",
}
WITHOUT_EFFECT = {
    "block.ids",
    "block.level",
    "budget.deadline_ms",
    # Said by the engine id, by the library's digest, and by the worker's environment.
    "identity.package_version",
    "identity.artifact_sha256",
    "identity.interpreter",
}


def changes() -> dict[str, tuple[str, CaseBlock, Node, Identity, str]]:
    """
    Each field of everything that goes into a key, changed alone.
    """
    found = {
        "module": ("n", BLOCK, NODE, IDENTITY, ""),
        "rewrite": ("m", BLOCK, NODE, IDENTITY, "canonical-nan@1"),
        "block.ids": ("m", dataclasses.replace(BLOCK, ids=BLOCK.ids + 1), NODE, IDENTITY, ""),
        "block.level": ("m", dataclasses.replace(BLOCK, level=Level.FULL), NODE, IDENTITY, ""),
        "block.inputs": ("m", dataclasses.replace(BLOCK, inputs=BLOCK.inputs + 1), NODE, IDENTITY,
                         ""),
    }  # fmt: skip
    for name, value in CALL_CHANGES.items():
        block = dataclasses.replace(BLOCK, call=msgspec.structs.replace(CALL, **{name: value}))
        found[f"call.{name}"] = ("m", block, NODE, IDENTITY, "")
    for name, value in BUDGET_CHANGES.items():
        budget = msgspec.structs.replace(BLOCK.budget, **{name: value})
        block = dataclasses.replace(BLOCK, budget=budget)
        found[f"budget.{name}"] = ("m", block, NODE, IDENTITY, "")
    for name, value in NODE_CHANGES.items():
        node = msgspec.structs.replace(NODE, **{name: value})
        found[f"node.{name}"] = ("m", BLOCK, node, IDENTITY, "")
    for name, value in IDENTITY_CHANGES.items():
        identity = msgspec.structs.replace(IDENTITY, **{name: value})
        found[f"identity.{name}"] = ("m", BLOCK, NODE, identity, "")
    return found


def without_effect(
    key_of: Callable[[str, CaseBlock, Node, Identity, str], object],
) -> set[str]:
    """
    Names of the changes that *key_of* does not notice.
    """
    usual = key_of("m", BLOCK, NODE, IDENTITY, "")
    return {name for name, arguments in changes().items() if key_of(*arguments) == usual}


@pytest.mark.parametrize(
    ("record", "changed"),
    [
        (Call, CALL_CHANGES),
        (Budget, BUDGET_CHANGES),
        (Node, NODE_CHANGES),
        (Identity, IDENTITY_CHANGES),
    ],
)
def test_every_field_is_decided_upon(record: type[Struct], changed: dict[str, object]) -> None:
    """
    A field that is added later turns this red until somebody says what it does to the key.
    """
    assert set(changed) == set(record.__struct_fields__)


def test_every_field_of_a_block_is_decided_upon() -> None:
    assert {field.name for field in dataclasses.fields(CaseBlock)} == {
        "call",
        "budget",
        "level",
        "ids",
        "inputs",
    }


def test_only_what_cannot_change_an_outcome_is_left_out() -> None:
    assert without_effect(block_key) == WITHOUT_EFFECT


def test_a_key_that_forgets_the_fuel_is_noticed() -> None:
    def forgetful(
        module: str, block: CaseBlock, node: Node, identity: Identity, rewrite: str
    ) -> BlockKey:
        budget = msgspec.structs.replace(block.budget, fuel=None)
        return block_key(module, dataclasses.replace(block, budget=budget), node, identity, rewrite)

    assert without_effect(forgetful) == WITHOUT_EFFECT | {"budget.fuel"}


def test_a_key_that_takes_the_deadline_in_is_noticed() -> None:
    def hasty(
        module: str, block: CaseBlock, node: Node, identity: Identity, rewrite: str
    ) -> object:
        return block_key(module, block, node, identity, rewrite), block.budget.deadline_ms

    assert without_effect(hasty) == WITHOUT_EFFECT - {"budget.deadline_ms"}


def test_all_changes_give_different_keys() -> None:
    keys = [
        block_key(*arguments) for name, arguments in changes().items() if name not in WITHOUT_EFFECT
    ]
    assert len(set(keys)) == len(keys)
    assert len({key.digest() for key in keys}) == len(keys)


def test_the_documented_recipe_gives_the_digests() -> None:
    found = block_key("m", BLOCK, NODE, IDENTITY, "r")
    head = msgspec.json.encode([CALL, None, 17, 3, 8], order="deterministic")
    case = hashlib.sha256(head + b"\0" + bytes(range(24))).hexdigest()
    assert found == BlockKey(
        "m", "r", case, digest_of(NODE), "2" * 64, "wasmtime@50.0.1", "1" * 64, "4" * 64
    )


def block_of(data: bytes, row_bytes: int) -> CaseBlock:
    inputs = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
    ids = np.arange(len(inputs), dtype=np.uint64)
    return CaseBlock(CALL, Budget(), Level.RESULT, ids, inputs)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 9))
def test_every_bit_of_every_row_counts(data: st.DataObject, rows: int, row_bytes: int) -> None:
    raw = bytearray(data.draw(st.binary(min_size=rows * row_bytes, max_size=rows * row_bytes)))
    before = block_key("m", block_of(bytes(raw), row_bytes), NODE, IDENTITY)
    assert block_key("m", block_of(bytes(raw), row_bytes), NODE, IDENTITY) == before
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert block_key("m", block_of(bytes(raw), row_bytes), NODE, IDENTITY) != before


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.permutations(range(5)))
def test_the_order_of_rows_counts(order: list[int]) -> None:
    moved = dataclasses.replace(BLOCK, inputs=np.arange(40, dtype=np.uint8).reshape(5, 8))
    again = dataclasses.replace(moved, inputs=moved.inputs[order])
    same = block_key("m", moved, NODE, IDENTITY) == block_key("m", again, NODE, IDENTITY)
    assert same == (order == sorted(order))


def test_a_digest_made_before_gives_the_same_key() -> None:
    block = block_of(bytes(range(24)), 12)
    other = block_of(bytes(24), 12)
    key = block_key("m", block, NODE, IDENTITY)
    assert block_key("m", block, NODE, IDENTITY, case_sha256=case_digest(block)) == key
    assert block_key("m", block, NODE, IDENTITY, case_sha256=case_digest(other)) != key


@pytest.mark.parametrize("shape", [(3, 0), (0, 8), (0, 0)])
def test_rows_without_bytes_and_no_rows_have_a_digest_of_their_shape(
    shape: tuple[int, int],
) -> None:
    inputs = np.zeros(shape, np.uint8)
    block = CaseBlock(CALL, Budget(), Level.RESULT, np.arange(shape[0], dtype=np.uint64), inputs)
    head = canonical_json([CALL, None, Budget().memory_pages, *shape])
    assert case_digest(block) == hashlib.sha256(head + b"\0").hexdigest()


def test_rows_that_are_not_contiguous_are_digested_in_order() -> None:
    whole = np.arange(48, dtype=np.uint8).reshape(4, 12)
    ids = np.arange(4, dtype=np.uint64)
    strided = CaseBlock(CALL, Budget(), Level.RESULT, ids, whole[:, ::2])
    packed = CaseBlock(CALL, Budget(), Level.RESULT, ids, whole[:, ::2].copy())
    assert case_digest(strided) == case_digest(packed)


def test_the_same_bytes_in_other_rows_are_another_block() -> None:
    wide, tall = block_of(bytes(24), 12), block_of(bytes(24), 6)
    assert block_key("m", wide, NODE, IDENTITY) != block_key("m", tall, NODE, IDENTITY)
