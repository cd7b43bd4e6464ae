"""
Artefacts: which wheel or source archive an environment is made from, and its SHA-256.

`python -m runners.artifacts` writes `artifacts.toml` anew from the versions in `catalog.toml`,
asking the configured package index through uv.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from msgspec import Struct
from uv import find_uv_bin

from runners.catalog import Catalog

HERE: Final = Path(__file__).parent
TABLE: Final = HERE / "artifacts.toml"

_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
_LINUX = re.compile(r"manylinux[0-9_]*_(x86_64|aarch64)\Z")


class NoArtifactError(Exception):
    """
    Nothing of a catalogued version can be installed on this machine.
    """


class Artifact(Struct, frozen=True):
    """
    One file of a package index.
    """

    package: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """
        The line of a requirements file that admits this artefact alone.
        """
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def is_source(self) -> bool:
        """
        Whether the artefact has to be built.
        """
        return not self.file.endswith(".whl")


def load_table(path: Path = TABLE) -> tuple[Artifact, ...]:
    """
    Read the table of artefacts.
    """
    table = tomllib.loads(path.read_text("utf-8"))
    return tuple(
        Artifact(package, version, row["file"], row["sha256"])
        for package, versions in table.items()
        for version, rows in versions.items()
        for row in rows
    )


def fits(file: str, python_tag: str, machine: str) -> bool:
    """
    Tell whether *file* can be installed for an interpreter such as `cp310` on a machine such as
    `x86_64`; a source archive always can.
    """
    match = _WHEEL.match(file)
    if match is None:
        return True
    pythons = set(match["python"].split("."))
    platforms = match["platform"].split(".")
    if not pythons & {"py3", python_tag} or match["abi"] not in _abis(python_tag):
        return False
    return any(platform == "any" or platform.endswith("_" + machine) for platform in platforms)


def _abis(python_tag: str) -> set[str]:
    """
    ABI tags that the interpreter of *python_tag* can load.
    """
    pypy = {"pp310": "pypy310_pp73", "pp311": "pypy311_pp73"}
    return {"none", pypy.get(python_tag, python_tag)}


def choose(
    table: tuple[Artifact, ...], package: str, version: str, python_tag: str, machine: str
) -> Artifact:
    """
    The one artefact of *package* that fits; raises NoArtifactError when there is none.
    """
    known = [row for row in table if (row.package, row.version) == (package, version)]
    fitting = [row for row in known if fits(row.file, python_tag, machine)]
    if not fitting:
        message = (
            f"no artefact of {package} {version} is catalogued for {python_tag} on {machine}: "
            f"known are {', '.join(row.file for row in known) or 'none'}"
        )
        raise NoArtifactError(message)
    return min(fitting, key=lambda row: (row.is_source, row.file))


# ------------------------------------------------------------------------ writing the table


def wheels_or_source(files: dict[str, str]) -> dict[str, str]:
    """
    The files worth cataloguing: Linux wheels, else pure wheels, else the source archive.

    Pure wheels beside Linux ones are stubs: wasmer's are empty, wasmtime's hold a Windows library.
    """
    wheels = {file: match for file in files if (match := _WHEEL.match(file))}
    linux = {file for file, match in wheels.items() if _LINUX.search(match["platform"])}
    pure = {file for file, match in wheels.items() if match["platform"] == "any"}
    source = {file for file in files if file not in wheels}
    return {file: files[file] for file in sorted(linux or pure or source)}


def ask_index(package: str, version: str, python: str) -> dict[str, str]:
    """
    File name -> SHA-256 of what the index has of *package*, as uv reports it.
    """
    command = [find_uv_bin(), "pip", "compile", "--quiet", "--universal", "--no-deps"]
    command += ["--no-header", "--format", "pylock.toml", "--python-version", python, "-"]
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        command,
        input=f"{package}=={version}\n",
        capture_output=True,
        check=True,
        encoding="utf-8",
        env=environment,
    )
    rows: dict[str, str] = {}
    for entry in tomllib.loads(done.stdout)["packages"]:
        sources = [entry["sdist"]] if "sdist" in entry else []
        for row in [*entry.get("wheels", []), *sources]:
            name = row.get("name") or row["url"].rpartition("/")[2]
            rows[name] = row["hashes"]["sha256"]
    return rows


def write_table(catalog: Catalog, path: Path = TABLE) -> None:
    """
    Write the table for all versions of *catalog*.
    """
    lines = ["# Written by `python -m runners.artifacts`; do not edit.", ""]
    for package, version, python in catalog.requirements():
        rows = wheels_or_source(ask_index(package, version, python))
        for file, sha256 in rows.items():
            lines += [f'[[{package}."{version}"]]', f'file = "{file}"', f'sha256 = "{sha256}"', ""]
    path.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    write_table(Catalog.load())
    sys.stdout.write(f"wrote {TABLE}\n")
