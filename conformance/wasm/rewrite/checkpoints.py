"""
Checkpoints: at chosen points a module writes down what it has, into a buffer it cannot see.

A row is 8-byte little-endian words: number of the point counted from 1, running hash of everything
noted before, then the values. The buffer lies in hidden memory (see `hidden_memory`), so any engine
that shows memory can be asked; rows that do not fit are counted and hashed all the same. Two
exported globals tell how often points were reached and the hash of all; they can be read after a
trap as well. With *every* = k only each k-th hit is written down, which with the hash is enough to
find the first difference between two nodes in two runs.

`hash' = (rotl(hash, 5) xor word) * 0x9e3779b97f4a7c15 mod 2^64`, over the number of the point and
then each of its values: multiplication by an odd number and rotation lose nothing, so one differing
word always gives another hash, and a later one hides it with probability 2^-64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from conformance.wasm.encode import Rewrite
from conformance.wasm.module import Module
from conformance.wasm.rewrite.calling import CALLED, wrap_entry
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.hidden_memory import hide_memory
from conformance.wasm.rewrite.nans import NanRewrite, canonical_code, makes_nans
from conformance.wasm.rewrite.points import CALLS, Point
from conformance.wasm.rewrite.recorder import (
    HASH,
    HEAD_WORDS,
    HITS,
    Observes,
    Recorder,
    Word,
    width,
)
from conformance.wasm.rewrite.scratch import Scratch
from conformance.wasm.rewrite.typed import Step, steps
from runners.records import AtAddress, Budget, Buffer, Call, OutputPointer, digest_of

REWRITE: Final = "checkpoints@1"
"""Id of this rewrite, for evidence."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    One point and the layout of its rows.
    """

    place: int
    """Of the function among the module's own."""
    number: int
    """Of the instruction in its body."""
    offset: int
    """Of the instruction in the file that was rewritten."""
    operator: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """
    What was noted when a point was reached.
    """

    point: int
    """Index into `Instrumented.checkpoints`."""
    hash: int
    """Of everything noted before."""
    values: tuple[int, ...]
    """Bits of each of the checkpoint's words, unsigned."""


@dataclass(frozen=True, slots=True)
class Instrumented:
    """
    A module with checkpoints, and how to read what it wrote.
    """

    binary: bytes = field(repr=False)
    rewrite: str
    """Id for the key of evidence: names the points, what is observed, and the window."""
    checkpoints: tuple[Checkpoint, ...]
    memory: str
    """Name under which the memory with the buffer is exported."""
    address: int
    """Of the buffer."""
    size_bytes: int
    first: int
    every: int
    pages: int
    """Of memory, buffer included: a budget must allow them."""

    def call(self, call: Call) -> Call:
        """
        The call that runs *call*, gives the buffer as its output, and shows hits and hash.
        """
        arguments = tuple(a for a in call.arguments if not _is_output(a))
        return replace(
            call,
            entry=CALLED if len(arguments) < len(call.arguments) else call.entry,
            arguments=arguments,
            output=Buffer(AtAddress(self.address), self.size_bytes),
            memory=self.memory,
            globals=(HITS, HASH),
            global_types=UNSET,
            grows=False,
        )

    def budget(self, budget: Budget) -> Budget:
        """
        The budget with room for the buffer.
        """
        return replace(budget, memory_pages=max(budget.memory_pages, self.pages))

    def rows(self, buffer: bytes) -> Iterator[Row]:
        """
        The rows in a buffer, in the order in which they were written.
        """
        words = memoryview(buffer).cast("Q")
        at = 0
        while at + HEAD_WORDS <= len(words) and words[at]:
            point = words[at] - 1
            start = at + HEAD_WORDS
            at = start + width(self.checkpoints[point].words)
            yield Row(point, words[start - 1], tuple(words[start:at]))


