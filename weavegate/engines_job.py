"""
`weavegate engines`: what is installed, what is missing, and how to get it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runners.catalog import Catalog
from runners.environments import EngineStatus, Environments


def install_engines(
    engines: Sequence[str], *, core: bool, again: bool, say: Callable[[str], None]
) -> None:
    """
    Install engines by name; all are resolved before the first is touched.
    """
    catalog = Catalog.load()
    environments = Environments(catalog)
    wanted = [catalog.resolve(text) for text in engines]
    wanted += list(catalog.core()) if core else []
    for engine in wanted:
        environments.install(engine, say, again=again)


def print_engines(console: Console) -> None:
    """
    One paragraph for each engine of the catalogue.
    """
    lines = Environments(Catalog.load()).status()
    for title, chosen in (
        ("Installed", [line for line in lines if line.installed]),
        ("Not installed", [line for line in lines if not line.installed]),
    ):
        if not chosen:
            continue
        console.print(Text(title, style="bold"))
        table = Table(box=None, pad_edge=False)
        for name in ("engine", "inside", "family", "what it can do"):
            table.add_column(name, overflow="fold")
        for line in chosen:
            cells = (str(line.engine), _inside(line), _family(line), _abilities(line))
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
        console.print()


def _inside(line: EngineStatus) -> str:
    """
    Versions and digests, or what is missing.
    """
    if not line.installed:
        return f"{line.missing}\n{line.command}".strip()
    parts = [f"core {line.core_version}" if line.core_version else "core unknown"]
    if line.artifact_sha256:
        parts.append(f"artefact {line.artifact_sha256[:16]}")
    if line.interpreter:
        parts.append(line.interpreter)
    return "\n".join(parts)


def _family(line: EngineStatus) -> str:
    return f"{line.families.generator} code\n{line.families.runtime} runtime"


def _abilities(line: EngineStatus) -> str:
    return ", ".join(name.removeprefix("proposal:") for name in line.capabilities)
