"""
The controller's side of host calls: takes what a worker asks while it runs a case, and answers.

Nothing here waits. A host's answer is a generator of steps; a step is sent to the worker, and the
answer goes on when the worker's turn has come back.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from runners.bits import WIDTH_BYTES
from runners.frames import MAX_BLOB_BYTES, Header, ProtocolBreachError
from runners.hosts.host import (
    Answer,
    Grow,
    Host,
    HostCall,
    HostMaker,
    HostStopError,
    OutOfBoundsError,
    Peek,
    Poke,
    Reenter,
    ReentryError,
    Step,
    StepReply,
)
from runners.hosts.recording import KEPT_BYTES, RecordedCall, RecordedStep
from runners.interface import FunctionType, ImportedFunction, Interface
from runners.status import Status

MOST_CALLS: Final = 10_000
"""Host calls that one case may make; the one beyond ends it as `trapped(host error)`."""
MOST_BYTES: Final = 64 << 20
"""Bytes that hosts may read and write for one case; what goes beyond ends it in the same way."""
MOST_CUT: Final = 3
"""Cases of a command that one of these limits may end before others are not answered any more."""
LEFT_OUT: Final = f"not run: {MOST_CUT} cases before it asked more of their host than one may"
MOST_REENTRIES: Final = 8
"""Calls of exports by the host that may be open at a time, each within the one before."""
MOST_PAGES: Final = 65536
TEXT_LIMIT: Final = 200
"""Most characters of a reason."""

OPENING: Final = -1
"""The row of what an instance calls while it is opened by a command of its own."""


class Turn(NamedTuple):
    """
    A frame for a worker that waits for its host: a header without `to`, and its blob.
    """

    header: dict[str, Any]
    blobs: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Open:
    """
    A call that is being answered.
    """

    row: int
    record: RecordedCall
    answer: Answer
    waits_for: Step | None = None
    type: FunctionType | None = None
    """Type of the export that is re-entered."""
    over: str = ""
    """Why the call cannot be answered any more, whatever its host says."""


@dataclass(slots=True)
class RowHost:
    """
    The host of one case, and what was asked of it.
    """

    host: Host | None
    calls: int = 0
    moved: int = 0
    """Bytes read and written for it."""
    stopped: str = ""
    """Why the host ended the case; empty if it did not."""
    left_out: bool = False
    """Not answered at all, because too many cases before were cut."""
    log: list[RecordedCall] = field(default_factory=list)


class Hosting:
    """
    Answers the host calls of one command: a batch, or the opening of an instance.
    """

    def __init__(
        self,
        interface: Interface,
        maker: HostMaker | None,
        *,
        count: int,
        logged: bool,
        most_calls: int = MOST_CALLS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """
        Serve `count` rows, 0 for an opening; without a maker every call is refused.
        """
        self.interface, self.maker, self.count = interface, maker, count
        self.logged, self.most_calls, self.most_bytes = logged, most_calls, most_bytes
        self.rows: dict[int, RowHost] = {}
        self.cut: set[int] = set()
        """Rows that a limit ended."""
        self._open: list[_Open] = []
        self._untouched: list[str | None] = []

    def check_closed(self) -> None:
        """
        Raise ProtocolBreachError if the command is answered while its host is being asked.
        """
        if self._open:
            raise _breach("host-turn", "an answer while its host was asked for something")

    def check(self, statuses: NDArray[np.uint8]) -> None:
        """
        Look at a finished batch's status bytes; raises ProtocolBreachError.
        """
        for row, host in self.rows.items():
            if host.stopped and statuses[row] == Status.RETURNED:
                rule = "host-turn"
                raise ProtocolBreachError(rule, "a case returned that its host had ended", row)

    def complaint(self, row: int) -> str | None:
        """
        What the host of a case that returned has against it.
        """
        if row not in self.rows:
            # Hosts of one maker are alike, and so are their words when nothing was asked of them.
            if not self._untouched:
                host = None if self.maker is None else self.maker.host()
                self._untouched.append(_complaint(host))
            return self._untouched[0]
        return _complaint(self.rows[row].host)

    def stopped(self, row: int) -> str:
        """
        Why the host of a case ended it; empty if it did not.
        """
        return self.rows[row].stopped if row in self.rows else ""

    def log(self, row: int) -> list[RecordedCall]:
        """
        What was asked of the host of a case; empty unless hosts are logged.
        """
        return self.rows[row].log if row in self.rows else []

    def left_out(self, row: int) -> bool:
        """
        Whether a case was not answered, so that what became of it means nothing.
        """
        return row in self.rows and self.rows[row].left_out

    def turn(self, header: Header, blobs: list[bytes], row: int) -> Turn:
        """
        Answer a turn of the worker, which runs `row` as far as its progress tells.

        Raises ProtocolBreachError for a turn that makes no sense.
        """
        kind = header.get("turn")
        if kind == "host_call":
            return self._called(header, blobs, row)
        top = self._open[-1] if self._open else None
        asked = None if top is None else _NAMES.get(type(top.waits_for))
        if top is None or asked is None or kind != asked:
            raise _breach("host-turn", f"{str(kind)[:40]} when the host asked for {asked}")
        return self._stepped(top, header, blobs)

    # ---------------------------------------------------------------------------- calls

    def _called(self, header: Header, blobs: list[bytes], row: int) -> Turn:
        """
        A new call.
        """
        if self._open and not isinstance(self._open[-1].waits_for, Reenter):
            raise _breach("host-turn", "a call while the host waits for something else")
        function = self._known(header, blobs)
        said = header.get("row")
        if said != (None if row == OPENING else row) or not OPENING <= row < max(self.count, 0):
            raise _breach("host-call", f"a call of row {str(said)[:40]} while row {row} runs")
        arguments = _words(blobs[0], function.type.parameters)
        if arguments is None:
            raise _breach("host-call", f"arguments that {function.name} does not take")
        host = self._host_of(row)
        host.calls += 1
        parameters, results = function.type
        call = HostCall(function.module, function.name, parameters, results, arguments)
        record = RecordedCall(call)
        if self.logged:
            host.log.append(record)
        opened = _Open(row, record, _answer(host.host, call))
        self._open.append(opened)
        if host.left_out:
            opened.over = LEFT_OUT
        elif host.calls > self.most_calls:
            self._cut(opened, f"more than {self.most_calls:,} host calls")
        return self._go_on(opened, lambda: next(opened.answer))

    def _cut(self, top: _Open, words: str) -> None:
        """
        Have the case end with this call, for what it asked of its host.
        """
        top.over = words
        self.cut.add(top.row)

    def _known(self, header: Header, blobs: list[bytes]) -> ImportedFunction:
        """
        The import that is called; raises ProtocolBreachError.
        """
        module, name = header.get("module"), header.get("name")
        if not isinstance(module, str) or not isinstance(name, str) or len(blobs) != 1:
            raise _breach("host-call", "a call without module, name or arguments")
        function = self.interface.imported(module, name)
        if function is None:
            raise _breach("host-call", f"a call of {module}.{name}, which is not imported"[:200])
        return function

    def _host_of(self, row: int) -> RowHost:
        found = self.rows.get(row)
        if found is None:
            host = None if self.maker is None else self.maker.host()
            found = self.rows[row] = RowHost(host)
            found.left_out = len(self.cut) >= MOST_CUT
        return found

    def _go_on(self, top: _Open, resume: Callable[[], Step]) -> Turn:
        """
        Let an answer run to its next step or its end.
        """
        while True:
            try:
                if top.over:
                    top.answer.close()
                    return self._stop(top, top.over)
                step = resume()
            except StopIteration as end:
                return self._return(top, end.value)
            except HostStopError as stop:
                return self._stop(top, str(stop) or type(stop).__name__)
            except Exception as error:  # noqa: BLE001 - a fault of a host is the case's, not the run's
                return self._stop(top, f"the host failed: {type(error).__name__}: {error}")
            turn = self._ask(top, step)
            if isinstance(turn, Turn):
                return turn
            resume = _throwing(top.answer, turn)

    def _return(self, top: _Open, results: object) -> Turn:
        """
        The call's results, if they are such.
        """
        types = top.record.call.results
        if not _fit(results, types):
            shown = ", ".join(types) or "nothing"
            return self._stop(top, f"the host answered {str(results)[:60]}, due are {shown}")
        top.record.results = results
        self._open.pop()
        return Turn({"turn": "host_return"}, (struct.pack(f"<{len(results)}Q", *results),))

    def _stop(self, top: _Open, text: str) -> Turn:
        """
        End the case.
        """
        call = top.record.call
        reason = f"{call.module}.{call.name}: {text}"[:TEXT_LIMIT]
        self._open.pop()
        host = self.rows[top.row]
        host.stopped = host.stopped or reason
        return Turn({"turn": "host_trap", "text": reason})

    # ---------------------------------------------------------------------------- steps

    def _ask(self, top: _Open, step: object) -> Turn | HostStopError:
        """
        The frame that carries a step to the worker, or why it cannot be taken.
        """
        if not _is_step(step):
            return HostStopError(f"the host took a step that is none: {str(step)[:60]}")
        if self.logged:
            top.record.steps.append(self._failed(step))
        turn = self._frame(top, step)
        if not isinstance(turn, Turn):
            return turn
        host = self.rows[top.row]
        host.moved += _bytes_of(step)
        if host.moved > self.most_bytes:
            self._cut(top, f"more than {self.most_bytes:,} bytes read and written for it")
            return HostStopError(top.over)
        top.waits_for = step
        return turn

    def _frame(self, top: _Open, step: Step) -> Turn | HostStopError:
        """
        The same of a step that is one.
        """
        match step:
            case Peek(address, size):
                if address < 0 or not 0 <= size <= MAX_BLOB_BYTES:
                    return OutOfBoundsError(f"a peek at {address}+{size}")
                turn = Turn({"turn": "peek", "address": address, "size": size})
            case Poke(address, data):
                if address < 0 or len(data) > MAX_BLOB_BYTES:
                    return OutOfBoundsError(f"a poke at {address}+{len(data)}")
                turn = Turn({"turn": "poke", "address": address}, (data,))
            case Grow(pages):
                if not 0 <= pages <= MOST_PAGES:
                    return OutOfBoundsError(f"memory cannot grow by {pages} pages")
                turn = Turn({"turn": "grow", "pages": pages})
            case Reenter(export, arguments):
                return self._reenter(top, export, arguments)
        return turn

    def _failed(self, step: Step) -> RecordedStep:
        """
        The record of a step that has not come back yet.
        """
        if isinstance(step, Reenter):
            described = self.interface.exported(step.export)
            if described is not None and _fit(step.arguments, described.parameters):
                types = described.results, described.parameters
                return RecordedStep(step, None, True, *types)
        return RecordedStep(step, None, failed=True)

    def _reenter(self, top: _Open, export: str, arguments: tuple[int, ...]) -> Turn | HostStopError:
        """
        The frame of a re-entry.
        """
        described = self.interface.exported(export)
        if described is None:
            return ReentryError(f"there is no exported function {export}")
        if not _fit(arguments, described.parameters):
            return ReentryError(f"{export} does not take {str(arguments)[:60]}")
        if len(self._open) > MOST_REENTRIES:
            return ReentryError(f"{export} is re-entered more than {MOST_REENTRIES} deep")
        top.type = described
        header = {
            "turn": "reenter",
            "export": export,
            "parameters": described.parameters,
            "results": described.results,
        }
        return Turn(header, (struct.pack(f"<{len(arguments)}Q", *arguments),))

    def _stepped(self, top: _Open, header: Header, blobs: list[bytes]) -> Turn:
        """
        A step came back.
        """
        step, described = top.waits_for, top.type
        top.waits_for = top.type = None
        error = _error_of(header)
        if error is not None:
            stop: HostStopError = OutOfBoundsError(f"{_NAMES[type(step)]}: {error}")
            if isinstance(step, Reenter):
                stop = ReentryError(f"{step.export}: {error}")
                if header["error"]["stage"] == "trap":
                    # What the guest left undone is not undone: the case cannot go on.
                    top.over = f"{step.export}, called by the host, trapped: {error}"
            return self._go_on(top, _throwing(top.answer, stop))
        reply = self._reply(step, described, blobs)
        if self.logged and step is not None:
            types = described or FunctionType((), ())
            top.record.steps[-1] = RecordedStep(
                step,
                None if isinstance(reply, bytes) and len(reply) > KEPT_BYTES else reply,
                results=types.results,
                parameters=types.parameters,
                sha256=hashlib.sha256(reply).hexdigest() if isinstance(reply, bytes) else "",
            )
        return self._go_on(top, lambda: top.answer.send(reply))

    def _reply(
        self, step: Step | None, described: FunctionType | None, blobs: list[bytes]
    ) -> StepReply:
        """
        What a step came to; raises ProtocolBreachError.
        """
        match step:
            case Peek(_, size) if [len(blob) for blob in blobs] == [size]:
                return blobs[0]
            case Poke() if not blobs:
                return None
            case Grow() if len(blobs) == 1:
                before = _words(blobs[0], ("i32",))
                if before is not None:
                    return before
            case Reenter() if described is not None and len(blobs) == 1:
                results = _words(blobs[0], described.results)
                if results is not None:
                    return results
            case _:
                pass
        raise _breach("host-turn", "a step came back in another shape")


_NAMES: Final[dict[type, str]] = {
    Peek: "peek",
    Poke: "poke",
    Grow: "grow",
    Reenter: "reenter",
}


def _bytes_of(step: Step) -> int:
    """
    Bytes that a step reads or writes.
    """
    match step:
        case Peek(_, size):
            return size
        case Poke(_, data):
            return len(data)
        case _:
            return 0


def _answer(host: Host | None, call: HostCall) -> Answer:
    """
    The answer of a host, begun when it is first asked for a step.
    """
    if host is None:
        message = "the node's host refuses every import"
        raise HostStopError(message)
    return (yield from host.answer(call))


def _complaint(host: Host | None) -> str | None:
    """
    What a host says at the end of a case; its own fault is the case's, not the run's.
    """
    if host is None:
        return None
    try:
        return host.ended()
    except Exception as error:  # noqa: BLE001 - see above
        return f"the host failed: {type(error).__name__}: {error}"


def _throwing(answer: Answer, stop: HostStopError) -> Callable[[], Step]:
    return lambda: answer.throw(stop)


def _breach(rule: str, text: str) -> ProtocolBreachError:
    return ProtocolBreachError(rule, text)


def _error_of(header: Header) -> str | None:
    """
    What a worker says of a step that it could not take; raises ProtocolBreachError.
    """
    error = header.get("error")
    if error is None and header.get("ok") is True:
        return None
    if isinstance(error, dict) and all(
        isinstance(error.get(key), str) for key in ("stage", "rule", "text")
    ):
        return str(error["text"])[:TEXT_LIMIT]
    raise _breach("host-turn", "a step neither ok nor a whole error")


def _is_step(step: object) -> TypeGuard[Step]:
    """
    Whether this is a step, and its fields are of their types.
    """
    match step:
        case Peek(address, size):
            return type(address) is int and type(size) is int
        case Poke(address, data):
            return type(address) is int and type(data) is bytes
        case Grow(pages):
            return type(pages) is int
        case Reenter(export, arguments):
            return type(export) is str and type(arguments) is tuple
        case _:
            return False


def _fit(values: object, types: tuple[str, ...]) -> TypeGuard[tuple[int, ...]]:
    """
    Whether these are bits of the types.
    """
    return (
        isinstance(values, tuple)
        and len(values) == len(types)
        and all(
            type(bits) is int and 0 <= bits < 1 << 8 * WIDTH_BYTES[kind]
            for bits, kind in zip(values, types, strict=True)
        )
    )


def _words(blob: bytes, types: tuple[str, ...]) -> tuple[int, ...] | None:
    """
    Numbers of eight bytes each, if they are bits of the types.
    """
    if len(blob) != 8 * len(types):
        return None
    values = struct.unpack(f"<{len(types)}Q", blob)
    return values if _fit(values, types) else None
