"""
Standard output that may be closed early, as by `| head`: the verdict is the same all the same.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Output(Console):
    """
    A console that interprets nothing in what it prints, and goes quiet when nobody reads on.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """
        Standard output, or standard error.
        """
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """
        Print no more; rich itself would end the process with the status of findings.
        """
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def say(self, text: str) -> None:
        """
        Write a text as it is, neither wrapped nor styled.
        """
        if self.quiet:
            return
        try:
            self.file.write(text + "\n")
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()
