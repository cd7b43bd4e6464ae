"""
Makes the models again from their weights: `python -m vectors.build.rebuild [NAME...] [--check]`.

Weights become source, source becomes wasm by the recipe's pinned toolchain, and the oracle writes
the expected bits. With `--check` nothing is written and every byte must be the one checked in.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vectors.build import expect, toolchains
from vectors.build.emit import KINDS
from vectors.build.recipe import BadRecipeError, Recipe, read_recipe
from vectors.build.toolchains import ToolchainError
from vectors.build.weights import BadWeightsError, Weights

VECTORS = Path(__file__).resolve().parent.parent
_SHA256 = re.compile(r'^(sha256\s*=\s*)"[0-9a-f]*"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    """
    The files of one model that are made, by name, with their bytes.
    """

    folder: Path
    files: dict[str, bytes]

    def stale(self) -> list[str]:
        """
        Names of the files that are missing or differ from what was made.
        """
        return [
            name
            for name, data in self.files.items()
            if not (self.folder / name).exists() or (self.folder / name).read_bytes() != data
        ]

    def write(self) -> None:
        """
        Put the files into the model's folder.
        """
        for name, data in self.files.items():
            (self.folder / name).write_bytes(data)


def find_models(names: Sequence[str] = ()) -> list[Path]:
    """
    Folders of the named models, or of all that have a recipe, sorted by name.

    Raises BadRecipeError for a name that no model has.
    """
    folders = {path.parent.name: path.parent for path in VECTORS.glob("*/*/recipe.toml")}
    for name in names:
        if name not in folders:
            message = f"there is no model {name}; there are {', '.join(sorted(folders))}"
            raise BadRecipeError(message)
    return [folders[name] for name in sorted(names or folders)]


def make_source(folder: Path, recipe: Recipe) -> str:
    """
    The source text that the weights of a model give.
    """
    emit = KINDS.get(recipe.source.kind)
    if emit is None:
        message = f"{folder / 'recipe.toml'}: no kind {recipe.source.kind}; there are "
        raise BadRecipeError(message + ", ".join(sorted(KINDS)))
    return emit(Weights.read(folder / recipe.source.weights))


def make(folder: Path, cache: Path) -> Made:
    """
    Make source, module, digest and expected rows of one model, without touching its folder.
    """
    recipe = read_recipe(folder / "recipe.toml")
    text = make_source(folder, recipe)
    python = toolchains.obtain(recipe.compiler.package, cache)
    with tempfile.TemporaryDirectory(prefix="weavegate-source-") as scratch:
        source = Path(scratch) / recipe.source.file
        source.write_text(text, encoding="utf-8", newline="\n")
        module = toolchains.compile_module(python, recipe.compiler.arguments, source)
        expected = Path(scratch) / "expected.json"
        expect.write_expected(folder / "model.toml", expected)
        rows = expected.read_bytes()
    digest = hashlib.sha256(module).hexdigest()
    manifest = (folder / "model.toml").read_text(encoding="utf-8")
    stamped, count = _SHA256.subn(rf'\g<1>"{digest}"', manifest)
    if count != 1:
        message = f'{folder / "model.toml"}: write exactly one line sha256 = "..." in [module]'
        raise BadRecipeError(message)
    files = {
        recipe.source.file: text.encode(),
        "model.wasm": module,
        "model.toml": stamped.encode(),
        "expected.json": rows,
    }
    return Made(folder, files)


def main(words: Sequence[str] | None = None) -> int:
    """
    Rebuild or check; exit code 0 when all is as it should be, 1 when bytes differ, 2 on failure.
    """
    parser = argparse.ArgumentParser(prog="python -m vectors.build.rebuild")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all when none is given")
    parser.add_argument("--check", action="store_true", help="write nothing, compare every byte")
    parser.add_argument("--cache", type=Path, default=toolchains.cache_folder())
    chosen = parser.parse_args(words)
    differs = False
    try:
        for folder in find_models(chosen.names):
            made = make(folder, chosen.cache)
            stale = made.stale()
            if not chosen.check:
                made.write()
            differs = differs or bool(stale)
            verdict = f"differs: {', '.join(stale)}" if stale else "same bytes"
            print(f"{folder.name}: {verdict}", flush=True)
    except (ToolchainError, BadRecipeError, BadWeightsError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if chosen.check and differs else 0


if __name__ == "__main__":
    sys.exit(main())
