"""
Environments: made whole or not at all, once, from pinned artefacts alone.

A uv that lies or dies takes the place of the real one; the last tests put the real one to work.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from runners.artifacts import Artifact, NoArtifactError, load_table
from runners.catalog import Catalog
from runners.environments import Environments, MissingEngineError
from runners.interpreters import MissingInterpreterError, Places
from runners.markers import MARKER, InstallError, artifact_sha256, library_sha256

VENV = r"""
case "$1" in
venv)
  for last; do :; done
  mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"
  ln -s PYTHON "$last/bin/python"
  echo made >> LOG;;
pip)
  for last; do :; done
  cat "$last" >> LOG
  site="$(dirname "$last")/lib/python3.11/site-packages"
  INSTALL;;
*) exit 2;;
esac
"""
REAL = 'mkdir "$site/pywasm"; echo "version = 1" > "$site/pywasm/__init__.py"'
STUB = 'mkdir "$site/pywasm"'
DIES = 'mkdir "$site/pywasm"; echo "no such file" >&2; exit 1'
SLOW = "sleep 0.2; " + REAL


class Place:
    """
    A home with a catalogue, a fake uv and nothing else on the machine.
    """

    def __init__(self, folder: Path, install: str = REAL) -> None:
        """
        *install* is what the fake uv does to install.
        """
        self.log = folder / "log"
        self.uv = folder / "uv"
        text = VENV.replace("PYTHON", sys.executable).replace("LOG", str(self.log))
        self.uv.write_text("#!/bin/sh\n" + text.replace("INSTALL", install), "utf-8")
        self.uv.chmod(0o755)
        self.home = folder / "home"

    def environments(self, **changes: object) -> Environments:
        """
        The environments of this home, with *changes* to the places that are searched.
        """
        fields: dict[str, object] = {"path": os.environ["PATH"], "pyenv": (), "uv": str(self.uv)}
        places = Places(**{**fields, "download": False, **changes})  # type: ignore[arg-type]
        return Environments(
            catalog=Catalog.load(probe=lambda _: "20.20.2"), home=self.home, places=places,
            machine="x86_64",
        )  # fmt: skip


def quietly(_line: str) -> None:
    """
    Report to nobody.
    """


def test_install_makes_a_whole_environment(tmp_path: Path) -> None:
    place = Place(tmp_path)
    environments = place.environments(path="")
    engine = environments.catalog.resolve("pywasm")
    with pytest.raises(MissingEngineError) as caught:
        environments.launch(engine)
    assert caught.value.command == "weavegate engines install pywasm@2.2.3"
    lines: list[str] = []
    environments.install(engine, lines.append)
    marker = environments.marker(engine)
    assert marker is not None
    (artifact,) = (row for row in load_table() if (row.package, row.version) == ("pywasm", "2.2.3"))
    assert marker.artifact_sha256 == artifact.sha256
    assert place.log.read_text("utf-8") == f"made\n{artifact.requirement}\n"
    launch = environments.launch(engine)
    assert launch.argv[0] == str(place.home / "engines" / "pywasm-2.2.3" / "bin" / "python")
    assert launch.argv[1:4] == ("-I", "-B", "-s")
    assert Path(launch.argv[4]).is_file()
    assert launch.artifact_sha256 == artifact.sha256
    assert launch.core_version == "pywasm@2.2.3"
    assert "is installed" in lines[-1]


def test_a_second_install_does_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    environments = place.environments()
    for _ in range(2):
        environments.install(environments.catalog.resolve("pywasm"), quietly)
    assert place.log.read_text("utf-8").count("made") == 1


@pytest.mark.parametrize(("install", "said"), [(DIES, "no such file"), (STUB, "empty stub")])
def test_a_failed_install_leaves_nothing(tmp_path: Path, install: str, said: str) -> None:
    environments = Place(tmp_path, install).environments()
    engine = environments.catalog.resolve("pywasm")
    with pytest.raises(InstallError, match=said):
        environments.install(engine, quietly)
    left = os.listdir(tmp_path / "home" / "engines")  # noqa: PTH208 - names are meant
    assert left == [".pywasm-2.2.3.lock"]
    assert environments.marker(engine) is None


def test_what_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    environments = Place(tmp_path).environments()
    engine = environments.catalog.resolve("pywasm")
    folder = environments.folder(engine)
    (folder / "bin").mkdir(parents=True)
    (folder / MARKER).write_text('{"schema": 1', "utf-8")
    assert environments.marker(engine) is None
    environments.install(engine, quietly)
    assert environments.marker(engine) is not None


def test_a_marker_without_its_interpreter_is_not_installed(tmp_path: Path) -> None:
    environments = Place(tmp_path).environments()
    engine = environments.catalog.resolve("pywasm")
    environments.install(engine, quietly)
    (environments.folder(engine) / "bin" / "python").unlink()
    with pytest.raises(MissingEngineError):
        environments.launch(engine)


def _install_in(folder: str) -> None:
    """
    Install pywasm from a process of its own.
    """
    place = Place.__new__(Place)
    place.uv, place.home = Path(folder) / "uv", Path(folder) / "home"
    environments = place.environments()
    environments.install(environments.catalog.resolve("pywasm"), quietly)


def test_two_processes_install_once(tmp_path: Path) -> None:
    place = Place(tmp_path, SLOW)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_install_in, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert place.log.read_text("utf-8").count("made") == 1


def test_no_interpreter_and_no_compiler_are_said(tmp_path: Path) -> None:
    environments = Place(tmp_path).environments(path="", own="")
    with pytest.raises(MissingInterpreterError, match=r"no CPython 3\.8 to 3\.10"):
        environments.install(environments.catalog.resolve("wasmer"), quietly)
    with pytest.raises(MissingEngineError, match="built from source and needs cc"):
        environments.install(environments.catalog.resolve("wasm3"), quietly)


def test_no_artefact_for_this_machine_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path)
    usual = place.environments(path="")
    other = Environments(
        catalog=usual.catalog, home=usual.home, places=usual.places, machine="riscv64"
    )
    with pytest.raises(NoArtifactError, match="on riscv64"):
        other.install(other.catalog.resolve("wasmtime"), quietly)
    assert not list((tmp_path / "home" / "engines").glob("wasmtime*"))


def test_an_engine_on_path_needs_its_program_in_that_version(tmp_path: Path) -> None:
    place = Place(tmp_path)
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    node.write_text("#!/bin/sh\necho v20.20.2\n", "utf-8")
    node.chmod(0o755)
    there = place.environments(path=str(node.parent))
    launch = there.launch(there.catalog.resolve("v8"))
    assert launch.argv[0] == str(node)
    assert launch.argv[-1].endswith(".mjs")
    assert len(launch.artifact_sha256) == 64
    with pytest.raises(MissingEngineError, match=r"node on PATH is 20\.20\.2"):
        there.launch(there.catalog.resolve("v8@22.1.0"))
    absent = place.environments(path="")
    with pytest.raises(MissingEngineError, match="needs node, which is not on PATH"):
        absent.launch(absent.catalog.resolve("v8"))


@pytest.mark.parametrize(
    ("asked", "core"),
    [
        ("echo 11.3.244.8-node.38", "v8@11.3.244.8-node.38"),
        ("echo bad option: -p", ""),
        ("echo 11.3.244.8; exit 1", ""),
    ],
)
def test_the_core_of_an_engine_on_path_is_what_its_program_says(
    tmp_path: Path, asked: str, core: str
) -> None:
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    script = f'case "$*" in "-p process.versions.v8") {asked};; *) echo v20.20.2;; esac'
    node.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    node.chmod(0o755)
    there = Place(tmp_path).environments(path=str(node.parent))
    (line,) = there.status((there.catalog.resolve("v8"),))
    assert (line.installed, line.core_version) == (True, core)


def test_status_shows_what_is_there_and_how_to_get_the_rest(tmp_path: Path) -> None:
    environments = Place(tmp_path).environments(path="")
    before = {str(line.engine): line for line in environments.status()}
    assert [name for name, line in before.items() if line.installed] == ["reference@0.1.0"]
    assert before["wasmer@1.1.0/llvm"].command == "weavegate engines install wasmer@1.1.0"
    assert before["wasmtime@50.0.1/winch"].core_version == "wasmtime@50.0.0"
    assert before["v8@20.20.2"].missing
    environments.install(environments.catalog.resolve("pywasm@2.1.6"), quietly)
    after = {str(line.engine): line for line in environments.status()}
    assert set(after) - set(before) == {"pywasm@2.1.6"}
    line = after["pywasm@2.1.6"]
    assert line.installed
    assert line.interpreter.startswith("cpython 3.")
    assert line.library_sha256
    present = [str(engine) for engine in environments.installed()]
    assert present == ["pywasm@2.1.6", "reference@0.1.0"]


def test_digests_follow_order_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_bytes(b"two")
    (tmp_path / "a.py").write_bytes(b"one")
    first = library_sha256(tmp_path, ("*.py", "a.*"))
    assert first == library_sha256(tmp_path, ("*.py",))
    (tmp_path / "a.py").write_bytes(b"One")
    assert library_sha256(tmp_path, ("*.py",)) != first
    with pytest.raises(InstallError):
        library_sha256(tmp_path, ("*.so",))
    one, two = Artifact("a", "1", "a.whl", "11" * 32), Artifact("b", "1", "b.whl", "22" * 32)
    assert artifact_sha256((one,)) == one.sha256
    assert artifact_sha256((one, two)) == artifact_sha256((two, one)) != one.sha256


@pytest.mark.nightly
def test_the_real_uv_installs_what_is_pinned_and_nothing_else(tmp_path: Path) -> None:
    environments = Environments(home=tmp_path)
    engine = environments.catalog.resolve("pywasm")
    environments.install(engine, quietly)
    assert environments.marker(engine) is not None
    forged = tuple(Artifact(row.package, row.version, row.file, "0" * 64) for row in load_table())
    other = Environments(home=tmp_path / "other", table=forged)
    with pytest.raises(InstallError, match=r"(?i)hash"):
        other.install(engine, quietly)
    assert other.marker(engine) is None
