import gzip
import hashlib
import os
from pathlib import Path

import pytest
from manifest_samples import BUFFERS

from conformance.manifest.errors import BadManifestError, BadSubjectError
from conformance.manifest.locate import Located, locate

MODULE = b"\0asm\1\0\0\0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.wasm").write_bytes(MODULE)
    (tmp_path / "model.toml").write_text(BUFFERS)
    return tmp_path


def test_every_right_form_is_found(folder: Path) -> None:
    wasm, toml = folder / "model.wasm", folder / "model.toml"
    other = folder / "other.toml"
    other.write_text(BUFFERS)
    assert locate(folder) == Located(wasm, toml)
    assert locate(wasm) == Located(wasm, toml)
    assert locate(wasm, other) == Located(wasm, other)
    assert locate(folder, other) == Located(wasm, other)
    toml.unlink()
    assert locate(wasm, need_manifest=False) == Located(wasm, None)
    assert locate(folder, other) == Located(wasm, other)


def sentence(argument: Path, manifest: Path | None = None) -> str:
    with pytest.raises(BadSubjectError) as caught:
        locate(argument, manifest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_wrong_form_has_its_sentence(folder: Path) -> None:
    assert "no such file or folder" in sentence(folder / "nothing.wasm")
    assert "no such manifest" in sentence(folder, folder / "nothing.toml")
    assert "is a manifest: name its folder" in sentence(folder / "model.toml")
    (folder / "other.wasm").write_bytes(MODULE)
    assert "beside it describes model.wasm" in sentence(folder / "other.wasm")
    (folder / "model.wasm").unlink()
    assert "there is no such module, although" in sentence(folder)
    (folder / "model.toml").unlink()
    assert "holds no model.toml: draft one with `weavegate init" in sentence(folder)
    assert "there is no model.toml beside it" in sentence(folder / "other.wasm")
    (folder / "other.wasm").unlink()
    assert "holds no model.toml, nor a .wasm" in sentence(folder)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.wasm", b"", "is empty"),
        ("model.wasm", b"  (module)", "is WebAssembly text: assemble it"),
        ("model.wat", b"; comment", "is WebAssembly text: assemble it"),
        ("model.wasm", gzip.compress(MODULE, mtime=0), "is compressed with gzip"),
        ("model.wasm", b"PK\x03\x04", "is a zip archive"),
        ("model.wasm", b"\x7fELF", "starts with bytes 7f454c46"),
        ("model.wasm", b"\0as", "starts with bytes 006173"),
    ],
)
def test_what_is_no_module_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert words in sentence(tmp_path / name)


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.wasm")
    assert "is not an ordinary file" in sentence(tmp_path / "model.wasm")


def test_impossible_paths_are_refused() -> None:
    with pytest.raises(BadSubjectError):
        locate(Path("a\0b"))
    with pytest.raises(BadSubjectError):
        locate(Path("x" * 5000))


def test_the_digest_in_a_manifest_is_the_modules_own(folder: Path) -> None:
    digest = hashlib.sha256(MODULE).hexdigest()
    text = BUFFERS.replace("[abi]", f'sha256 = "{digest}"\n[abi]')
    (folder / "model.toml").write_text(text)
    assert locate(folder).wasm_path == folder / "model.wasm"
    (folder / "model.wasm").write_bytes(MODULE + b"\0\1\0")
    assert f"is about a module with {digest}" in sentence(folder)


def test_a_wrong_manifest_is_reported_as_such(folder: Path) -> None:
    (folder / "model.toml").write_text("schema = 3")
    with pytest.raises(BadManifestError, match=r"model\.toml:1: `schema` must be 1"):
        locate(folder)
