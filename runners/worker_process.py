"""
The controller's side of one worker: its cell, its arena, and the commands it still owes answers to.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runners.arena import Arena
from runners.cell import CellLimits, CellProcess, kill_cell, signal_name, start_cell
from runners.frames import FrameReader, ProtocolBreachError, encode_frame
from runners.launch import Launch

_CHUNK: Final = 1 << 16
_TAIL: Final = 2000


@dataclass(frozen=True, slots=True)
class Owed:
    """
    A command that was sent and is not answered yet.
    """

    identifier: int
    command: str
    context: Any
    """Whatever the pool wants back with the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer, with the command it belongs to.
    """

    owed: Owed
    header: dict[str, Any]
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class Death:
    """
    Why a worker is no more.
    """

    cause: str
    """`signal`, `rule` or `deadline`."""
    word: str
    """Name of the signal, or of the broken rule."""
    text: str
    """What it printed last, or what was seen."""


class WorkerProcess:
    """
    One running worker. Nothing here blocks; the pool calls in when descriptors are ready.
    """

    def __init__(self, launch: Launch, limits: CellLimits, arena_bytes: int) -> None:
        """
        Start the worker; raises OSError when its program cannot be started.
        """
        self.launch = launch
        self.limits = limits
        self.arena = Arena(arena_bytes)
        try:
            self.cell: CellProcess = start_cell(launch, limits, self.arena.descriptor)
        except OSError:
            self.arena.close()
            raise
        self.owed: deque[Owed] = deque()
        self.loaded: set[str] = set()
        self._reader = FrameReader()
        self._unsent: deque[memoryview] = deque()
        self._identifier = 0
        self._printed = 0
        self._tail = b""

    def send(
        self, command: str, fields: dict[str, Any], blobs: Sequence[bytes] = (), context: Any = None
    ) -> None:
        """
        Queue a command and write as much of it as the pipe takes.
        """
        self._identifier += 1
        header = {"id": self._identifier, "command": command, **fields}
        self.owed.append(Owed(self._identifier, command, context))
        self._unsent.append(memoryview(encode_frame(header, blobs)))
        self.flush()

    @property
    def unsent(self) -> bool:
        """
        Whether bytes wait for the pipe to take them.
        """
        return bool(self._unsent)

    def flush(self) -> None:
        """
        Write what the pipe takes; a closed pipe is noticed when replies end.
        """
        while self._unsent:
            try:
                written = os.write(self.cell.commands, self._unsent[0])
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._unsent.clear()
                return
            if written == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][written:]

    def read_replies(self) -> list[Answer]:
        """
        Read what has come; raises ProtocolBreachError, or EOFError when the stream has ended.
        """
        try:
            data = os.read(self.cell.replies, 1 << 20)
        except BlockingIOError:
            return []
        if not data:
            if self._reader.inside_frame and self.cell.process.poll() in (None, 0):
                rule = "frame-truncated"
                raise ProtocolBreachError(rule, "the stream ended inside a frame")
            raise EOFError
        return [self._match(header, blobs) for header, blobs in self._reader.feed(data)]

    def _match(self, header: dict[str, Any], blobs: list[bytes]) -> Answer:
        """
        Find the command that a reply answers; replies come in the order of commands.
        """
        if not self.owed:
            rule = "unasked-reply"
            raise ProtocolBreachError(rule, str(header)[:100])
        owed = self.owed[0]
        if header.get("id") != owed.identifier or isinstance(header.get("id"), bool):
            rule = "reply-id"
            raise ProtocolBreachError(rule, f"{header.get('id')!r} instead of {owed.identifier}")
        error = header.get("error")
        if header.get("ok") is not True and not (
            isinstance(error, dict)
            and all(isinstance(error.get(key), str) for key in ("stage", "rule", "text"))
        ):
            rule = "reply-shape"
            raise ProtocolBreachError(rule, "neither ok nor a whole error")
        self.owed.popleft()
        self._printed = 0
        return Answer(owed, header, blobs)

    def read_output(self) -> bool:
        """
        Drain what the engine prints; False at the end. Raises ProtocolBreachError for a flood.
        """
        try:
            data = os.read(self.cell.output, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._printed += len(data)
        self._tail = (self._tail + data)[-_TAIL:]
        if self._printed > self.limits.output_bytes:
            rule = "output-flood"
            raise ProtocolBreachError(rule, f"more than {self.limits.output_bytes} bytes")
        return True

    def bury(self, breach: ProtocolBreachError | None, *, deadline: bool = False) -> Death:
        """
        Kill and reap the worker and say why it is gone.
        """
        if breach is None and not deadline:
            # The reply stream ended by itself: let the exit status say why, if it comes at once.
            self._await_exit()
        ended = self.cell.process.poll()
        self._drain_tail()
        code = kill_cell(self.cell)
        self.arena.close()
        printed = self._tail.decode("utf-8", "replace").strip()
        if deadline:
            return Death("deadline", "", printed)
        if breach is not None:
            return Death("rule", breach.rule, str(breach))
        if ended is None or code < 0:
            return Death("signal", signal_name(code), printed)
        return Death("rule", "exited", f"status {code} {printed}".strip())

    def _await_exit(self) -> None:
        """
        Give a worker whose replies ended a moment to be reaped with its own status.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.cell.process.wait(timeout=5)

    def _drain_tail(self) -> None:
        """
        Read the last words that still lie in the pipe.
        """
        for _ in range(16):
            try:
                data = os.read(self.cell.output, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            self._tail = (self._tail + data)[-_TAIL:]

    def dismiss(self) -> None:
        """
        End a healthy worker: it is idle, so nothing is lost by killing it.
        """
        kill_cell(self.cell)
        self.arena.close()
