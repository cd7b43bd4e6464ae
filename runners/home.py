"""
Where weavegate keeps what it installs and packs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_data_path


def data_home(environment: Mapping[str, str] | None = None) -> Path:
    """
    The folder: `WEAVEGATE_HOME` if set, else the user's data folder of weavegate.
    """
    chosen = (os.environ if environment is None else environment).get("WEAVEGATE_HOME", "")
    return Path(chosen).absolute() if chosen else user_data_path("weavegate", appauthor=False)
