"""
The shipped defects show on the engines at hand that have them, and on no other.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.defect_asking import apart, fuel, values
from benchmarks.defect_list import FOLDER, Defect, defects, module_of
from benchmarks.defects import TARGET, Measured, measure, page, releases, row, spans
from benchmarks.loop_process import BenchmarkError
from runners.catalog import Catalog, order

CATALOG = Catalog.load()
EVERY = {defect.name: defect for defect in defects()}
BY_VALUE = [defect for defect in EVERY.values() if defect.shows == "value"]


def of(family: str, shows: str = "value") -> list[Defect]:
    return [one for one in EVERY.values() if family in one.engines and one.shows == shows]


def test_every_module_is_listed_valid_and_small() -> None:
    assert {path.stem for path in FOLDER.glob("*.wat")} == set(EVERY)
    for defect in EVERY.values():
        module = module_of(defect)
        assert len(module.binary) < 700, defect.name
        text = (FOLDER / f"{defect.name}.wat").read_text(encoding="utf-8")
        assert text.startswith(f";; {defect.title}\n;; Found ")
        for family in (*defect.engines, defect.control):
            CATALOG.resolve(family)


def test_a_list_that_does_not_match_its_modules_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "defects"
    shutil.copytree(FOLDER, folder)
    (folder / "pywasm-div-u.wat").unlink()
    with pytest.raises(BenchmarkError, match="do not match: pywasm-div-u"):
        defects(folder)
    (folder / "defects.toml").write_text("schema = 2\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"defects\.toml"):
        defects(folder)


@pytest.mark.engines
def test_pywasm_shows_its_defects_and_the_others_do_not() -> None:
    asked = of("pywasm")
    assert len(asked) == 22
    assert set(values(asked, CATALOG.resolve("pywasm@2.2.3"), CATALOG).values()) == {"shows"}


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["wasmtime", "reference"])
def test_no_defect_shows_in_values_on_an_engine_that_has_none(engine: str) -> None:
    found = values(BY_VALUE, CATALOG.resolve(engine), CATALOG)
    assert set(found.values()) == {"does not"}
    assert len(found) == len(BY_VALUE)


@pytest.mark.engines
def test_singlepass_alone_of_wasmers_compilers_shows_its_defect() -> None:
    asked = of("wasmer/singlepass")
    found = {
        name: values(asked, CATALOG.resolve(f"wasmer/{name}"), CATALOG)["singlepass-neg-nan"]
        for name in ("singlepass", "cranelift", "llvm")
    }
    assert found == {"singlepass": "shows", "cranelift": "does not", "llvm": "does not"}


@pytest.mark.engines
def test_fuel_shows_in_the_newest_wheel_what_it_is_known_for() -> None:
    asked = [*of("wasmtime/cranelift", "fuel-more"), *of("wasmtime/cranelift", "fuel-same")]
    found = fuel(asked, "50.0.1")
    assert [name for name, answer in found.items() if answer == "shows"] == [
        "fuel-refused-memory-grow"
    ]
    assert len(found) == 4
    (winch,) = of("wasmtime/winch", "fuel-apart")
    assert apart(winch, CATALOG.resolve("wasmtime/winch"), CATALOG) == "shows"
    assert apart(winch, CATALOG.resolve("wasmtime/pulley"), CATALOG) == "does not"


def test_releases_are_ascending_and_begin_with_the_compiler() -> None:
    found = [engine.version for engine in releases("wasmtime/winch", CATALOG)]
    assert found[0] == "45.0.0"
    assert found == sorted(found, key=order)
    assert len(releases("pywasm", CATALOG)) == 28


def test_ranges_are_of_neighbours() -> None:
    versions = ["1", "2", "3", "4", "5"]
    assert spans([True, True, False, True, False], versions) == "1 to 2, 4"
    assert spans([False] * 5, versions) == "none"
    assert spans([True] * 5, versions) == "1 to 5"


def test_a_row_says_where_it_shows_and_names_its_control() -> None:
    defect = EVERY["pywasm-div-u"]
    measured = Measured(controls={defect.name: "does not"})
    for version, answer in (("2.1.6", "does not"), ("2.2.0", "shows"), ("2.2.3", "shows")):
        measured.note(defect.name, f"pywasm@{version}", answer)  # type: ignore[arg-type]
    line = row(defect, "pywasm", measured)
    assert line is not None
    assert "| 2.2.0 to 2.2.3 | 2.1.6 | 3 | `wasmtime/cranelift`: does not |" in line
    assert row(EVERY["spilled-i32"], "wasmtime/cranelift", measured) is None
    measured = Measured()
    measured.note(defect.name, "pywasm@2.2.3", "shows")
    assert "all tried show it" in (row(defect, "pywasm", measured) or "")


@pytest.mark.nightly
def test_defects_show_on_the_releases_that_the_page_tells() -> None:
    told = page(measure(CATALOG, print))
    assert told == TARGET.read_text(encoding="utf-8")
