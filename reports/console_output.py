"""
Turns what would go to a terminal into text, without looking at a terminal.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable


def printed(show: Callable[[Console], None], *, width: int = 80, colour: bool = False) -> str:
    """
    Return what *show* prints on a console of *width* columns, trailing blanks removed.

    Without *colour* there are no escape sequences: what a pipe gets.
    """
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    show(console)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n")).rstrip("\n") + "\n"
