"""
`recipe.toml`: from what a module is made, by which pinned toolchain, with which arguments.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct


class BadRecipeError(ValueError):
    """
    A recipe cannot be read; one sentence with the file's name.
    """


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """
    How the source text comes out of the weights.
    """

    kind: str
    """A name of `vectors.build.emit.KINDS`."""
    file: str
    weights: str = "weights.json"


class Compiler(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The toolchain: a package of the Python index at one version, and how its program is called.
    """

    package: str
    """`name==version`; installed alone, into an environment of its own."""
    arguments: list[str]
    """After `python`; `{source}` and `{output}` stand for the files."""


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A whole recipe.
    """

    schema: int
    source: Source
    compiler: Compiler


def read_recipe(path: Path) -> Recipe:
    """
    Read a recipe; raises BadRecipeError.
    """
    try:
        recipe = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe)
    except (OSError, ValueError) as error:
        message = f"{path}: this is not a recipe: {error}"
        raise BadRecipeError(message) from None
    if recipe.schema != 1:
        message = f"{path}: schema {recipe.schema} is not known, write schema = 1"
        raise BadRecipeError(message)
    if recipe.compiler.package.count("==") != 1:
        message = f"{path}: pin the package of [compiler] as name==version"
        raise BadRecipeError(message)
    return recipe
