"""
`weavegate fetch`: gets a module that the repository describes but does not hold.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path, PurePosixPath
from typing import Final

import click
import msgspec

from weavegate.exits import EXIT_HELP, Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.terminal import Output

RECIPE: Final = "fetch.toml"
_NPM_TIMEOUT_S: Final = 120
_MOST_BYTES: Final = 256 << 20
_PACKAGE: Final = re.compile(r"(@[a-z0-9._-]+/)?[a-z0-9._-]+\Z")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]+\Z")
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Where a module comes from: one file of one archive of the npm registry.
    """

    schema: int
    package: str
    version: str
    archive_sha256: str
    member: str
    """Path of the module inside the archive."""
    module: str
    """File to write, beside the recipe."""
    module_sha256: str
    license: str
    """SPDX identifier of what the package says, for whoever passes the module on."""


def read_recipe(folder: Path) -> Recipe:
    """
    The recipe of a folder; raises WeavegateError.
    """
    path = folder / RECIPE
    try:
        recipe = msgspec.convert(tomllib.loads(path.read_text("utf-8")), type=Recipe)
    except FileNotFoundError as error:
        sentence = f"{path}: there is no recipe: name a folder such as vectors/foreign/rnnoise"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except (OSError, ValueError) as error:
        raise WeavegateError(f"{path}: is no recipe: {error}", Exit.USAGE) from error
    wrong = [
        name
        for name, fits in (
            ("schema", recipe.schema == 1),
            ("package", _PACKAGE.match(recipe.package)),
            ("version", _VERSION.match(recipe.version)),
            ("archive_sha256", _SHA256.match(recipe.archive_sha256)),
            ("module_sha256", _SHA256.match(recipe.module_sha256)),
            ("module", PurePosixPath(recipe.module).name == recipe.module),
        )
        if not fits
    ]
    if wrong:
        raise WeavegateError(f"{path}: `{wrong[0]}` is not what it must be", Exit.USAGE)
    return recipe


def fetch(folder: Path, npm: str = "npm") -> tuple[Path, bool]:
    """
    Path of the module, and whether it had to be fetched; raises WeavegateError.

    Nothing is written unless archive and module have the digests that the recipe names.
    """
    recipe = read_recipe(folder)
    target = folder / recipe.module
    if target.is_file() and _sha256(target.read_bytes()) == recipe.module_sha256:
        return target, False
    with tempfile.TemporaryDirectory(prefix="weavegate-") as scratch:
        archive = _packed(recipe, Path(scratch), npm)
        _require(str(archive.name), archive.read_bytes(), recipe.archive_sha256)
        data = _member(archive, recipe.member)
    _require(recipe.member, data, recipe.module_sha256)
    write_atomically(target, data)
    return target, True


def _packed(recipe: Recipe, scratch: Path, npm: str) -> Path:
    """
    The archive, as the npm registry that the user has configured gives it.
    """
    program = shutil.which(npm)
    if program is None:
        sentence = f"{npm} is not on PATH: it comes with Node.js and knows your package registry"
        raise WeavegateError(sentence, Exit.UNDECIDED)
    wanted = f"{recipe.package}@{recipe.version}"
    command = [program, "pack", wanted, "--json", "--ignore-scripts", "--pack-destination"]
    try:
        done = subprocess.run(
            [*command, str(scratch)],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        sentence = f"{wanted}: the package registry gave no answer in {_NPM_TIMEOUT_S} s"
        raise WeavegateError(sentence, Exit.UNDECIDED) from error
    archives = sorted(scratch.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        sentence = f"{wanted}: npm could not fetch it ({_reason(done.stdout, done.stderr)})"
        raise WeavegateError(sentence, Exit.UNDECIDED)
    return archives[0]


def _reason(output: bytes, errors: bytes) -> str:
    """
    What npm says, in a few words.
    """
    try:
        said = json.loads(output)["error"]["summary"]
    except (ValueError, KeyError, TypeError):
        said = errors.decode("utf-8", "replace").strip()
    first = next((line for line in str(said).splitlines() if line.strip()), "no reason given")
    return first.removeprefix("npm error ").removeprefix("npm ERR! ")[:200]


def _member(archive: Path, name: str) -> bytes:
    """
    One file of an archive whose digest is right.
    """
    with tarfile.open(archive, "r:gz") as opened:
        try:
            stream = opened.extractfile(name)
        except KeyError:
            stream = None
        data = b"" if stream is None else stream.read(_MOST_BYTES + 1)
    if not data or len(data) > _MOST_BYTES:
        raise WeavegateError(f"{archive.name}: has no usable file {name}", Exit.USAGE)
    return data


def _require(name: str, data: bytes, sha256: str) -> None:
    found = _sha256(data)
    if found != sha256:
        sentence = (
            f"{name}: its SHA-256 is {found}, the recipe wants {sha256}: the registry gives"
            " something else than was certified, so nothing was written"
        )
        raise WeavegateError(sentence, Exit.FINDINGS)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@click.command("fetch", epilog=EXIT_HELP)
@click.argument("folder", type=click.Path(path_type=Path))
def fetch_command(folder: Path) -> None:
    """
    Get the module of FOLDER, which has a manifest and a recipe but no module.

    The recipe names a package, its version, and the SHA-256 of the archive and of the module in it.
    The archive comes from the npm registry that you have configured, through npm; no script of the
    package is run. Exit status 1: what came has another digest.

    \b
    Examples:
      weavegate fetch vectors/foreign/rnnoise
      weavegate certify vectors/foreign/rnnoise
    """  # noqa: D301 - click looks for the backspace itself
    read_recipe(folder)
    output = Output(stderr=True)
    output.say(f"asking npm for what {folder} describes ...")
    path, fetched = fetch(folder)
    Output().say(f"{path}: {'fetched and checked' if fetched else 'is there already, and right'}")
