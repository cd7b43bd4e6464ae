"""
Bodies that are valid by construction: every operand has its type because it was made for it.

Made from the opcode table's signatures and the rules for control; nothing asks the validator.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from conformance.wasm.encode_items import instruction
from conformance.wasm.instructions import ImmediateValue, Labels, MemArg
from conformance.wasm.items import FunctionType, GlobalType, TableType
from conformance.wasm.opcodes import OPCODES, Opcode, ValType

TYPES: tuple[ValType, ...] = ("i32", "i64", "f32", "f64", "v128", "funcref", "externref")
_NUMBERS: tuple[ValType, ...] = ("i32", "i64", "f32", "f64", "v128")
_LEAVES = {
    "i32": ("i32.const", 32), "i64": ("i64.const", 64), "f32": ("f32.const", 32),
    "f64": ("f64.const", 64), "v128": ("v128.const", 128),
}  # fmt: skip
_SIMPLE = frozenset({"memarg", "memory", "lane", "lanes"})
_COMPUTED: dict[ValType, list[Opcode]] = {kind: [] for kind in TYPES}
_EFFECTS: list[Opcode] = []
for _opcode in OPCODES.values():
    if _opcode.signature is not None and _SIMPLE.issuperset(_opcode.immediates):
        if not _opcode.signature.results:
            _EFFECTS.append(_opcode)
        elif _opcode.signature.parameters:
            _COMPUTED[_opcode.signature.results[0]].append(_opcode)

Code = list[bytes]


@dataclass
class Plan:
    """
    What a module declares: known before any body is made.
    """

    types: list[FunctionType]
    imports: list[int]
    """Type index of each imported function."""
    functions: list[int]
    """Type index of each function of its own."""
    tables: list[TableType]
    memory: bool
    globals: list[GlobalType]
    imported_globals: int
    elements: list[tuple[ValType, list[int]]]
    """Type, and functions or no function."""
    data: int

    @property
    def function_types(self) -> list[int]:
        """
        Type index of each function, imported ones first.
        """
        return self.imports + self.functions


class BodyMaker:
    """
    Makes one body; *budget* is how many more operators it may have.
    """

    def __init__(self, draw: random.Random, made: Plan, own: FunctionType, budget: int) -> None:
        """
        Draw the locals.
        """
        self.draw = draw
        self.plan = made
        self.own = own
        self.budget = budget
        self.runs = [(draw.randrange(3), kind) for kind in draw.sample(TYPES, draw.randrange(4))]
        self.locals = [*own.parameters, *(kind for count, kind in self.runs for _ in range(count))]
        self.labels: list[tuple[ValType, ...]] = [own.results]
        self.referable = sorted({f for kind, fs in made.elements if kind == "funcref" for f in fs})

    def body(self) -> Code:
        """
        Instructions with the final `end`.
        """
        return [*self.sequence(self.own.results), b"\x0b"]

    def sequence(self, results: tuple[ValType, ...]) -> Code:
        """
        Statements, then values of *results*; or a branch away and whatever may follow one.
        """
        made: Code = []
        for _ in range(self.draw.randrange(4)):
            made += self.statement()
        if self.draw.random() < 0.15:
            return made + self.away()
        for kind in results:
            made += self.value(kind)
        return made

    def _pick(self, choices: list[Callable[[], Code | None]]) -> Code:
        self.draw.shuffle(choices)
        for choice in choices:
            made = choice()
            if made is not None:
                return made
        raise AssertionError

    # -------------------------------------------------------------------------- values

    def value(self, kind: ValType) -> Code:
        """
        Instructions that leave one value of this type.
        """
        self.budget -= 1
        if self.budget <= 0:
            return self.leaf(kind)
        return self._pick(
            [lambda: self.leaf(kind)]
            + [lambda: self.computed(kind)] * 3
            + [lambda: self.chosen(kind), lambda: self.blocked((kind,)), lambda: self.called(kind),
               lambda: self.teed(kind), lambda: self.of_table(kind)]
        )  # fmt: skip

    def leaf(self, kind: ValType) -> Code:
        """
        A constant, local or global.
        """
        draw = self.draw
        hits = [i for i, found in enumerate(self.locals) if found == kind]
        if hits and draw.random() < 0.5:
            return [instruction("local.get", draw.choice(hits))]
        if kind == "i32" and self.plan.memory and draw.random() < 0.05:
            return [instruction("memory.size", 0)]
        places = [i for i, found in enumerate(self.plan.globals) if found.type == kind]
        if places and draw.random() < 0.3:
            return [instruction("global.get", draw.choice(places))]
        return [constant(draw, kind, self.referable)]

    def computed(self, kind: ValType) -> Code | None:
        """
        An operator of the opcode table.
        """
        choices = _COMPUTED[kind]
        if kind == "i32" and self.draw.random() < 0.05:
            return [*self.value(self.draw.choice(("funcref", "externref"))), b"\xd1"]
        if not choices:
            return None
        opcode = self.draw.choice(choices)
        needs_memory = {"memarg", "memory"}.intersection(opcode.immediates)
        if (needs_memory and not self.plan.memory) or opcode.signature is None:
            return None
        made: Code = []
        for operand in opcode.signature.parameters:
            made += self.value(operand)
        return [*made, self.operator(opcode)]

    def operator(self, opcode: Opcode) -> bytes:
        """
        An operator with immediates that are in their range.
        """
        draw = self.draw
        lanes = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "i64x2": 2, "f32x4": 4, "f64x2": 2}
        values: list[ImmediateValue] = []
        for kind in opcode.immediates:
            match kind:
                case "memarg":
                    exponent = draw.randrange((opcode.alignment or 0) + 1)
                    values.append(MemArg(exponent, draw.choice((0, 1, 8, 70_000, 2**32 - 1))))
                case "lane":
                    shape = opcode.name.partition(".")[0]
                    count = lanes.get(shape) or 16 >> (opcode.alignment or 0)
                    values.append(draw.randrange(count))
                case "lanes":
                    values.append(tuple(draw.randrange(32) for _ in range(16)))
                case _:
                    values.append(0)
        return instruction(opcode.name, *values)

    def chosen(self, kind: ValType) -> Code:
        """
        `select`, with its type where it must have it.
        """
        typed = kind not in _NUMBERS or self.draw.random() < 0.3
        operator = instruction("select_t", (kind,)) if typed else instruction("select")
        return [*self.value(kind), *self.value(kind), *self.value("i32"), operator]

    def teed(self, kind: ValType) -> Code | None:
        """
        `local.tee`.
        """
        hits = [i for i, found in enumerate(self.locals) if found == kind]
        if not hits:
            return None
        return [*self.value(kind), instruction("local.tee", self.draw.choice(hits))]

    def of_table(self, kind: ValType) -> Code | None:
        """
        `table.get`, `table.size`, `table.grow`.
        """
        hits = [i for i, found in enumerate(self.plan.tables) if kind in ("i32", found.element)]
        if not hits:
            return None
        table = self.draw.choice(hits)
        if kind != "i32":
            return [*self.value("i32"), instruction("table.get", table)]
        if self.draw.random() < 0.5:
            return [instruction("table.size", table)]
        element = self.plan.tables[table].element
        return [*self.value(element), *self.value("i32"), instruction("table.grow", table)]

    def called(self, kind: ValType) -> Code | None:
        """
        A call, or one through a table, whose only result has this type.
        """
        return self.call((kind,))

    def call(self, results: tuple[ValType, ...]) -> Code | None:
        """
        A call that leaves *results*.
        """
        made = self.plan
        hits = [i for i, t in enumerate(made.function_types) if made.types[t].results == results]
        types = [i for i, described in enumerate(made.types) if described.results == results]
        tables = [i for i, table in enumerate(made.tables) if table.element == "funcref"]
        code: Code = []
        if types and tables and self.draw.random() < 0.4:
            index = self.draw.choice(types)
            for kind in made.types[index].parameters:
                code += self.value(kind)
            operator = instruction("call_indirect", index, self.draw.choice(tables))
            return [*code, *self.value("i32"), operator]
        if not hits:
            return None
        index = self.draw.choice(hits)
        for kind in made.types[made.function_types[index]].parameters:
            code += self.value(kind)
        return [*code, instruction("call", index)]

    # -------------------------------------------------------------------------- blocks

    def blocked(self, results: tuple[ValType, ...]) -> Code | None:
        """
        A block, loop or if that leaves *results*; with parameters where a type has them.
        """
        if len(self.labels) > 4:
            return None
        draw = self.draw
        inline: ImmediateValue = results[0] if results else "empty"
        types = [(i, t) for i, t in enumerate(self.plan.types) if t.results == results]
        starts: tuple[ValType, ...] = ()
        block: ImmediateValue = inline
        if types and (len(results) > 1 or draw.random() < 0.3):
            block, found = draw.choice(types)
            starts = found.parameters
        elif len(results) > 1:
            return None
        opener = draw.choice(("block", "loop", "if"))
        code: Code = []
        for kind in starts:
            code += self.value(kind)
        if opener == "if":
            code += self.value("i32")
        code.append(instruction(opener, block))
        code += self.inside(opener, starts, results)
        if opener == "if" and (starts != results or draw.random() < 0.5):
            code += [b"\x05", *self.inside(opener, starts, results)]
        return [*code, b"\x0b"]

    def inside(
        self, opener: str, starts: tuple[ValType, ...], results: tuple[ValType, ...]
    ) -> Code:
        """
        What a block holds: its parameters are dropped first, or are its results.
        """
        self.labels.append(starts if opener == "loop" else results)
        if starts and starts == results and self.draw.random() < 0.5:
            made = self.statement()
        else:
            made = [b"\x1a"] * len(starts) + self.sequence(results)
        self.labels.pop()
        return made

    def away(self) -> Code:
        """
        `br`, `br_table`, `return` or `unreachable`, and code that nothing reaches.
        """
        draw = self.draw
        depth = draw.randrange(len(self.labels))
        label = self.labels[-1 - depth]
        values = [part for kind in label for part in self.value(kind)]
        same = [d for d in range(len(self.labels)) if self.labels[-1 - d] == label]
        returned = [part for kind in self.own.results for part in self.value(kind)]
        tabled = Labels(tuple(draw.choices(same, k=draw.randrange(4))), depth)
        made = draw.choice(
            (
                [b"\0"],
                [*values, instruction("br", depth)],
                [*values, *self.value("i32"), instruction("br_table", tabled)],
                [*returned, instruction("return")],
            )
        )
        dead: tuple[Code, ...] = ([], [b"\1"], [b"\x1a"], [b"\x6a", b"\x1a"], [b"\x1b", b"\x1a"])
        return [*made, *draw.choice(dead)]

    # ---------------------------------------------------------------------- statements

    def statement(self) -> Code:
        """
        Instructions that leave nothing.
        """
        self.budget -= 1
        if self.budget <= 0:
            return [b"\1"]
        kind = self.draw.choice(TYPES)
        return self._pick(
            [lambda: [*self.value(kind), b"\x1a"], self.stored, self.stored, self.branch,
             lambda: self.blocked(()), lambda: self.call(()), self.bulk, self.kept, self.kept]
        )  # fmt: skip

    def stored(self) -> Code | None:
        """
        A store, or another operator of the table without results.
        """
        opcode = self.draw.choice(_EFFECTS)
        if (opcode.immediates and not self.plan.memory) or opcode.signature is None:
            return None
        made: Code = []
        for operand in opcode.signature.parameters:
            made += self.value(operand)
        return [*made, self.operator(opcode)]

    def branch(self) -> Code:
        """
        `br_if`, whose values are dropped afterwards.
        """
        depth = self.draw.randrange(len(self.labels))
        label = self.labels[-1 - depth]
        values = [part for kind in label for part in self.value(kind)]
        return [*values, *self.value("i32"), instruction("br_if", depth), *[b"\x1a"] * len(label)]

    def kept(self) -> Code | None:
        """
        `local.set` or `global.set`.
        """
        places = [("local.set", i, kind) for i, kind in enumerate(self.locals)]
        places += [("global.set", i, g.type) for i, g in enumerate(self.plan.globals) if g.mutable]
        if not places:
            return None
        operator, index, kind = self.draw.choice(places)
        return [*self.value(kind), instruction(operator, index)]

    def bulk(self) -> Code | None:
        """
        Operators on tables and segments.
        """
        draw, made = self.draw, self.plan
        three = [part for _ in range(3) for part in self.value("i32")]
        choices: list[Code] = []
        for index, table in enumerate(made.tables):
            element = self.value(table.element)
            choices.append([*self.value("i32"), *element, instruction("table.set", index)])
            fill = [*self.value("i32"), *element, *self.value("i32")]
            choices.append([*fill, instruction("table.fill", index)])
            choices += [
                [*three, instruction("table.copy", index, other)]
                for other, found in enumerate(made.tables)
                if found.element == table.element
            ]
            choices += [
                [*three, instruction("table.init", segment, index)]
                for segment, (kind, _) in enumerate(made.elements)
                if kind == table.element
            ]
        choices += [[instruction("elem.drop", index)] for index in range(len(made.elements))]
        for index in range(made.data):
            choices.append([*three, instruction("memory.init", index, 0)])
            choices.append([instruction("data.drop", index)])
        return draw.choice(choices) if choices else None


def constant(draw: random.Random, kind: ValType, referable: list[int]) -> bytes:
    """
    A constant of this type; edge values are frequent.
    """
    if kind == "funcref" and referable and draw.random() < 0.7:
        return instruction("ref.func", draw.choice(referable))
    if kind in ("funcref", "externref"):
        return instruction("ref.null", kind)
    name, bits = _LEAVES[kind]
    value = draw.choice((0, 1, (1 << bits) - 1, 1 << (bits - 1), draw.getrandbits(bits)))
    if kind in ("i32", "i64") and value >> (bits - 1):
        value -= 1 << bits
    return instruction(name, value)
