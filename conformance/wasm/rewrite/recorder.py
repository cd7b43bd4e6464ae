"""
The functions and globals that note rows of checkpoints, and the code in a body that uses them.

`checkpoints` says what a row is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import MemArg
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from conformance.wasm.rewrite.additions import add_global, add_type
from conformance.wasm.rewrite.hidden_memory import HiddenMemory
from conformance.wasm.rewrite.scratch import NULLABLE, Scratch, zero
from conformance.wasm.rewrite.typed import Step, Types

HITS: Final = "weavegate.hits"
"""Exported global (i64): how often points were reached."""
HASH: Final = "weavegate.hash"
"""Exported global (i64): the running hash of all that was noted."""
MULTIPLIER: Final = 0x9E3779B97F4A7C15
HEAD_WORDS: Final = 2

Observes = Literal["state", "results"]
Role = Literal["local", "global", "pages", "operand", "result"]


@dataclass(frozen=True, slots=True)
class Word:
    """
    What one word of a row holds.
    """

    role: Role
    index: int
    """Of the local or global; height of the operand; number of the result. 0 for pages."""
    type: ValType
    """A v128 takes two words, the low lanes first; of a reference it is told whether it is null."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """
    The functions and globals that note rows, and how a body is made to use them.
    """

    module: Module
    rewrite: Rewrite
    memory: HiddenMemory
    hits: int
    on: int
    """Global that says whether the row is written."""
    begin: int
    word: int
    stop: int | None
    observes: Observes
    hashed: bool

    @classmethod
    def added(
        cls,
        rewrite: Rewrite,
        memory: HiddenMemory,
        first: int,
        every: int,
        stop: int | None,
        observes: Observes,
        *,
        hashed: bool,
    ) -> Recorder:
        """
        Add them to the module.
        """
        hits = add_global(rewrite, "i64", 0, HITS)
        mixed = add_global(rewrite, "i64", 0, HASH)
        cursor = add_global(rewrite, "i32", memory.start)
        on = add_global(rewrite, "i32", 0)
        word = rewrite.append_function(
            add_type(rewrite, ("i64",), ()), _word_body(mixed, cursor, on, hashed=hashed)
        )
        begin = rewrite.append_function(
            add_type(rewrite, ("i32", "i32"), ()),
            _begin_body(hits, mixed, cursor, on, memory.end, first, every, word),
        )
        return cls(rewrite.module, rewrite, memory, hits, on, begin, word, stop, observes, hashed)

    def results_of(self, step: Step) -> Types:
        """
        Types of the values that an instruction gave.
        """
        opcode, immediates = step.instruction.opcode, step.instruction.immediates
        if opcode.signature is not None:
            return opcode.signature.results
        if opcode.name == "call":
            return self.module.function_type(immediates[0]).results  # type: ignore[arg-type]
        if opcode.name == "call_indirect":
            return self.module.types[immediates[0]].type.results  # type: ignore[index]
        return () if not step.after else step.after[-1:]

    def noted(self, number: int, scratch: Scratch, operands: Types, words: list[Word]) -> bytes:
        """
        Code that notes *words* as point *number*, with *operands* on the stack before and after.
        """
        out = [scratch.set(kind, 16 + at) for at, kind in reversed(list(enumerate(operands)))]
        out.append(op("i32.const", number + 1))
        out.append(op("i32.const", 8 * (HEAD_WORDS + width(tuple(words)))))
        out.append(op("call", self.begin))
        values = [value for word in words for value in self._value(word, scratch)]
        noting = b"".join(value + op("call", self.word) for value in values)
        if not self.hashed and noting:
            # Without a hash there is nothing to do for a row that is not written.
            noting = op("global.get", self.on) + op("if", "empty") + noting + op("end")
        out.append(noting)
        out += [scratch.get(kind, 16 + at) for at, kind in enumerate(operands)]
        return b"".join(out)

    def _value(self, word: Word, scratch: Scratch) -> Iterator[bytes]:
        """
        The word as one or two i64 on the stack.
        """
        match word.role:
            case "local":
                held = op("local.get", word.index)
            case "global":
                held = op("global.get", word.index)
            case "pages":
                held = op("global.get", self.memory.pages)
            case "operand" | "result":
                held = scratch.get(word.type, 16 + word.index)
        if word.type == "v128":
            yield held + op("i64x2.extract_lane", 0)
            yield held + op("i64x2.extract_lane", 1)
        elif word.type in NULLABLE:
            yield held + op("ref.is_null") + op("i64.extend_i32_u")
        else:
            yield held + _TO_I64[word.type]

    def leaving(self, results: Types) -> bytes:
        """
        Code that returns zeros once the last wanted hit is noted.
        """
        if self.stop is None:
            return b""
        reached = op("global.get", self.hits) + op("i64.const", self.stop) + op("i64.ge_u")
        zeros = b"".join(zero(kind) for kind in results)
        return reached + op("if", "empty") + zeros + op("return") + op("end")


_PLAIN: Final = MemArg(3, 0)
_SECOND: Final = MemArg(3, 8)
_TO_I64: Final[dict[ValType, bytes]] = {
    "i32": op("i64.extend_i32_u"),
    "i64": b"",
    "f32": op("i32.reinterpret_f32") + op("i64.extend_i32_u"),
    "f64": op("i64.reinterpret_f64"),
}


def width(words: tuple[Word, ...]) -> int:
    """
    Number of 8-byte words that the values take.
    """
    return sum(2 if word.type == "v128" else 1 for word in words)


def _word_body(mixed: int, cursor: int, on: int, *, hashed: bool) -> list[bytes]:
    """
    Note one word: mix it in, and write it while a row is being written.
    """
    mixing = [
        op("global.get", mixed) + op("i64.const", 5) + op("i64.rotl"),
        op("local.get", 0) + op("i64.xor"),
        op("i64.const", MULTIPLIER - (1 << 64)) + op("i64.mul") + op("global.set", mixed),
    ]
    return [
        *(mixing if hashed else ()),
        op("global.get", on) + op("if", "empty"),
        op("global.get", cursor) + op("local.get", 0) + op("i64.store", _PLAIN),
        op("global.get", cursor) + op("i32.const", 8) + op("i32.add"),
        op("global.set", cursor) + op("end") + END,
    ]


def _begin_body(
    hits: int, mixed: int, cursor: int, on: int, end: int, first: int, every: int, word: int
) -> list[bytes]:
    """
    Begin a row of (point, bytes): decide whether it is written, write its head, count the hit.
    """
    since = op("global.get", hits) + op("i64.const", first) + op("i64.sub")
    return [
        op("i32.const", 0) + op("global.set", on),
        op("global.get", hits) + op("i64.const", first) + op("i64.ge_u"),
        op("if", "empty") + since + op("i64.const", every) + op("i64.rem_u") + op("i64.eqz"),
        op("if", "empty"),
        op("local.get", 1) + op("i32.const", _signed(end)) + op("global.get", cursor),
        op("i32.sub") + op("i32.le_u") + op("if", "empty"),
        op("i32.const", 1) + op("global.set", on),
        # The hash goes behind the number of the point, which `word` writes and mixes in.
        op("global.get", cursor) + op("global.get", mixed) + op("i64.store", _SECOND),
        op("else"),
        # Nothing after a row that does not fit: what is kept is a beginning, without gaps.
        op("i32.const", _signed(end)) + op("global.set", cursor),
        op("end") + op("end") + op("end"),
        op("global.get", hits) + op("i64.const", 1) + op("i64.add") + op("global.set", hits),
        op("local.get", 0) + op("i64.extend_i32_u") + op("call", word),
        op("global.get", on) + op("if", "empty"),
        op("global.get", cursor) + op("i32.const", 8) + op("i32.add") + op("global.set", cursor),
        op("end") + END,
    ]


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
