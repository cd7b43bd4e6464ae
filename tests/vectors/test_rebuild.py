"""
The whole way from weights to module, with the pinned toolchains, byte for byte.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from conformance.manifest.tables import read_tables, write_tables
from vectors.build import rebuild, toolchains
from vectors.build.recipe import read_recipe

CACHE = Path(os.environ.get("WEAVEGATE_TOOLCHAINS", toolchains.cache_folder()))


@pytest.mark.slow
@pytest.mark.engines
def test_all_models_are_rebuilt_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild.main(["--check", "--cache", str(CACHE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rebuild.find_models())
    assert all(line.endswith(": same bytes") for line in lines)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A copy of two models in a repository of their own.
    """
    for name in ("diabetes-ridge", "cancer-tree"):
        shutil.copytree(rebuild.find_models([name])[0], tmp_path / "vectors" / "models" / name)
    monkeypatch.setattr(rebuild, "VECTORS", tmp_path / "vectors")
    return tmp_path / "vectors" / "models"


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.parametrize("name", ["diabetes-ridge", "cancer-tree"])
def test_changed_weights_change_everything_that_is_made(
    elsewhere: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [name, "--cache", str(CACHE)]
    tables = read_tables(elsewhere / name / "weights.json")
    key = "coefficients" if name == "diabetes-ridge" else "shares"
    tables[key].rows[:, 5] ^= 1
    write_tables(elsewhere / name / "weights.json", tables)
    assert rebuild.main([*words, "--check"]) == 1
    source = "model.wat" if name == "diabetes-ridge" else "model.c"
    wanted = f"{name}: differs: {source}, model.wasm, model.toml, expected.json\n"
    assert capsys.readouterr().out == wanted
    assert rebuild.main(words) == 0
    assert rebuild.main([*words, "--check"]) == 0


@pytest.mark.slow
@pytest.mark.engines
def test_a_source_that_does_not_compile_is_one_sentence(tmp_path: Path) -> None:
    folder = rebuild.find_models(["cancer-tree"])[0]
    recipe = read_recipe(folder / "recipe.toml")
    python = toolchains.obtain(recipe.compiler.package, CACHE)
    (tmp_path / "model.c").write_text("int infer(void) { return nothing; }\n")
    with pytest.raises(toolchains.ToolchainError, match=r"cannot be compiled.*nothing") as caught:
        toolchains.compile_module(python, recipe.compiler.arguments, tmp_path / "model.c")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.c"]


def test_without_a_network_one_sentence_and_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    assert rebuild.main(["diabetes-ridge", "--check", "--cache", str(tmp_path / "tools")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("the toolchain wasmtime==50.0.1 cannot be installed into")
    assert "\n" not in said
    assert list((tmp_path / "tools").iterdir()) == []


def test_an_unknown_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild.main(["digits-mpl", "--check"]) == 2
    assert capsys.readouterr().err.startswith("there is no model digits-mpl; there are ")


def test_the_compiler_sees_neither_the_environment_nor_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    (tmp_path / "model.c").write_text("the source\n")
    program = (
        "import os, sys; open(sys.argv[2], 'w').write("
        "repr((sorted(os.environ), sys.argv[1], open(sys.argv[1]).read())))"
    )
    arguments = ["-c", program, "{source}", "{output}"]
    seen = toolchains.compile_module(Path(sys.executable), arguments, tmp_path / "model.c").decode()
    assert "SOURCE_DATE_EPOCH" not in seen
    assert "ZIG_GLOBAL_CACHE_DIR" in seen
    assert seen.endswith("'model.c', 'the source\\n')")
