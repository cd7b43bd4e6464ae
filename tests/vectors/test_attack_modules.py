"""
The controls of the attacks: built byte for byte, and what they claim to be, seen in an engine.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path

import pytest
from wasmtime import Engine, Func, Instance, Memory, Module, Store

from conformance.manifest.read import read_manifest
from vectors.build import attack_modules
from vectors.build.attack_modules import FOLDER, AttackBuildError, main

NAMES = ("leaks-scratch", "wipes-scratch")


def test_every_byte_is_what_the_builder_makes() -> None:
    assert main(["--check"]) == 0


def test_a_changed_source_or_module_is_noticed_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "attacks"
    shutil.copytree(FOLDER, folder)
    source = folder / "leaks-scratch" / "model.wat"
    source.write_text(source.read_text().replace("f64.gt", "f64.ge"))
    assert main(["--check"], folder) == 1
    said = capsys.readouterr().err
    for name in ("leaks-scratch/model.wasm", "leaks-scratch/model.toml", "recipe.toml"):
        assert f"vectors/attacks/{name} is not what the builder makes" in said
    assert "wipes-scratch" not in said
    assert main([], folder) == 0
    assert main(["--check"], folder) == 0


def test_another_assembler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack_modules, "version", lambda _: "1.0.0")
    with pytest.raises(AttackBuildError, match=r"install wasmtime==50\.0\.1"):
        attack_modules.assembled("(module)")


def test_wrong_usage_is_said() -> None:
    assert main(["--chek"]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_manifests_name_their_module_and_reuse_with_a_reset(name: str) -> None:
    manifest = read_manifest(FOLDER / name / "model.toml")
    data = (FOLDER / name / manifest.module_file).read_bytes()
    assert manifest.module_sha256 == hashlib.sha256(data).hexdigest()
    assert (manifest.run.policy, manifest.run.reset) == ("reuse(16)", "reset")


@pytest.mark.parametrize(("name", "left"), [("leaks-scratch", 0.75), ("wipes-scratch", 0.0)])
def test_only_one_of_them_sees_the_earlier_value_after_its_reset(name: str, left: float) -> None:
    store = Store(Engine())
    module = Module(store.engine, (FOLDER / name / "model.wasm").read_bytes())
    exports = Instance(store, module, []).exports(store)
    memory, infer, reset = exports["memory"], exports["infer"], exports["reset"]
    assert isinstance(memory, Memory)
    assert isinstance(infer, Func)
    assert isinstance(reset, Func)

    def output(first: float) -> float:
        memory.write(store, struct.pack("<8d", first, *[0.0] * 7), 1024)
        infer(store)
        (value,) = struct.unpack("<d", bytes(memory.read(store, 2048, 2056)))
        return float(value)

    assert output(0.75) == 0.75
    assert output(-0.5) == 0.75, "a single caller's own value is kept by both"
    reset(store)
    assert output(-0.5) == left
