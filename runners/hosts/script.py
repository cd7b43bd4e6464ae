"""
A host script: the calls of a case in their order, and what was answered to each.

One call a line, `env.clock() -> i64:0000000000000007`. `(*)` instead of arguments lets them be
any. Before the arrow, in braces, stand the steps of the answer: `poke 1024 bytes:0a0b` writes,
`peek 1024+2 sha256:...` wants memory to hold what it held, `grow 1 -> i32:00000010` grows it and
wants as many pages before, and `reenter alloc(i32:00000010) -> i32:00000400` calls an export and
wants the same of it. An answer `-> host error` ends the case. Empty lines and lines that begin
with `#` say nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runners.bits import format_bits, format_bytes, parse_bits, parse_bytes
from runners.hosts.host import Answer, Grow, HostCall, HostStopError, Peek, Poke, Reenter, Step
from runners.hosts.recording import RecordedCall, RecordedStep
from runners.hosts.variation import Variation

HOST_ERROR: Final = "host error"
MOST_LINES: Final = 1_000_000

_PLAIN_NAME: Final = re.compile(r"[^\s\"(){}#;]+\Z")
_HEAD: Final = re.compile(r'(?P<key>"(?:[^"\\]|\\.)*"|[^\s"(){}#;]+)\((?P<given>[^()]*)\)\s*')
_PEEK: Final = re.compile(r"peek (\d+)\+(\d+) sha256:([0-9a-f]{64})\Z")
_GROW: Final = re.compile(r"grow (\d+) -> (i32:[0-9a-f]{8})\Z")
_POKE: Final = re.compile(r"poke (\d+) (bytes:[0-9a-f]*)\Z")
_SHOWN: Final = 60


class BadScriptError(ValueError):
    """
    A line is no call of a host script.
    """

    def __init__(self, line: int, sentence: str) -> None:
        """
        Remember the line's number, from 1 on.
        """
        super().__init__(sentence)
        self.line = line


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """
    A step of an answer, and what must come of it.
    """

    step: Step
    due: str | tuple[int, ...] = ""
    """SHA-256 of a peek's bytes, bits of a re-entry's results, pages before growth."""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """
    One call and its answer.
    """

    key: str
    """`module.name`."""
    arguments: tuple[tuple[str, int], ...] | None
    """(type, bits); None: any."""
    steps: tuple[ScriptStep, ...]
    results: tuple[tuple[str, int], ...] | None
    """None: the case ends here."""


def parse_script(lines: Iterable[str]) -> tuple[ScriptCall, ...]:
    """
    Read a script; raises BadScriptError.
    """
    calls = []
    for number, text in enumerate(lines, 1):
        if number > MOST_LINES:
            raise BadScriptError(number, f"a host script has at most {MOST_LINES:,} lines")
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        try:
            calls.append(_call(line))
        except ValueError as error:
            raise BadScriptError(number, str(error)) from None
    return tuple(calls)


def _call(line: str) -> ScriptCall:
    head = _HEAD.match(line)
    if head is None:
        message = (
            f"{line[:_SHOWN]!r} does not begin with a call such as env.clock() or"
            " env.exp(f64:3ff0000000000000)"
        )
        raise ValueError(message)
    rest, steps = line[head.end() :], ""
    if rest.startswith("{"):
        steps, brace, rest = rest[1:].partition("}")
        if not brace:
            message = "the brace around the answer's steps is not closed"
            raise ValueError(message)
    arrow, space, answer = rest.strip().partition(" ")
    if arrow != "->" or not space:
        message = "after the call must stand -> and what is answered, such as -> i32:00000000"
        raise ValueError(message)
    given = head["given"].strip()
    return ScriptCall(
        _name(head["key"]),
        None if given == "*" else _values(given),
        tuple(_step(item.strip()) for item in steps.split(";") if item.strip()),
        None if answer.strip() == HOST_ERROR else _values(answer),
    )


def _name(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def _values(text: str) -> tuple[tuple[str, int], ...]:
    text = text.strip()
    if text in ("", "()"):
        return ()
    return tuple(parse_bits(item.strip()) for item in text.split(","))


def _step(text: str) -> ScriptStep:
    if (peek := _PEEK.match(text)) is not None:
        return ScriptStep(Peek(int(peek[1]), int(peek[2])), peek[3])
    if (poke := _POKE.match(text)) is not None:
        return ScriptStep(Poke(int(poke[1]), parse_bytes(poke[2])))
    if (grow := _GROW.match(text)) is not None:
        return ScriptStep(Grow(int(grow[1])), (parse_bits(grow[2])[1],))
    word, _, rest = text.partition(" ")
    entry = _HEAD.match(rest)
    if word == "reenter" and entry is not None:
        arrow, _, results = rest[entry.end() :].partition(" ")
        if arrow == "->":
            arguments = tuple(bits for _, bits in _values(entry["given"]))
            due = tuple(bits for _, bits in _values(results))
            return ScriptStep(Reenter(_name(entry["key"]), arguments), due)
    message = (
        f"{text[:_SHOWN]!r} is no step: write poke 1024 bytes:00, peek 1024+1 sha256:..., or"
        " reenter alloc(i32:00000001) -> i32:00000400"
    )
    raise ValueError(message)


# ---------------------------------------------------------------------------------- writing


def script_of(log: Iterable[RecordedCall]) -> tuple[str, ...]:
    """
    The script that answers as was answered, of a log that has the bytes of its steps.

    Calls within re-entries stand after the call that re-entered, in the order in which they began.
    """
    return tuple(_line(recorded) for recorded in log)


def _line(recorded: RecordedCall) -> str:
    call = recorded.call
    parts = [_quoted(f"{call.module}.{call.name}") + _bits(call.parameters, call.arguments)]
    steps = [text for step in recorded.steps for text in _written(step)]
    if steps:
        parts.append("{" + "; ".join(steps) + "}")
    answer = HOST_ERROR
    if recorded.results is not None:
        answer = ", ".join(map(format_bits, call.results, recorded.results)) or "()"
    return " ".join([*parts, "->", answer])


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.match(name) else json.dumps(name)


def _bits(types: Iterable[str], bits: Iterable[int]) -> str:
    return "(" + ", ".join(map(format_bits, types, bits)) + ")"


def _written(recorded: RecordedStep) -> Iterator[str]:
    """
    A step as text; one that failed is left out, since the host went on without it.
    """
    if recorded.failed:
        return
    match recorded.step:
        case Peek(address, size) if recorded.sha256:
            yield f"peek {address}+{size} sha256:{recorded.sha256}"
        case Poke(address, data):
            yield f"poke {address} {format_bytes(data)}"
        case Grow(pages) if isinstance(recorded.reply, tuple):
            yield f"grow {pages} -> {format_bits('i32', recorded.reply[0])}"
        case Reenter(export, arguments) if isinstance(recorded.reply, tuple):
            came = ", ".join(map(format_bits, recorded.results, recorded.reply)) or "()"
            yield f"reenter {_quoted(export)}{_bits(recorded.parameters, arguments)} -> {came}"


# --------------------------------------------------------------------------------- replaying


class ScriptHost:
    """
    Answers the calls of one case in the script's order.
    """

    def __init__(self, script: tuple[ScriptCall, ...], variation: Variation | None = None) -> None:
        """
        Begin with the first call.
        """
        self._script, self._variation, self._at = script, variation, 0

    def answer(self, call: HostCall) -> Answer:
        """
        Raise HostStopError for a call that the script does not have next.
        """
        key = f"{call.module}.{call.name}"
        if self._at >= len(self._script):
            message = f"the host script ends before call {self._at + 1}, which is {key}"
            raise HostStopError(message)
        due = self._script[self._at]
        self._at += 1
        number = self._at
        given = tuple(zip(call.parameters, call.arguments, strict=True))
        if due.key != key or due.arguments not in (None, given):
            other = f"call {number} is {key}{_bits(call.parameters, call.arguments)}"
            wanted = "(*)" if due.arguments is None else _typed(due.arguments)
            message = f"{other}, the host script has {due.key}{wanted}"
            raise HostStopError(message)
        for step in due.steps:
            yield from self._take(number, key, step)
        if due.results is None:
            message = f"the host script ends the case at call {number}, which is {key}"
            raise HostStopError(message)
        if tuple(kind for kind, _ in due.results) != call.results:
            message = (
                f"call {number}, {key}, gives ({', '.join(call.results)}),"
                f" the host script answers {_typed(due.results)}"
            )
            raise HostStopError(message)
        results = tuple(bits for _, bits in due.results)
        if self._variation is None:
            return results
        return self._variation.results(call, number, results)

    def ended(self) -> str | None:
        """
        Name the first answer that nobody asked for.
        """
        left = len(self._script) - self._at
        if not left:
            return None
        what = "1 answer" if left == 1 else f"{left:,} answers"
        return f"{what} of the host script left over, the first for {self._script[self._at].key}"

    def _take(self, number: int, key: str, item: ScriptStep) -> Answer:
        """
        One step; raises HostStopError when something else comes of it.
        """
        step = item.step
        if isinstance(step, Poke) and self._variation is not None:
            step = Poke(step.address, self._variation.poked(key, number, step.data))
        reply = yield step
        came: object = reply
        if isinstance(reply, bytes):
            came = hashlib.sha256(reply).hexdigest()
        if not isinstance(step, Poke) and came != item.due:
            what = f"what {step.export} gives" if isinstance(step, Reenter) else "memory"
            message = f"call {number}, {key}: {what} is not as the host script has it"
            raise HostStopError(message)
        return ()


def _typed(values: tuple[tuple[str, int], ...]) -> str:
    return "(" + ", ".join(format_bits(kind, bits) for kind, bits in values) + ")"
