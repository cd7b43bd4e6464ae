from __future__ import annotations

import pytest

from conformance.network.plan import BadPlanError
from runners.catalog import Catalog, UnknownEngineError
from weavegate.validators import choose_nodes

CATALOG = Catalog.load(probe=lambda _: "20.0.0")
ANY: frozenset[str] = frozenset()


def chosen(count: int, *engines: str, needed: frozenset[str] = ANY) -> list[str]:
    return [node.label() for node in choose_nodes(engines, count, needed, CATALOG)]


def test_four_validators_are_four_code_families() -> None:
    nodes = choose_nodes((), 4, ANY, CATALOG)
    families = {CATALOG.families(node.engine).generator for node in nodes}
    assert families == {"cranelift", "winch", "singlepass", "llvm"}


def test_however_many_there_are_no_two_are_alike() -> None:
    labels = chosen(20)
    assert len(set(labels)) == 20
    assert any("cpu=baseline" in label for label in labels)
    assert any("opt=0" in label for label in labels)
    assert chosen(7) == labels[:7]


def test_interpreters_come_after_compilers() -> None:
    assert [label.partition("@")[0] for label in chosen(7)].index("pywasm") == 6


def test_pulley_has_no_baseline() -> None:
    assert not any("pulley" in label and "baseline" in label for label in chosen(20))


def test_more_than_there_can_be_is_refused() -> None:
    with pytest.raises(BadPlanError, match="make 20 nodes that differ, --nodes asks 21"):
        chosen(21)


def test_named_engines_come_first_and_are_then_varied_alone() -> None:
    labels = chosen(4, "wasmtime", "wasmer/llvm")
    newest = CATALOG.resolve("wasmtime").version
    assert labels == [
        f"wasmtime@{newest}/cranelift",
        "wasmer@1.1.0/llvm",
        f"wasmtime@{newest}/cranelift[cpu=baseline]",
        f"wasmtime@{newest}/cranelift+opt=0",
    ]


def test_a_setting_that_is_named_is_kept_in_every_variant() -> None:
    labels = chosen(4, "wasmtime+nan=canonical")
    assert len(labels) == 4
    assert all("nan=canonical" in label for label in labels)
    assert "," not in labels[0]


def test_an_old_version_has_only_what_it_had() -> None:
    assert chosen(2, "wasmtime@17.0.0") == [
        "wasmtime@17.0.0/cranelift", "wasmtime@17.0.0/cranelift+opt=0",
    ]  # fmt: skip
    with pytest.raises(BadPlanError, match="the engines named make 2 nodes"):
        chosen(3, "wasmtime@17.0.0")


@pytest.mark.parametrize(
    ("engines", "words"),
    [
        (("wasmtime", "wasmtime/cranelift"), "2 times: validators must differ"),
        (("wasmtime", "wasmer", "pywasm"), "names 3 engines for 2 validators: give --nodes 3"),
    ],
)
def test_engines_that_make_no_network_are_refused(engines: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadPlanError, match=words):
        chosen(2, *engines)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UnknownEngineError):
        chosen(2, "wasmtim")


def test_only_engines_that_can_run_the_modules_take_part() -> None:
    simd = frozenset({"proposal:simd"})
    assert not any("singlepass" in label for label in chosen(8, needed=simd))
    with pytest.raises(BadPlanError, match="singlepass does not have simd"):
        chosen(2, "wasmer/singlepass", "wasmtime", needed=simd)
