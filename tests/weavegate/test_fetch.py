from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from bad_subjects import complaint, weavegate

from weavegate.exits import Exit
from weavegate.fetch_command import read_recipe

MODULE = b"\0asm\1\0\0\0"
FOREIGN = Path(__file__).resolve().parents[2] / "vectors" / "foreign"


def archive_of(data: bytes) -> bytes:
    """
    An archive as npm packs it.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/net.wasm")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A folder with a recipe, and an npm on PATH that hands out one archive.
    """
    place = tmp_path / "net"
    place.mkdir()
    archive = archive_of(MODULE)
    (tmp_path / "given.tgz").write_bytes(archive)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp {tmp_path}/given.tgz "$6/net-1.0.0.tgz"\n', "utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    write_recipe(place, archive, MODULE)
    return place


def write_recipe(folder: Path, archive: bytes, module: bytes) -> None:
    (folder / "fetch.toml").write_text(
        'schema = 1\npackage = "@who/net"\nversion = "1.0.0"\nmember = "package/net.wasm"\n'
        f'module = "net.wasm"\nlicense = "MIT"\n'
        f'archive_sha256 = "{hashlib.sha256(archive).hexdigest()}"\n'
        f'module_sha256 = "{hashlib.sha256(module).hexdigest()}"\n',
        "utf-8",
    )


def test_a_module_is_fetched_checked_and_then_left_alone(folder: Path) -> None:
    first = weavegate("fetch", str(folder))
    assert "asking npm" in first.stderr
    assert first.exit_code == Exit.PASS
    assert "fetched and checked" in first.stdout
    assert (folder / "net.wasm").read_bytes() == MODULE
    (folder.parent / "bin" / "npm").unlink()
    assert "is there already, and right" in weavegate("fetch", str(folder)).stdout


def test_a_damaged_module_is_fetched_again(folder: Path) -> None:
    (folder / "net.wasm").write_bytes(b"something else")
    assert "fetched and checked" in weavegate("fetch", str(folder)).stdout
    assert (folder / "net.wasm").read_bytes() == MODULE


def test_another_archive_or_module_is_refused_and_nothing_written(folder: Path) -> None:
    (folder.parent / "given.tgz").write_bytes(archive_of(MODULE + b"\0"))
    assert "its SHA-256 is" in complaint(Exit.FINDINGS, "fetch", str(folder))
    write_recipe(folder, (folder.parent / "given.tgz").read_bytes(), MODULE)
    said = complaint(Exit.FINDINGS, "fetch", str(folder))
    assert said.count("nothing was written") == 1
    assert "package/net.wasm" in said
    assert not (folder / "net.wasm").exists()


def test_no_npm_no_answer_and_no_recipe_are_sentences(folder: Path) -> None:
    npm = folder.parent / "bin" / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error 404 not found' >&2\nexit 1\n", "utf-8")
    assert "npm could not fetch it (404 not found)" in complaint(
        Exit.UNDECIDED, "fetch", str(folder)
    )
    npm.unlink()
    assert "there is no recipe" in complaint(Exit.USAGE, "fetch", str(folder.parent))
    assert "asking" not in weavegate("fetch", str(folder.parent)).stderr
    (folder / "fetch.toml").write_text("schema = 1\n", "utf-8")
    assert "is no recipe" in complaint(Exit.USAGE, "fetch", str(folder))


def test_a_recipe_cannot_leave_its_folder(folder: Path) -> None:
    recipe = folder / "fetch.toml"
    recipe.write_text(recipe.read_text("utf-8").replace('"net.wasm"', '"../net.wasm"'), "utf-8")
    assert "`module` is not what it must be" in complaint(Exit.USAGE, "fetch", str(folder))


def test_shipped_recipes_agree_with_their_manifests() -> None:
    folders = [path.parent for path in FOREIGN.glob("*/fetch.toml")]
    assert folders
    for place in folders:
        recipe = read_recipe(place)
        manifest = (place / "model.toml").read_text("utf-8")
        assert f'sha256 = "{recipe.module_sha256}"' in manifest
        assert f'file = "{recipe.module}"' in manifest
