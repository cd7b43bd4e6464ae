"""
Whole modules: a few functions, a table, a page of memory with weights, and rows of inputs.

A module exports `run`, which takes two i32 and two i64 and gives an i64; its memory; and a global
of each scalar type, in which most of what it computes ends up. Floats come and go as integers of
their width. Every call ends: functions call earlier ones only, and loops share one counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.edges import EDGES
from conformance.generate.body import PAGE_BYTES, Body, Callee, Surroundings
from conformance.generate.choices import (
    Choices,
    Decisions,
    Replayed,
    Seeded,
    between,
    more,
    one_of,
    part,
)
from conformance.generate.operators import SCALARS, WIDTHS
from conformance.generate.statements import STATEMENTS, Statement, some
from conformance.wasm.decode import decode
from conformance.wasm.encode_items import body as encoded_body
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.encode_items import name as encoded_name
from conformance.wasm.encode_items import unsigned, vector
from conformance.wasm.opcodes import ValType
from conformance.wasm.text import wat
from runners.bits import format_bits
from runners.records import Budget, Call, Slot

ENTRY: Final = "run"
PARAMETERS: Final[tuple[ValType, ...]] = ("i32", "i32", "i64", "i64")
GLOBALS: Final = ("i32", "i64", "f32", "f64")
_AS_FLOATS: Final[tuple[tuple[int, ValType, ValType], ...]] = (
    (0, "f32", "i32"), (2, "f64", "i64"), (3, "f64", "i64")
)  # fmt: skip
FUEL: Final = 200
"""Repetitions of loops in one instance."""
MOST_ROWS: Final = 8
MOST_CALLEES: Final = 3
_TABLE_SLOTS: Final = 6
_BYTE: Final[dict[str, bytes]] = {"i32": b"\x7f", "i64": b"\x7e", "f32": b"\x7d", "f64": b"\x7c"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeneratedModule:
    """
    A module, how it is called, and with what.
    """

    binary: bytes
    call: Call
    rows: NDArray[np.uint8]
    """Shape (n, 32): input rows, each four slots of 8 bytes."""
    operators: int
    """Instructions that compute, load, store or call."""
    patterns: tuple[str, ...]
    """Shapes of code in it, sorted."""
    decisions: Decisions
    """What it was made from: `replay` makes it again."""

    def __repr__(self) -> str:
        """
        The module as text and its rows as bits: what a failing test shows.
        """
        rows = [
            ", ".join(
                format_bits(kind, bits & ((1 << WIDTHS[kind]) - 1))
                for kind, bits in zip(PARAMETERS, row, strict=True)
            )
            for row in self.rows.view("<u8").tolist()
        ]
        shown = "\n".join(f"  row {number}: {row}" for number, row in enumerate(rows))
        return f"GeneratedModule of {self.operators} operators\n{shown}\n{wat(decode(self.binary))}"

    @property
    def budget(self) -> Budget:
        """
        What a call may use: far more than it can.
        """
        return Budget(deadline_ms=20_000, memory_pages=512)


def generate(seed: int, index: int = 0) -> GeneratedModule:
    """
    The module number *index* of a seed: always the same bytes and rows.
    """
    source = Seeded(seed, index)
    return made(source)


def replay(sequence: tuple[int, ...]) -> GeneratedModule:
    """
    The module that a sequence of decisions gives, whatever numbers are in it.
    """
    source = Replayed(sequence)
    return made(source)


def made(choices: Choices) -> GeneratedModule:
    """
    A module from any source of decisions.
    """
    plan = Plan(choices)
    plan.build()
    return described(plan, choices)


def described(plan: Plan, choices: Choices) -> GeneratedModule:
    """
    A finished plan with rows of inputs, as a record.
    """
    rows = _rows(choices)
    return GeneratedModule(
        binary=plan.binary(),
        call=Call(
            entry=ENTRY,
            arguments=tuple(
                Slot(at, kind)  # type: ignore[arg-type]
                for at, kind in enumerate(PARAMETERS)
            ),
            results=("i64",),
            memory="memory",
            globals=GLOBALS,
            grows=plan.most_pages > 1,
        ),
        rows=rows,
        operators=sum(body.operators for body in plan.bodies),
        patterns=tuple(sorted({name for body in plan.bodies for name in body.patterns})),
        decisions=Decisions(tuple(choices.made), tuple(choices.spans)),
    )


def _rows(choices: Choices) -> NDArray[np.uint8]:
    """
    Input rows: edges of integers and floats, small numbers, anything.
    """
    rows: list[bytes] = []
    while len(rows) < MOST_ROWS:
        with part(choices):
            if rows and not more(choices, 5):
                break
            arguments = [_argument(choices, kind) for kind in PARAMETERS]
        rows.append(b"".join(bits.to_bytes(8, "little") for bits in arguments))
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1).copy()


def _argument(choices: Choices, kind: ValType) -> int:
    style = choices.below(5)
    if style == 0:
        return choices.below(16)
    if style == 1:
        return one_of(choices, EDGES[kind])
    if style == 2:  # noqa: PLR2004 - of five
        return one_of(choices, EDGES["f32" if kind == "i32" else "f64"])
    if style == 3:  # noqa: PLR2004
        return (1 << WIDTHS[kind]) - 1 - choices.below(16)
    return choices.below(1 << WIDTHS[kind])


def entry_body(plan: Plan) -> Body:
    """
    The entry's body, with its inputs as floats in locals.
    """
    entry = plan.body(PARAMETERS)
    for place, kind, source in _AS_FLOATS:
        fresh = entry.local(kind)
        entry.code.append(op("local.get", place) + op(f"{kind}.reinterpret_{source}"))
        entry.code.append(op("local.set", fresh))
    return entry


class Plan:
    """
    A module under construction.
    """

    def __init__(
        self,
        choices: Choices,
        statements: tuple[Statement, ...] = STATEMENTS,
        most_pages: int = 1,
    ) -> None:
        """
        No function yet; *statements* are what functions will be made of, and its memory of one page
        may grow to *most_pages*.
        """
        self.choices = choices
        self.statements = statements
        self.most_pages = most_pages
        self.types: list[tuple[tuple[ValType, ...], ValType]] = []
        self.callees: list[Callee] = []
        self.bodies: list[Body] = []
        self.weights = 1024 + 8 * choices.below(16)
        self.weight_data = b"".join(
            one_of(choices, EDGES["f64"]).to_bytes(8, "little")
            for _ in range(between(choices, 1, 8))
        )
        self.slots: list[Callee] = []
        self.trapping = choices.below(4) == 3  # noqa: PLR2004 - one in four

    def build(self) -> None:
        """
        Make the functions, the last of which is the entry.
        """
        while len(self.callees) < MOST_CALLEES:
            with part(self.choices):
                if not more(self.choices, 2):
                    break
                self._callee()
        entry = entry_body(self)
        some(entry, self.statements, 5, usual=3)
        entry.value("i64", 2)
        self.finish_entry(entry)

    def _callee(self) -> None:
        """
        A function that later ones may call, and perhaps find in the table.
        """
        count = self.choices.below(4)
        parameters = tuple(one_of(self.choices, SCALARS) for _ in range(count))
        result = one_of(self.choices, tuple(reversed(SCALARS)))
        body = self.body(parameters)
        body.room = 60
        some(body, self.statements, 1, usual=1)
        body.value(result, 3)
        self._finish(body, parameters, result)
        if len(self.slots) < _TABLE_SLOTS - 2 and self.choices.below(2):
            self.slots.append(self.callees[-1])

    def finish_entry(self, entry: Body) -> None:
        """
        Close the entry, which has left its result on the stack.
        """
        self._finish(entry, PARAMETERS, "i64")

    def body(self, parameters: tuple[ValType, ...]) -> Body:
        """
        A function that may call all earlier ones.
        """
        around = Surroundings(
            tuple(self.callees),
            {kind: at for at, kind in enumerate(GLOBALS)},  # type: ignore[misc]
            len(GLOBALS),
            tuple(self.slots),
            self.weights,
            len(self.weight_data),
        )
        return Body(self.choices, around, parameters, self.trapping)

    def _finish(self, body: Body, parameters: tuple[ValType, ...], result: ValType) -> None:
        signature = (parameters, result)
        if signature not in self.types:
            self.types.append(signature)
        body.code.append(op("end"))
        self.bodies.append(body)
        index = len(self.callees)
        self.callees.append(Callee(index, self.types.index(signature), parameters, result))

    def binary(self) -> bytes:
        """
        The module's bytes.
        """
        memory, function, global_ = b"\2\0", b"\0", b"\3"
        exports = [
            encoded_name(ENTRY) + function + unsigned(len(self.callees) - 1),
            encoded_name("memory") + memory,
            *(encoded_name(kind) + global_ + unsigned(at) for at, kind in enumerate(GLOBALS)),
        ]
        globals_ = [_BYTE[kind] + b"\1" + op(f"{kind}.const", 0) + b"\x0b" for kind in GLOBALS]
        globals_.append(b"\x7f\1" + op("i32.const", FUEL) + b"\x0b")
        elements = vector([unsigned(callee.index) for callee in self.slots])
        data = b"\0" + op("i32.const", self.weights) + b"\x0b"
        data += unsigned(len(self.weight_data)) + self.weight_data
        # The last bytes of memory are not zero, so that a load of them shows what it read.
        tail = b"\0" + op("i32.const", PAGE_BYTES - 8) + b"\x0b" + b"\x08ABCDEF\x80\xff"
        sections = (
            (1, vector([self._type(*signature) for signature in self.types])),
            (3, vector([unsigned(callee.type_index) for callee in self.callees])),
            (4, vector([b"\x70\0" + unsigned(_TABLE_SLOTS)])),
            (5, vector([b"\1\1" + unsigned(self.most_pages)])),
            (6, vector(globals_)),
            (7, vector(exports)),
            (9, vector([b"\0" + op("i32.const", 0) + b"\x0b" + elements])),
            (10, vector([encoded_body(self._runs(body), body.code) for body in self.bodies])),
            (11, vector([data, tail])),
        )
        return b"\0asm\1\0\0\0" + b"".join(
            bytes([number]) + unsigned(len(payload)) + payload for number, payload in sections
        )

    @staticmethod
    def _type(parameters: tuple[ValType, ...], result: ValType) -> bytes:
        return b"\x60" + vector([_BYTE[kind] for kind in parameters]) + b"\1" + _BYTE[result]

    @staticmethod
    def _runs(body: Body) -> list[tuple[int, ValType]]:
        """
        Declared locals, neighbours of one type in one run.
        """
        runs: list[tuple[int, ValType]] = []
        for kind in body.added:
            if runs and runs[-1][1] == kind:
                runs[-1] = (runs[-1][0] + 1, kind)
            else:
                runs.append((1, kind))
        return runs
