"""
Files that come with the program, by their names: chains, contracts of hosts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from weavegate.exits import Exit, WeavegateError

_VECTORS: Final = Path(__file__).resolve().parent.parent / "vectors"


def shipped(kind: str, name: str, title: str) -> Path:
    """
    A `.toml` that the user named, or the shipped one of a *kind*: a folder of `vectors`.

    *title* is what such a file is called. Raises WeavegateError where there is none: it tells all.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    path = _VECTORS / kind / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml")))
        sentence = f"there is no {title} {name!r}: name a .toml, or one of {known}"
        raise WeavegateError(sentence, Exit.USAGE)
    return path