def checkpointed(
    module: Module,
    points: Sequence[Point],
    *,
    call: Call | None = None,
    observes: Observes = "state",
    first: int = 0,
    every: int = 1,
    stop: int | None = None,
    hashed: bool = True,
    nans: NanRewrite | None = None,
    buffer_pages: int = 64,
    ceiling: int = 512,
) -> Instrumented:
    """
    Instrument a valid module: whenever one of *points* is reached, a row is noted.

    `state`: before the instruction, its function's locals, all globals, the pages of memory, and
    the operands of the innermost block. `results`: behind it, the values that it gave. Hits are
    counted from 0 over the life of an instance, its start function included; hit number *first*
    and each *every*-th from there are written, as long as they fit into *buffer_pages* of 64 KiB.
    After *stop* hits the call comes back at once, with zeros as its results. Without *hashed* all
    hashes are 0, and a hit that is not written costs next to nothing. *ceiling*: most pages
    that the module itself may have. *call*: needed where its entry takes the address of an output
    buffer. Points that control cannot reach have no rows. Raises CannotRewriteError for a module
    that imports its memory or has no such point.
    """
    wanted = _by_function(module, points)
    rewrite = Rewrite(module)
    memory = hide_memory(rewrite, buffer_pages, ceiling)
    recorder = Recorder.added(rewrite, memory, first, every, stop, observes, hashed=hashed)
    found: list[Checkpoint] = []
    for place in range(len(module.functions)):
        _instrument(recorder, place, wanted.get(place, frozenset()), nans, found)
    if call is not None and any(_is_output(a) for a in call.arguments):
        wrap_entry(rewrite, call)
    chosen: list[object] = [
        sorted(set(points)),
        observes,
        first,
        every,
        stop,
        nans,
        buffer_pages,
        ceiling,
    ]
    if not hashed:
        chosen.append("no hash")
    return Instrumented(
        binary=rewrite.binary(),
        rewrite=f"{REWRITE}:{digest_of(chosen)[:16]}",
        checkpoints=tuple(found),
        memory=memory.export,
        address=memory.start,
        size_bytes=memory.size,
        first=first,
        every=every,
        pages=memory.ceiling + buffer_pages,
    )


def _is_output(argument: object) -> bool:
    return isinstance(argument, OutputPointer)


def _by_function(module: Module, points: Sequence[Point]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {}
    for place, number in points:
        if not 0 <= place < len(module.functions) or not (
            0 <= number < len(module.functions[place].body)
        ):
            message = f"there is no instruction {number} in a function {place} of the module"
            raise CannotRewriteError(message)
        found.setdefault(place, set()).add(number)
    return {place: frozenset(numbers) for place, numbers in found.items()}


def _instrument(
    recorder: Recorder,
    place: int,
    wanted: frozenset[int],
    nans: NanRewrite | None,
    found: list[Checkpoint],
) -> None:
    """
    Rewrite one body, adding its checkpoints to *found*.
    """
    module = recorder.module
    function = module.functions[place]
    scratch = Scratch(module, place)
    results = module.function_type(function.index).results
    out: list[bytes] = []
    for step in steps(module, place):
        noted = step.place in wanted and step.before is not None
        before = recorder.observes == "state"
        if noted and before:
            out.append(_checkpoint(recorder, place, step, scratch, found))
            out.append(recorder.leaving(results))
        instead = recorder.memory.instead(step.instruction, scratch)
        out += [function.body.raw(step.place)] if instead is None else instead
        if nans is not None and makes_nans(step.instruction.opcode.name, nans):
            out.append(canonical_code(step.instruction.opcode.name, scratch))
        if step.after is None:
            continue
        if noted and not before and recorder.results_of(step):
            out.append(_checkpoint(recorder, place, step, scratch, found))
            out.append(recorder.leaving(results))
        elif step.instruction.opcode.name in CALLS:
            out.append(recorder.leaving(results))
    recorder.rewrite.replace_body(place, out, scratch.runs)


def _checkpoint(
    recorder: Recorder, place: int, step: Step, scratch: Scratch, found: list[Checkpoint]
) -> bytes:
    """
    The code of one checkpoint, which is added to *found*.
    """
    if recorder.observes == "state":
        operands = step.before or ()
        words = [Word("local", at, kind) for at, kind in enumerate(scratch.own)]
        kinds = recorder.module.global_types
        words += [Word("global", at, kind.type) for at, kind in enumerate(kinds)]
        words.append(Word("pages", 0, "i32"))
        words += [Word("operand", at, kind) for at, kind in enumerate(operands)]
    else:
        operands = recorder.results_of(step)
        words = [Word("result", at, kind) for at, kind in enumerate(operands)]
    code = recorder.noted(len(found), scratch, operands, words)
    at = step.instruction
    found.append(Checkpoint(place, step.place, at.offset, at.opcode.name, tuple(words)))
    return code
