"""
Environments: each engine version in a virtual environment of its own, made by uv.

An environment is made in a temporary folder and renamed when it is whole, so that a killed install
leaves nothing half-made; a lock lets two processes install at once. Every file that is installed is
pinned by its SHA-256. Engines that are found on PATH need no environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from uv import find_uv_bin

from runners.artifacts import Artifact, NoArtifactError, choose, load_table
from runners.catalog import Catalog, Entry, printed
from runners.home import data_home
from runners.interpreters import (
    Found,
    MissingInterpreterError,
    Places,
    find_interpreter,
    search,
)
from runners.launch import Launch
from runners.markers import (
    MARKER,
    InstallError,
    Marker,
    artifact_sha256,
    library_sha256,
    read_marker,
    unchanged_sha256,
)
from runners.pack import files_sha256, pack, packed_files
from runners.records import EngineId, Families

Report = Callable[[str], None]
_SITE: Final = "lib/py*/site-packages"
"""Pattern of the folder of packages in a virtual environment."""
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+)+[-+.0-9A-Za-z]*")


class MissingEngineError(Exception):
    """
    A catalogued engine is not to be had here; *command* gets it, if anything does.
    """

    def __init__(self, sentence: str, command: str = "") -> None:
        """
        *sentence* says what is missing.
        """
        super().__init__(f"{sentence}: run `{command}`" if command else sentence)
        self.sentence = sentence
        self.command = command


class EngineStatus(Struct, frozen=True, kw_only=True):
    """
    One line of `weavegate engines`.
    """

    engine: EngineId
    installed: bool
    package_version: str
    core_version: str
    families: Families
    capabilities: tuple[str, ...]
    artifact_sha256: str = ""
    library_sha256: str = ""
    interpreter: str = ""
    missing: str = ""
    """What is missing, in one sentence."""
    command: str = ""
    """The command that gets it."""


# ------------------------------------------------------------------------------ environments


@dataclass(frozen=True, slots=True)
class Environments:
    """
    The environments below one folder, for one catalogue.
    """

    catalog: Catalog = field(default_factory=Catalog.load)
    home: Path = field(default_factory=data_home)
    places: Places = field(default_factory=Places)
    table: tuple[Artifact, ...] = field(default_factory=load_table)
    machine: str = field(default_factory=platform.machine)

    def folder(self, engine: EngineId) -> Path:
        """
        Where the environment of an engine version lies, or would lie.
        """
        return self.home / "engines" / f"{engine.name}-{engine.version}"

    def marker(self, engine: EngineId) -> Marker | None:
        """
        What the environment was made of; None when there is none, or it is not whole.
        """
        folder, entry = self.folder(engine), self.catalog.entry(engine.name)
        sites = list(folder.glob(_SITE))
        held = any(next(site.glob(p), None) for site in sites for p in entry.libraries)
        return read_marker(folder) if held else None

    # ------------------------------------------------------------------------------ launching

    def launch(self, engine: EngineId) -> Launch:
        """
        How to start workers of an engine; raises MissingEngineError when it is not there.
        """
        engine = self.catalog.resolve(engine)
        entry = self.catalog.entry(engine.name)
        if entry.obtained == "path":
            program = self._program(engine, entry)
            argv: tuple[str, ...] = (str(program), "--no-warnings")
            stat = program.stat()
            artifact = unchanged_sha256(program, stat.st_size, stat.st_mtime_ns)
        elif entry.obtained == "packed":
            # Without site-packages: what is packed needs the standard library alone.
            argv = (self.places.own or sys.executable, "-I", "-B", "-S")
            artifact = files_sha256(packed_files(entry.pack))
        else:
            marker = self.marker(engine)
            if marker is None:
                word = "damaged" if read_marker(self.folder(engine)) else "not installed"
                sentence = f"{engine.name}@{engine.version} is {word}"
                raise MissingEngineError(sentence, self._command(engine))
            argv = (str(self.folder(engine) / "bin" / "python"), "-I", "-B", "-s")
            artifact = marker.artifact_sha256
        worker = pack(engine.name, self.home, entry.pack)
        return Launch(
            engine=engine,
            families=self.catalog.families(engine),
            argv=(*argv, str(worker.path)),
            environment=tuple(sorted(entry.environment.items())),
            worker_sha256=worker.sha256,
            artifact_sha256=artifact,
            core_version=self.catalog.core_version(engine),
            capabilities=self.catalog.capabilities(engine),
            memory_reserve_mib=entry.memory_reserve_mib,
        )

    def _program(self, engine: EngineId, entry: Entry) -> Path:
        """
        The program that holds an engine; raises MissingEngineError.
        """
        found = shutil.which(entry.program, path=self.places.path)
        if found is None:
            message = f"{engine.name} needs {entry.program}, which is not on PATH: install it first"
            raise MissingEngineError(message)
        present = self.catalog.resolve(engine.name).version
        if present != engine.version:
            message = (
                f"{engine.name}@{engine.version} is not here: {entry.program} on PATH is {present}"
            )
            raise MissingEngineError(message)
        return Path(found).resolve()

    @staticmethod
    def _command(engine: EngineId) -> str:
        """
        The command that installs an engine.
        """
        return f"weavegate engines install {engine.name}@{engine.version}"

    # ----------------------------------------------------------------------------- installing

    def install(self, engine: EngineId, report: Report, *, again: bool = False) -> None:
        """
        Make the environment of an engine version unless it is there; *report* hears each step.

        With *again* it is made anew in any case; the old one serves until the new one is whole.

        Raises MissingInterpreterError, MissingEngineError, NoArtifactError or InstallError.
        """
        engine = self.catalog.resolve(engine)
        entry = self.catalog.entry(engine.name)
        if entry.obtained == "path":
            report(f"{engine}: {self._program(engine, entry)} is used as it is")
            return
        if entry.obtained == "packed":
            report(f"{engine} comes with weavegate: there is nothing to install")
            return
        folder = self.folder(engine)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock"):
            if self.marker(engine) is not None and not again:
                report(f"{engine.name}@{engine.version} is installed")
                return
            self._needs(engine, entry)
            interpreter, artifacts = self._choose(engine, entry)
            report(f"{engine.name}@{engine.version}: making an environment on {interpreter.path}")
            with _temporary(folder.parent) as work:
                self._make(work, engine, entry, interpreter, artifacts)
                if folder.exists():
                    # Without a whole marker: what an older weavegate or a crash left behind.
                    shutil.rmtree(folder)
                work.rename(folder)
        report(f"{engine.name}@{engine.version} is installed")

    def _needs(self, engine: EngineId, entry: Entry) -> None:
        """
        Check for the programs that an install needs.
        """
        for program in entry.needs:
            if shutil.which(program, path=self.places.path) is None:
                message = f"{engine.name} is built from source and needs {program} on PATH"
                raise MissingEngineError(message)

    def _choose(self, engine: EngineId, entry: Entry) -> tuple[Found, tuple[Artifact, ...]]:
        """
        The best interpreter that all artefacts exist for, and the artefacts.
        """
        if entry.interpreter is None:
            message = f"the catalogue names no interpreter for {engine.name}"
            raise MissingInterpreterError(message)
        failure: NoArtifactError | None = None
        for found in search(entry.interpreter, self.places):
            try:
                return found, self._artifacts(engine, found)
            except NoArtifactError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        found = find_interpreter(entry.interpreter, self.places)
        return found, self._artifacts(engine, found)

    def _artifacts(self, engine: EngineId, found: Found) -> tuple[Artifact, ...]:
        """
        The artefacts of an engine for an interpreter, support first.
        """
        return tuple(
            choose(self.table, package, version, found.tag, self.machine)
            for package, version in self.catalog.packages(engine.name, engine.version)
        )

    def _make(
        self,
        work: Path,
        engine: EngineId,
        entry: Entry,
        interpreter: Found,
        artifacts: tuple[Artifact, ...],
    ) -> None:
        """
        Make a whole environment in *work*.
        """
        uv = self.places.uv or find_uv_bin()
        self._run([uv, "venv", "--quiet", "--relocatable", "--no-project", "--allow-existing",
                   "--python", interpreter.path, str(work)])  # fmt: skip
        python = str(work / "bin" / "python")
        for artifact in artifacts:
            listing = work / "requirement.txt"
            listing.write_text(artifact.requirement + "\n", "utf-8")
            command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
            command += ["--python", python, "--no-python-downloads"]
            command += (
                ["--no-build-isolation"] if artifact.is_source else ["--only-binary", ":all:"]
            )
            self._run([*command, "--requirements", str(listing)])
            listing.unlink()
        own = tuple(item for item in artifacts if item.package in entry.packages)
        marker = Marker(
            schema=1,
            engine=f"{engine.name}@{engine.version}",
            interpreter=interpreter,
            artifacts={item.file: item.sha256 for item in artifacts},
            artifact_sha256=artifact_sha256(own),
            library_sha256=library_sha256(_site(work), entry.libraries),
        )
        (work / MARKER).write_bytes(msgspec.json.format(msgspec.json.encode(marker)) + b"\n")

    @staticmethod
    def _run(command: list[str]) -> None:
        """
        Run uv; raises InstallError with the end of what it said.
        """
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            last = " ".join(done.stderr.split())[-600:]
            message = f"`{' '.join(command[1:3])}` failed: {last}"
            raise InstallError(message)

    # -------------------------------------------------------------------------------- looking

    def installed(self) -> tuple[EngineId, ...]:
        """
        Every catalogued engine that can be launched now, each with every compiler it has.
        """
        return tuple(
            line.engine for line in self.status(self.catalog.everything()) if line.installed
        )

    def status(self, engines: tuple[EngineId, ...] | None = None) -> list[EngineStatus]:
        """
        What is there of *engines*; left out: the newest version of each, and whatever is installed.
        """
        if engines is None:
            newest = {entry.versions[:1] for entry in self.catalog.entries.values()}
            engines = tuple(
                engine
                for engine in self.catalog.everything()
                if (engine.version,) in newest
                or self.catalog.entry(engine.name).obtained != "wheel"
                or self.folder(engine).exists()
            )
        return [self._line(engine) for engine in engines]

    def _line(self, engine: EngineId) -> EngineStatus:
        """
        The status of one engine.
        """
        line = EngineStatus(
            engine=engine,
            installed=True,
            package_version=engine.version,
            core_version=self.catalog.core_version(engine),
            families=self.catalog.families(engine),
            capabilities=self.catalog.capabilities(engine),
        )
        try:
            launch = self.launch(engine)
        except MissingEngineError as error:
            return msgspec.structs.replace(
                line, installed=False, missing=error.sentence, command=error.command
            )
        marker = self.marker(engine)
        return msgspec.structs.replace(
            line,
            core_version=line.core_version or self._asked_core(engine, launch.argv[0]),
            artifact_sha256=launch.artifact_sha256,
            library_sha256=marker.library_sha256 if marker else launch.artifact_sha256,
            interpreter=(
                f"{marker.interpreter.implementation} {marker.interpreter.version}"
                if marker
                else launch.argv[0]
            ),
        )

    def _asked_core(self, engine: EngineId, program: str) -> str:
        """
        `name@version` of the core of an engine on PATH, as its program tells; empty if it does not.
        """
        entry = self.catalog.entry(engine.name)
        version = printed(program, entry.core_arguments) if entry.core_arguments else ""
        return f"{entry.core}@{version}" if _VERSION.fullmatch(version) else ""


def _site(folder: Path) -> Path:
    """
    The folder of packages of a virtual environment.
    """
    found = sorted(folder.glob(_SITE))
    if len(found) != 1:
        message = f"{folder.name} holds {len(found)} folders of packages instead of one"
        raise InstallError(message)
    return found[0]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """
    Hold a lock among processes; the file stays.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """
    A folder that is gone afterwards unless it was renamed.
    """
    work = Path(tempfile.mkdtemp(dir=parent, prefix=".making-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


# ------------------------------------------------------------------------------ the usual one


def launch(engine: EngineId) -> Launch:
    """
    `Environments().launch(engine)`.
    """
    return Environments().launch(engine)


def install(engine: EngineId, report: Report) -> None:
    """
    `Environments().install(engine, report)`.
    """
    Environments().install(engine, report)


def status() -> list[EngineStatus]:
    """
    `Environments().status()`.
    """
    return Environments().status()
