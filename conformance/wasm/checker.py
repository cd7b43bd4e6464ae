"""
The state of a body's validation: a stack of types, a stack of frames, and what indices mean.

Source: core specification 2.0, appendix "Validation Algorithm".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn, cast

from conformance.wasm.errors import BadModuleError
from conformance.wasm.instructions import BlockType, Instruction, MemArg
from conformance.wasm.items import FunctionType, TableType
from conformance.wasm.opcodes import BY_NAME, OPCODES, ValType
from conformance.wasm.parts import DefinedFunction, Parts

Types = tuple[ValType, ...]
_LANES: Final = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "f32x4": 4, "i64x2": 2, "f64x2": 2}
_VECTOR_BYTES: Final = 16
_LOOP: Final = BY_NAME["loop"].code


def _lane_count(code: int) -> int:
    opcode = OPCODES[code]
    if opcode.alignment is not None:
        return _VECTOR_BYTES >> opcode.alignment
    return _LANES[opcode.name.partition(".")[0]]


_LANE_COUNTS: Final = {
    code: _lane_count(code) for code, opcode in OPCODES.items() if "lane" in opcode.immediates
}


@dataclass(frozen=True, slots=True)
class Context:
    """
    The module around a body, and the functions that a body may take references to.
    """

    module: Parts
    declared: frozenset[int]


@dataclass(slots=True)
class Frame:
    """
    One open block: what it takes and gives, and how high the stack was below it.
    """

    code: int
    starts: Types
    ends: Types
    height: int
    unreachable: bool = False

    @property
    def label(self) -> Types:
        """
        Types that a branch to this block carries.
        """
        return self.starts if self.code == _LOOP else self.ends


@dataclass(slots=True)
class Checker:
    """
    Where the validation of one body stands.
    """

    context: Context
    function: DefinedFunction
    stack: list[ValType | None] = field(default_factory=list)
    """Types from the bottom up; None is the type of a value that unreachable code may have."""
    frames: list[Frame] = field(default_factory=list)
    locals: list[ValType] = field(default_factory=list)
    at: Instruction = field(init=False)

    @classmethod
    def entered(cls, context: Context, function: DefinedFunction) -> Checker:
        """
        The state before the first instruction of *function*.
        """
        own = context.module.function_type(function.index)
        checker = cls(context, function)
        checker.locals.extend(own.parameters)
        for run in function.body.locals:
            checker.locals.extend([run.type] * run.count)
        checker.frames.append(Frame(BY_NAME["block"].code, (), own.results, 0))
        return checker

    def fail(self, rule: str, sentence: str) -> NoReturn:
        """
        Refuse the instruction at hand.
        """
        where = self.context.module.function_name(self.function.index)
        message = f"{self.at.opcode.name} in {where}: {sentence}"
        raise BadModuleError(rule, self.at.offset, message)

    # ------------------------------------------------------------------------------ stacks

    def pop(self, wanted: ValType | None) -> ValType | None:
        """
        Take the topmost type, which must be *wanted* (None: any) or unknown.
        """
        frame = self.frames[-1]
        if len(self.stack) == frame.height:
            if frame.unreachable:
                return wanted
            what = f"an operand of type {wanted}" if wanted else "an operand"
            self.fail("stack-underflow", f"{what} is missing")
        found = self.stack.pop()
        if found is None:
            return wanted
        if wanted is not None and found != wanted:
            self.fail("type-mismatch", f"{wanted} is wanted, {found} is on the stack")
        return found

    def pop_all(self, wanted: Types) -> list[ValType | None]:
        """
        Take types, the last first; returns them in the order of *wanted*.
        """
        stack, count = self.stack, len(wanted)
        bottom = len(stack) - count
        if bottom >= self.frames[-1].height and tuple(stack[bottom:]) == wanted:
            # Signatures may have a thousand types: the usual case is one comparison.
            del stack[bottom:]
            return list(wanted)
        found = [self.pop(value_type) for value_type in reversed(wanted)]
        found.reverse()
        return found

    def open(self, starts: Types, ends: Types) -> None:
        """
        Enter a block.
        """
        self.frames.append(Frame(self.at.opcode.code, starts, ends, len(self.stack)))
        self.stack.extend(starts)

    def close(self) -> Frame:
        """
        Leave the innermost block, whose results must be all that is on the stack.
        """
        frame = self.frames[-1]
        self.pop_all(frame.ends)
        left = len(self.stack) - frame.height
        if left:
            self.fail("leftover-values", f"{left} more values are on the stack than results")
        return self.frames.pop()

    def leave(self) -> None:
        """
        What follows in this block cannot be reached.
        """
        frame = self.frames[-1]
        del self.stack[frame.height :]
        frame.unreachable = True

    def label(self, depth: int) -> Types:
        """
        Types that a branch to the label *depth* carries.
        """
        if depth >= len(self.frames):
            self.fail("unknown-label", f"there is no label {depth}, {len(self.frames)} are open")
        return self.frames[-1 - depth].label

    # ----------------------------------------------------------------------------- indices

    @property
    def index(self) -> int:
        """
        The first immediate, where it is an index.
        """
        return cast("int", self.at.immediates[0])

    def type_at(self, index: int) -> FunctionType:
        """
        The function type *index*.
        """
        types = self.context.module.types
        if index >= len(types):
            self.fail("unknown-type", f"there is no type {index}, the module has {len(types)}")
        return types[index].type

    def table_at(self, index: int) -> TableType:
        """
        The table *index*.
        """
        tables = self.context.module.table_types
        if index >= len(tables):
            self.fail("unknown-table", f"there is no table {index}, the module has {len(tables)}")
        return tables[index]

    def local_at(self) -> ValType:
        """
        The type of the local that is named.
        """
        if self.index >= len(self.locals):
            count = len(self.locals)
            self.fail("unknown-local", f"there is no local {self.index}, there are {count}")
        return self.locals[self.index]

    def block_types(self) -> tuple[Types, Types]:
        """
        What the block at hand takes and gives.
        """
        block = cast("BlockType", self.at.immediates[0])
        if isinstance(block, int):
            found = self.type_at(block)
            return found.parameters, found.results
        return (), () if block == "empty" else (block,)

    def check_immediates(self) -> None:
        """
        Indices, alignments and lanes of an instruction whose types are in the table.
        """
        opcode = self.at.opcode
        module = self.context.module
        for kind, value in zip(opcode.immediates, self.at.immediates, strict=True):
            if kind in ("memarg", "memory") and not module.memory_types:
                self.fail("unknown-memory", "the module has no memory")
            if isinstance(value, MemArg) and value.alignment > (opcode.alignment or 0):
                promised = f"2^{value.alignment} bytes are promised"
                self.fail("over-aligned", f"{promised}, the access has 2^{opcode.alignment}")
            elif kind == "lanes" and max(cast("tuple[int, ...]", value)) >= 2 * _VECTOR_BYTES:
                self.fail("unknown-lane", "a lane of a shuffle is not below 32")
            elif kind == "lane" and cast("int", value) >= _LANE_COUNTS[opcode.code]:
                count = _LANE_COUNTS[opcode.code]
                self.fail("unknown-lane", f"there is no lane {value}, there are {count}")
            elif kind == "table":
                self.table_at(cast("int", value))
            elif kind == "data" and cast("int", value) >= (module.data_count or 0):
                self.fail("unknown-data", f"there is no data segment {value}")
            elif kind == "element" and cast("int", value) >= len(module.elements):
                self.fail("unknown-element", f"there is no element segment {value}")
            elif kind == "function":
                self.check_reference(cast("int", value))
        self.check_table_types()

    def check_reference(self, index: int) -> None:
        """
        A function that `ref.func` names: it must exist and occur outside of bodies.
        """
        count = len(self.context.module.function_types)
        if index >= count:
            self.fail("unknown-function", f"there is no function {index}, the module has {count}")
        if index not in self.context.declared:
            self.fail("undeclared-reference", f"function {index} occurs in no segment or export")

    def check_table_types(self) -> None:
        """
        `table.init` and `table.copy` must not mix kinds of references.
        """
        name = self.at.opcode.name
        if name == "table.init":
            segment, table = cast("tuple[int, int]", self.at.immediates)
            source = self.context.module.elements[segment].type
            target = self.table_at(table).element
        elif name == "table.copy":
            to, origin = cast("tuple[int, int]", self.at.immediates)
            source, target = self.table_at(origin).element, self.table_at(to).element
        else:
            return
        if source != target:
            self.fail("type-mismatch", f"{source} cannot go into a table of {target}")
