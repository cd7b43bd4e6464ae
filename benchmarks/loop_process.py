"""
A loop in a process of its own: on an engine's interpreter, with nothing of a worker around it.

It is told its job in one line of JSON; for each empty line after that it makes one pass, and
answers with one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runners.launch import Launch

LOOPS = Path(__file__).parent / "bare_loops"


class BenchmarkError(Exception):
    """
    Something was measured that is not what it should be; the message says what.
    """


class LoopProcess:
    """
    One loop; a context manager, at whose end the process is killed.
    """

    def __init__(
        self, launch: Launch, loop: str, job: Mapping[str, Any] | None = None, *,
        quiet: bool = False,
    ) -> None:  # fmt: skip
        """
        Start *loop*, a file of `bare_loops`, as the engine's worker is started, with its *job*.

        One without a job waits to be asked.

        *quiet* drops what it says when it fails.
        """
        self.engine = launch.engine
        self._process = subprocess.Popen(
            [*launch.argv[:-1], str(LOOPS / loop)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            env=dict(launch.environment),
            text=True,
        )
        if job is not None:
            self._say(json.dumps(job))

    def __enter__(self) -> Self:
        """
        Return the loop itself.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        End the process.
        """
        with self._process:
            self._process.kill()

    def _say(self, line: str) -> None:
        if self._process.stdin is None:  # pragma: no cover - it was asked for
            raise AssertionError
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def start(self) -> None:
        """
        Have it make one pass; `answer` waits for it. Raises BenchmarkError when it has ended.
        """
        self._tell("")

    def ask(self, request: Mapping[str, Any]) -> Any:
        """
        What one request gave; raises BenchmarkError when the loop failed or has ended.
        """
        self._tell(json.dumps(request))
        return self.answer()

    def _tell(self, line: str) -> None:
        try:
            self._say(line)
        except BrokenPipeError as error:
            message = f"the loop of {self.engine} ended before it was asked; its words are above"
            raise BenchmarkError(message) from error

    def answer(self) -> Any:
        """
        What the pass gave, as JSON says it; raises BenchmarkError when the loop failed.
        """
        if self._process.stdout is None:  # pragma: no cover - it was asked for
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            message = f"the loop of {self.engine} failed; its own words are above"
            raise BenchmarkError(message)
        return json.loads(line)
