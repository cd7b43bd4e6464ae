"""
Engines of any catalogued version, whether or not they are installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from runners.catalog import Catalog
from runners.environments import Environments, MissingEngineError
from runners.launch import Launch
from runners.records import EngineId


@contextmanager
def at_hand(engine: EngineId, catalog: Catalog) -> Iterator[Launch]:
    """
    How to start an engine; one that is not installed is installed for the time being.

    Raises MissingEngineError, MissingInterpreterError, InstallError or NoArtifactError.
    """
    try:
        launch = Environments(catalog).launch(engine)
    except MissingEngineError:
        launch = None
    if launch is not None:
        yield launch
        return
    with TemporaryDirectory(prefix="weavegate-engine-") as folder:
        environments = Environments(catalog, home=Path(folder))
        environments.install(engine, lambda _: None)
        yield environments.launch(engine)
