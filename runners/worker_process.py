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
from itertools import islice
from typing import Any, Final, Literal

from runners.answers import check_error
from runners.arena import Arena
from runners.cell import CellLimits, CellProcess, kill_cell, signal_name, start_cell
from runners.flight import Purpose
from runners.frames import FrameReader, Header, ProtocolBreachError, encode_frame
from runners.launch import Launch

_CHUNK: Final = 1 << 16
_TAIL: Final = 2000
_SHOWN: Final = 160
_TOGETHER: Final = 512
"""Frames in one write; systems take 1,024."""
"""Characters of a dead worker's last words that are shown: errors are named at their end."""

EXIT_GRACE_S: Final = 1.0
"""Time for a worker whose replies ended to be seen to exit by itself."""


@dataclass(frozen=True, slots=True)
class Owed:
    """
    A command that was sent and is not answered yet.
    """

    identifier: int
    command: str
    purpose: Purpose
    """What the answer is for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer, with the command it belongs to.
    """

    owed: Owed
    header: Header
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class HostTurn:
    """
    What a worker says while it carries out a command, because the guest called its host.
    """

    owed: Owed
    header: Header
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class Death:
    """
    Why a worker is no more.
    """

    cause: Literal["signal", "rule", "deadline"]
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
        self.answered: Owed | None = None
        """The command that was answered last."""
        self.loaded: dict[str, int] = {}
        """Modules it was sent, and the memory pages that each was granted."""
        self._reader = FrameReader()
        self._unsent: deque[memoryview] = deque()
        self._identifier = 0
        self._printed = 0
        self._tail = b""

    def send(
        self, command: str, fields: dict[str, Any], blobs: Sequence[bytes], purpose: Purpose
    ) -> None:
        """
        Queue a command; `flush` writes it, together with others that wait.
        """
        self._identifier += 1
        header = {"id": self._identifier, "command": command, **fields}
        self.owed.append(Owed(self._identifier, command, purpose))
        self._unsent.append(memoryview(encode_frame(header, blobs)))

    def send_turn(self, to: int, header: dict[str, Any], blobs: Sequence[bytes]) -> None:
        """
        Answer a turn of the worker's at once; `to` is the command that it carries out.
        """
        self._unsent.append(memoryview(encode_frame({"to": to, **header}, blobs)))
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
                written = os.writev(self.cell.commands, list(islice(self._unsent, _TOGETHER)))
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._unsent.clear()
                return
            while self._unsent and written >= len(self._unsent[0]):
                written -= len(self._unsent.popleft())
            if written:
                self._unsent[0] = self._unsent[0][written:]

    def read_replies(self) -> list[Answer | HostTurn]:
        """
        Read what has come; raises ProtocolBreachError, or EOFError when the stream has ended.

        Answers that came together with a breach are not handed out: a worker that answers twice
        is then still owed for the command that it answered.
        """
        try:
            data = os.read(self.cell.replies, 1 << 20)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        answers = [self._match(header, blobs) for header, blobs in self._reader.feed(data)]
        if self._reader.breach is not None:
            raise self._reader.breach
        return answers

    def _match(self, header: Header, blobs: list[bytes]) -> Answer | HostTurn:
        """
        Find the command that a frame belongs to; replies come in the order of commands.
        """
        identifier, last = header.get("id"), self.answered
        if type(identifier) is not int:
            identifier = None
        late = identifier is not None and last is not None and identifier <= last.identifier
        if not self.owed or late:
            rule = "unasked-reply"
            raise ProtocolBreachError(rule, str(header)[:100])
        owed = self.owed[0]
        if identifier != owed.identifier:
            rule = "reply-id"
            raise ProtocolBreachError(rule, f"{identifier} instead of {owed.identifier}")
        if "turn" in header:
            return HostTurn(owed, header, blobs)
        check_error(header)
        self.answered = self.owed.popleft()
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

    def kill(self, breach: ProtocolBreachError | None, *, deadline: bool = False) -> Death:
        """
        Kill and reap the worker and say why it is gone; its arena stays until `close`.

        Without a breach or a deadline its replies ended, and its exit status says why.
        """
        process = self.cell.process
        if breach is None and not deadline:
            # A process closes its pipes a moment before its parent can reap it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=EXIT_GRACE_S)
        ended = process.poll()
        self._drain_tail()
        code = kill_cell(self.cell)
        printed = self._tail.decode("utf-8", "replace").strip()[-_SHOWN:]
        if deadline:
            return Death("deadline", "", printed)
        if breach is not None:
            return Death("rule", breach.rule, str(breach))
        if ended is None:
            return Death("rule", "exited", "closed its replies and went on running")
        if code < 0:
            return Death("signal", signal_name(code), printed)
        if self._reader.inside_frame:
            return Death("rule", "frame-truncated", "the stream ended inside a frame")
        return Death("rule", "exited", f"status {code} {printed}".strip())

    def close(self) -> None:
        """
        Give the arena back.
        """
        self.arena.close()

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
