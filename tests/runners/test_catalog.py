"""
The catalogue: what it resolves, what it refuses and in which words.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.artifacts import load_table
from runners.catalog import TABLE, BadCatalogError, Catalog, UnknownEngineError, order
from runners.records import EngineId


def absent(_program: str) -> str:
    """
    A machine without the program.
    """
    return ""


def node_20(_program: str) -> str:
    """
    A machine with node 20.20.2.
    """
    return "20.20.2"


CATALOG = Catalog.load(probe=node_20)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("wasmtime", "wasmtime@50.0.1/cranelift"),
        ("wasmtime@6.0.0", "wasmtime@6.0.0/cranelift"),
        ("wasmtime/winch", "wasmtime@50.0.1/winch"),
        ("wasmtime/pulley+opt=0,nan=canonical", "wasmtime@50.0.1/pulley+nan=canonical,opt=0"),
        ("wasmtime+opt=2", "wasmtime@50.0.1/cranelift"),
        ("wasmer", "wasmer@1.1.0/singlepass"),
        ("wasmer/llvm", "wasmer@1.1.0/llvm"),
        ("pywasm", "pywasm@2.2.3"),
        ("pywasm@1.0.8", "pywasm@1.0.8"),
        ("wasm3", "wasm3@0.5.0"),
        ("v8", "v8@20.20.2"),
    ],
)
def test_resolve_completes(text: str, full: str) -> None:
    assert str(CATALOG.resolve(text)) == full
    assert CATALOG.resolve(full) == CATALOG.resolve(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wasmtme", "did you mean wasmtime"),
        ("spidermonkey", "there are wasmtime, wasmer, pywasm, wasm3, v8"),
        ("wasmtime@0.19.0", "too old: the catalogue starts at 0.24.0"),
        ("wasmtime@99.0.0", "not catalogued: the newest is 50.0.1"),
        ("wasmtime@26.0.0", "the nearest are 25.0.0 and 27.0.1"),
        ("wasmer@1.0.0", "too old: the catalogue starts at 1.1.0"),
        ("pywasm@0.4.8", "too old: the catalogue starts at 1.0.0"),
        ("wasmer/llvn", "did you mean llvm"),
        ("wasmtime@44.0.0/winch", "can be chosen from 45.0.0 on"),
        ("wasmtime@44.0.0/pulley", "can be chosen from 45.0.0 on"),
        ("pywasm/cranelift", "no choice of compilers"),
        ("wasmtime+nan=payload", "there is canonical"),
        ("wasmtime+fast=1", "there are nan, opt"),
        ("wasmtime/winch+opt=0", "cranelift, pulley have it"),
        ("wasmtime@30.0.0+nan=canonical", "it came with 45.0.0"),
        ("wasmer+nan=canonical", "it has no settings"),
        ("Wasmtime", "write name@version/compiler"),
    ],
)
def test_resolve_refuses_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UnknownEngineError) as caught:
        CATALOG.resolve(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_on_path_that_is_absent_keeps_no_version() -> None:
    assert Catalog.load(probe=absent).resolve("v8") == EngineId("v8")


def test_package_numbers_are_not_core_numbers() -> None:
    def core(text: str) -> str:
        return CATALOG.core_version(CATALOG.resolve(text))

    assert core("wasmtime") == "wasmtime@50.0.0"
    assert core("wasmtime@8.0.1") == "wasmtime@8.0.0"
    assert core("wasmtime@37.0.0") == "wasmtime@37.0.2"
    assert core("wasmtime@36.0.0") == "wasmtime@36.0.0"
    assert core("wasmer") == "wasmer@2.1.1"
    assert core("v8") == ""


def test_families_count_generators() -> None:
    generators = {
        text: CATALOG.families(CATALOG.resolve(text)).generator
        for text in ("wasmtime", "wasmtime/pulley", "wasmtime/winch", "wasmer/cranelift", "wasmer")
    }
    assert generators["wasmtime"] == generators["wasmtime/pulley"] == generators["wasmer/cranelift"]
    assert len(set(generators.values())) == 3


def test_core_has_three_families() -> None:
    core = CATALOG.core()
    assert [str(engine) for engine in core] == [
        "wasmtime@50.0.1/cranelift", "wasmer@1.1.0/singlepass", "pywasm@2.2.3",
    ]  # fmt: skip
    assert len({CATALOG.families(engine).generator for engine in core}) == 3


def test_capabilities_follow_version_and_compiler() -> None:
    def can(text: str, name: str) -> bool:
        return name in CATALOG.capabilities(CATALOG.resolve(text))

    assert can("wasmtime", "fuel")
    assert not can("wasmtime@44.0.0", "fuel")
    assert not can("wasmtime@0.32.0", "proposal:simd")
    assert can("wasmtime@0.33.0", "proposal:simd")
    assert not can("wasmer/singlepass", "proposal:multi-value")
    assert can("wasmer/cranelift", "proposal:multi-value")
    assert not can("wasmer/cranelift", "proposal:simd")
    assert not can("pywasm@2.1.6", "proposal:simd")
    assert not can("wasm3", "proposal:bulk-memory")


def test_capabilities_are_words_of_the_protocol() -> None:
    protocol = (TABLE.parent / "PROTOCOL.md").read_text("utf-8")
    for engine in CATALOG.everything():
        for name in CATALOG.capabilities(engine):
            assert f"`{name.removeprefix('proposal:')}`" in protocol, name


def test_everything_resolves_to_itself() -> None:
    everything = CATALOG.everything()
    assert len(set(everything)) == len(everything) > 100
    for engine in everything:
        assert CATALOG.resolve(engine) == engine


def test_every_requirement_has_an_artefact() -> None:
    known = {(row.package, row.version) for row in load_table()}
    wanted = {(package, version) for package, version, _ in CATALOG.requirements()}
    assert wanted == known


def test_no_address_of_an_index_in_the_tables() -> None:
    for path in (TABLE, TABLE.with_name("artifacts.toml")):
        assert "http" not in path.read_text("utf-8")


@given(st.lists(st.integers(0, 300), min_size=1, max_size=3), st.integers(0, 300))
def test_versions_are_ordered_by_numbers(numbers: list[int], last: int) -> None:
    text = ".".join(map(str, numbers))
    assert order(f"{text}.{last}") < order(f"{text}.{last + 1}")
    assert order(text) == order(f"{text}.0")


CHANGES = [
    ('"50.0.1", "49.0.0"', '"49.0.0", "50.0.1"', "newest first"),
    ('"50.0.1", "49.0.0"', '"50.0.1", "50.0.1"', "newest first"),
    ('default_compiler = "singlepass"', 'default_compiler = "fast"', "which is its default"),
    ('"50.0.1" = "50.0.0"', '"50.0.9" = "50.0.0"', "unknown versions"),
    ('compilers = ["cranelift", "pulley"]', 'compilers = ["baseline"]', "unknown compilers"),
    ('title = "wasmtime', 'titel = "x"\ntitle = "wasmtime', "titel"),
    ('title = "wasmtime', 'core_arguments = ["-V"]\ntitle = "wasmtime', "not found on PATH"),
    ("schema = 1", "schema = 2", "schema"),
    ("schema = 1", "schema = ", "not a catalogue"),
]


@pytest.mark.parametrize(("old", "new", "said"), CHANGES)
def test_a_catalogue_that_contradicts_itself_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = TABLE.read_text("utf-8")
    assert old in text
    changed = tmp_path / "catalog.toml"
    changed.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(BadCatalogError) as caught:
        Catalog.load(changed)
    assert said in str(caught.value)
