"""
The engine catalogue: which engines, versions, compilers and settings there are.

`Catalog.load()` reads `catalog.toml`; `resolve("wasmer")` gives the complete engine id. Nothing
here looks at what is installed, but for engines that are found on PATH, whose version is theirs.
"""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from runners.records import BadEngineIdError, EngineId, Families

TABLE: Final = Path(__file__).parent / "catalog.toml"
CORE: Final = ("wasmtime", "wasmer", "pywasm")
"""Engines without which nothing is judged: a missing one is an error, never a smaller vote."""


class UnknownEngineError(LookupError):
    """
    An engine, version, compiler or setting is not in the catalogue.
    """


class BadCatalogError(ValueError):
    """
    `catalog.toml` contradicts itself or its shape.
    """


# ------------------------------------------------------------------------ shape of the file


class Interpreter(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which Python an engine's environment needs; *minimum* and *maximum* are like `3.10`.
    """

    implementations: tuple[Literal["cpython", "pypy"], ...]
    """In order of preference."""
    minimum: str
    maximum: str = ""
    """Last minor version that will do; empty: any."""


class Granted(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Capabilities that a compiler has from version *since* on.
    """

    since: str
    names: tuple[str, ...]


class Compiler(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One way in which an engine makes code, and whose code that shares.
    """

    generator: str
    runtime: str
    capabilities: tuple[Granted, ...]
    since: str = "0"


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A setting, its values, and where it may be used; the default value is never spelled out.
    """

    values: tuple[str, ...]
    compilers: tuple[str, ...]
    default: str = ""
    since: str = "0"


class Support(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A package that an engine needs beside its own, pinned, for versions *since* to *until*.
    """

    package: str
    version: str
    since: str
    until: str


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One engine of the catalogue.
    """

    title: str
    obtained: Literal["wheel", "path", "packed"]
    """Installed from an index, found on PATH, or carried by weavegate and packed whole."""
    packages: tuple[str, ...]
    default_compiler: str
    core: str
    libraries: tuple[str, ...]
    """Patterns, below the environment's packages, of the files that are the engine."""
    memory_reserve_mib: int
    versions: tuple[str, ...]
    """Newest first; empty for an engine found on PATH."""
    compilers: dict[str, Compiler]
    core_versions: dict[str, str] = {}
    """Package version -> core version, where they differ."""
    interpreter: Interpreter | None = None
    support: tuple[Support, ...] = ()
    environment: dict[str, str] = {}
    settings: dict[str, Setting] = {}
    needs: tuple[str, ...] = ()
    """Programs that must be on PATH to install it."""
    program: str = ""
    """The program on PATH that holds an engine which is not installed by weavegate."""
    core_arguments: tuple[str, ...] = ()
    """What to call that program with so that it prints its core's version and nothing else."""
    pack: tuple[str, ...] = ()
    """Files of other rooms, as paths below the root, that go into the worker."""
    sampled: bool = False
    """Slower than compiled code by orders of magnitude: votes on edge and sampled cases alone."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    engines: dict[str, Entry]


# ---------------------------------------------------------------------------------- reading


def order(version: str) -> tuple[int, ...]:
    """
    Key that sorts versions: their numbers, padded to four.
    """
    numbers = [int(part) for part in re.findall(r"[0-9]+", version)[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def program_version(program: str, path: str | None = None) -> str:
    """
    Version of a program on PATH, as `--version` tells it; empty when there is none.
    """
    found = shutil.which(program, path=path)
    match = re.search(r"[0-9]+(\.[0-9]+)+", printed(found, ("--version",))) if found else None
    return match[0] if match else ""


def printed(program: str, arguments: tuple[str, ...]) -> str:
    """
    What a program prints, without space around it; empty when it fails or takes too long.
    """
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, timeout=20, check=True, encoding="utf-8"
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()


class Catalog:
    """
    What `catalog.toml` says, as questions and answers.
    """

    def __init__(
        self, entries: dict[str, Entry], probe: Callable[[str], str] = program_version
    ) -> None:
        """
        *probe* tells the version of a program on PATH, or an empty text.
        """
        self.entries: Final = entries
        self._probe = probe
        for name, entry in entries.items():
            _check(name, entry)

    @classmethod
    def load(cls, path: Path = TABLE, probe: Callable[[str], str] = program_version) -> Catalog:
        """
        Read a catalogue; raises BadCatalogError when it is not one.
        """
        try:
            table = tomllib.loads(path.read_text("utf-8"))
            file = msgspec.convert(table, _File)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            message = f"{path.name} is not a catalogue of engines: {error}"
            raise BadCatalogError(message) from error
        return cls(file.engines, probe)

    # ------------------------------------------------------------------------------ resolving

    def resolve(self, text: str | EngineId) -> EngineId:
        """
        The complete engine id of *text*: version and compiler filled in, default settings left out.

        Raises UnknownEngineError in one sentence that names what there is instead. An engine
        that is found on PATH, and is not there, keeps an empty version.
        """
        try:
            asked = EngineId.parse(text) if isinstance(text, str) else text
        except BadEngineIdError as error:
            raise UnknownEngineError(str(error)) from error
        entry = self.entry(asked.name)
        version = self._version(asked, entry)
        compiler = self._compiler(asked, entry, version)
        settings = tuple(
            (key, value)
            for key, value in asked.settings
            if not self._is_default(asked, entry, key, value, version, compiler)
        )
        return EngineId(asked.name, version, compiler, settings)

    def entry(self, name: str) -> Entry:
        """
        The entry of an engine; raises UnknownEngineError.
        """
        entry = self.entries.get(name)
        if entry is None:
            message = f"no engine is called {name!r}: {_instead(name, tuple(self.entries))}"
            raise UnknownEngineError(message)
        return entry

    def _version(self, asked: EngineId, entry: Entry) -> str:
        if entry.obtained == "path":
            return asked.version or self._probe(entry.program)
        if not asked.version:
            return entry.versions[0]
        if asked.version in entry.versions:
            return asked.version
        oldest, newest = entry.versions[-1], entry.versions[0]
        label = f"{asked.name}@{asked.version}"
        if order(asked.version) < order(oldest):
            message = f"{label} is too old: the catalogue starts at {oldest}"
        elif order(asked.version) > order(newest):
            message = f"{label} is not catalogued: the newest is {newest}"
        else:
            message = f"{label} does not exist: {_neighbours(asked.version, entry.versions)}"
        raise UnknownEngineError(message)

    def _compiler(self, asked: EngineId, entry: Entry, version: str) -> str:
        compiler = asked.compiler or entry.default_compiler
        known = tuple(sorted(filter(None, entry.compilers)))
        if compiler not in entry.compilers:
            instead = _instead(compiler, known) if known else "it has no choice of compilers"
            message = f"{asked.name} has no compiler {compiler!r}: {instead}"
            raise UnknownEngineError(message)
        since = entry.compilers[compiler].since
        if version and order(version) < order(since):
            message = f"{asked.name}@{version} has no {compiler}: it can be chosen from {since} on"
            raise UnknownEngineError(message)
        return compiler

    def _is_default(
        self, asked: EngineId, entry: Entry, key: str, value: str, version: str, compiler: str
    ) -> bool:
        setting = entry.settings.get(key)
        label = f"{asked.name}@{version}" + (f"/{compiler}" if compiler else "")
        if setting is None:
            known = tuple(sorted(entry.settings))
            instead = _instead(key, known) if known else "it has no settings"
            message = f"{asked.name} has no setting {key!r}: {instead}"
        elif value not in setting.values:
            message = f"{key} cannot be {value!r}: {_instead(value, setting.values)}"
        elif compiler not in setting.compilers:
            message = f"{label} has no setting {key!r}: {', '.join(setting.compilers)} have it"
        elif order(version) < order(setting.since):
            message = f"{label} has no setting {key!r}: it came with {setting.since}"
        else:
            return value == setting.default
        raise UnknownEngineError(message)

    # --------------------------------------------------------------------- facts of an engine

    def families(self, engine: EngineId) -> Families:
        """
        Whose code a resolved engine shares.
        """
        compiler = self.entry(engine.name).compilers[engine.compiler]
        return Families(generator=compiler.generator, runtime=compiler.runtime)

    def core_version(self, engine: EngineId) -> str:
        """
        `name@version` of the core inside; empty for an engine that only tells when it runs.
        """
        entry = self.entry(engine.name)
        if entry.obtained == "path":
            return ""
        return f"{entry.core}@{entry.core_versions.get(engine.version, engine.version)}"

    def capabilities(self, engine: EngineId) -> tuple[str, ...]:
        """
        What a resolved engine can do, sorted; words of PROTOCOL.md.
        """
        compiler = self.entry(engine.name).compilers[engine.compiler]
        granted = (
            name
            for grant in compiler.capabilities
            if order(engine.version) >= order(grant.since)
            for name in grant.names
        )
        return tuple(sorted(set(granted)))

    def packages(self, name: str, version: str) -> tuple[tuple[str, str], ...]:
        """
        (package, version) of everything that is installed for an engine, support first.
        """
        entry = self.entry(name)
        support = tuple(
            (item.package, item.version)
            for item in entry.support
            if order(item.since) <= order(version) <= order(item.until)
        )
        return support + tuple((package, version) for package in entry.packages)

    def requirements(self) -> Iterator[tuple[str, str, str]]:
        """
        (package, version, oldest Python minor) of everything catalogued, each once.
        """
        seen: set[tuple[str, str]] = set()
        for name, entry in self.entries.items():
            for version in entry.versions:
                for pair in self.packages(name, version):
                    if pair not in seen and entry.interpreter is not None:
                        seen.add(pair)
                        yield (*pair, entry.interpreter.minimum)

    # ---------------------------------------------------------------------------- collections

    def core(self) -> tuple[EngineId, ...]:
        """
        The engines that must be there: three code families.
        """
        return tuple(self.resolve(name) for name in CORE)

    def everything(self) -> tuple[EngineId, ...]:
        """
        Every engine and version, each with every compiler it has, in the order of the file.
        """
        return tuple(
            EngineId(name, version, compiler)
            for name, entry in self.entries.items()
            for version in entry.versions or (self._version(EngineId(name), entry),)
            for compiler, facts in entry.compilers.items()
            if not version or order(version) >= order(facts.since)
        )


# --------------------------------------------------------------------------------- in words


def _instead(word: str, known: tuple[str, ...]) -> str:
    """
    The nearest of *known*, or all of them.
    """
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there is {', '.join(known)}" if len(known) == 1 else f"there are {', '.join(known)}"


def _neighbours(version: str, versions: tuple[str, ...]) -> str:
    """
    The catalogued versions just below and just above.
    """
    older = [known for known in versions if order(known) < order(version)]
    newer = [known for known in versions if order(known) > order(version)]
    return f"the nearest are {older[0]} and {newer[-1]}"


def _check(name: str, entry: Entry) -> None:
    """
    Refuse an entry that contradicts itself.
    """
    keys = [order(version) for version in entry.versions]
    if keys != sorted(set(keys), reverse=True):
        message = f"versions of {name} are not newest first, each once"
        raise BadCatalogError(message)
    if entry.default_compiler not in entry.compilers:
        message = f"{name} has no compiler {entry.default_compiler!r}, which is its default"
        raise BadCatalogError(message)
    strangers = set(entry.core_versions) - set(entry.versions)
    if strangers:
        message = f"core versions of {name} speak of unknown versions {sorted(strangers)}"
        raise BadCatalogError(message)
    if (entry.obtained == "packed") != bool(entry.pack and entry.versions):
        message = f"{name} needs versions and files to pack if it is packed, and only then"
        raise BadCatalogError(message)
    wheel = bool(entry.versions and entry.interpreter) and not entry.pack
    if (entry.obtained == "wheel") != wheel:
        message = f"{name} needs versions and an interpreter if it is obtained as a wheel"
        raise BadCatalogError(message)
    if entry.core_arguments and entry.obtained != "path":
        message = f"{name} asks a program for its core, but is not found on PATH"
        raise BadCatalogError(message)
    for key, setting in entry.settings.items():
        if set(setting.compilers) - set(entry.compilers):
            message = f"setting {key} of {name} speaks of unknown compilers"
            raise BadCatalogError(message)
