"""
Validates one function body, instruction by instruction.

Source: core specification 2.0, appendix "Validation Algorithm". Iterative: nesting costs memory,
never recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from conformance.wasm.checker import Checker, Context, Types
from conformance.wasm.instructions import Instruction, Labels
from conformance.wasm.opcodes import BY_NAME, OPCODES, ValType
from conformance.wasm.parts import DefinedFunction

_REFERENCES: Final = ("funcref", "externref")
_IF: Final = BY_NAME["if"].code


def check_body(context: Context, function: DefinedFunction) -> None:
    """
    Raise BadModuleError for the first instruction of *function* that is not valid.
    """
    checker = Checker.entered(context, function)
    stack, frames, pop = checker.stack, checker.frames, checker.pop
    for instruction in function.body:
        checker.at = instruction
        opcode = instruction.opcode
        signature = opcode.signature
        if signature is None:
            _HANDLERS[opcode.name](checker)
            continue
        if opcode.code in _WITH_INDICES:
            checker.check_immediates()
        for wanted in reversed(signature.parameters):
            # The usual case, without a call: the type is there and belongs to this block.
            if len(stack) > frames[-1].height and stack[-1] == wanted:
                del stack[-1]
            else:
                pop(wanted)
        stack.extend(signature.results)


def advance(checker: Checker, instruction: Instruction) -> None:
    """
    Take one instruction, as `check_body` does: afterwards *checker* is in the state behind it.

    Raises BadModuleError where it is not valid.
    """
    checker.at = instruction
    opcode = instruction.opcode
    if opcode.signature is None:
        _HANDLERS[opcode.name](checker)
        return
    if opcode.code in _WITH_INDICES:
        checker.check_immediates()
    checker.pop_all(opcode.signature.parameters)
    checker.stack.extend(opcode.signature.results)


# ------------------------------------------------ instructions whose types depend on the context


def _unreachable(checker: Checker) -> None:
    checker.leave()


def _block(checker: Checker) -> None:
    starts, ends = checker.block_types()
    if checker.at.opcode.code == _IF:
        checker.pop("i32")
    checker.pop_all(starts)
    checker.open(starts, ends)


def _else(checker: Checker) -> None:
    frame = checker.close()
    checker.open(frame.starts, frame.ends)


def _end(checker: Checker) -> None:
    frame = checker.close()
    if frame.code == _IF and frame.starts != frame.ends:
        checker.fail("if-without-else", "an if that changes the stack needs an else")
    checker.stack.extend(frame.ends)


def _br(checker: Checker) -> None:
    checker.pop_all(checker.label(checker.index))
    checker.leave()


def _br_if(checker: Checker) -> None:
    checker.pop("i32")
    types = checker.label(checker.index)
    checker.pop_all(types)
    checker.stack.extend(types)


def _br_table(checker: Checker) -> None:
    checker.pop("i32")
    labels = cast("Labels", checker.at.immediates[0])
    default = checker.label(labels.default)
    for depth in dict.fromkeys(labels.labels):
        types = checker.label(depth)
        if len(types) != len(default):
            counts = f"{len(types)} and {len(default)} values"
            checker.fail("type-mismatch", f"its labels carry {counts}")
        checker.stack.extend(checker.pop_all(types))
    checker.pop_all(default)
    checker.leave()


def _return(checker: Checker) -> None:
    checker.pop_all(checker.frames[0].ends)
    checker.leave()


def _call(checker: Checker) -> None:
    module = checker.context.module
    if checker.index >= len(module.function_types):
        count = len(module.function_types)
        message = f"there is no function {checker.index}, the module has {count}"
        checker.fail("unknown-function", message)
    called = module.function_type(checker.index)
    checker.pop_all(called.parameters)
    checker.stack.extend(called.results)


def _call_indirect(checker: Checker) -> None:
    type_index, table_index = cast("tuple[int, int]", checker.at.immediates)
    table = checker.table_at(table_index)
    if table.element != "funcref":
        checker.fail("type-mismatch", f"table {table_index} holds {table.element}, not functions")
    called = checker.type_at(type_index)
    checker.pop("i32")
    checker.pop_all(called.parameters)
    checker.stack.extend(called.results)


def _drop(checker: Checker) -> None:
    checker.pop(None)


def _select(checker: Checker) -> None:
    checker.pop("i32")
    second = checker.pop(None)
    first = checker.pop(second)
    if first in _REFERENCES:
        checker.fail("type-mismatch", "references can be selected only with a type")
    checker.stack.append(first)


def _select_typed(checker: Checker) -> None:
    types = cast("Types", checker.at.immediates[0])
    if len(types) != 1:
        checker.fail("select-types", f"it names {len(types)} types, where it must name one")
    checker.pop("i32")
    checker.pop(types[0])
    checker.pop(types[0])
    checker.stack.append(types[0])


def _local_get(checker: Checker) -> None:
    checker.stack.append(checker.local_at())


def _local_set(checker: Checker) -> None:
    checker.pop(checker.local_at())


def _local_tee(checker: Checker) -> None:
    value_type = checker.local_at()
    checker.pop(value_type)
    checker.stack.append(value_type)


def _global(checker: Checker) -> None:
    types = checker.context.module.global_types
    if checker.index >= len(types):
        message = f"there is no global {checker.index}, the module has {len(types)}"
        checker.fail("unknown-global", message)
    found = types[checker.index]
    if checker.at.opcode.name == "global.get":
        checker.stack.append(found.type)
        return
    if not found.mutable:
        checker.fail("immutable-global", f"global {checker.index} is not mutable")
    checker.pop(found.type)


def _table(checker: Checker) -> None:
    """
    `table.get`, `table.set`, `table.grow` and `table.fill`.
    """
    element = checker.table_at(checker.index).element
    operands: dict[str, tuple[Types, Types]] = {
        "table.get": (("i32",), (element,)),
        "table.set": (("i32", element), ()),
        "table.grow": ((element, "i32"), ("i32",)),
        "table.fill": (("i32", element, "i32"), ()),
    }
    taken, given = operands[checker.at.opcode.name]
    checker.pop_all(taken)
    checker.stack.extend(given)


def _ref_null(checker: Checker) -> None:
    checker.stack.append(cast("ValType", checker.at.immediates[0]))


def _ref_is_null(checker: Checker) -> None:
    found = checker.pop(None)
    if found is not None and found not in _REFERENCES:
        checker.fail("type-mismatch", f"a reference is wanted, {found} is on the stack")
    checker.stack.append("i32")


_HANDLERS: Final[dict[str, Callable[[Checker], None]]] = {
    "unreachable": _unreachable,
    "block": _block,
    "loop": _block,
    "if": _block,
    "else": _else,
    "end": _end,
    "br": _br,
    "br_if": _br_if,
    "br_table": _br_table,
    "return": _return,
    "call": _call,
    "call_indirect": _call_indirect,
    "drop": _drop,
    "select": _select,
    "select_t": _select_typed,
    "local.get": _local_get,
    "local.set": _local_set,
    "local.tee": _local_tee,
    "global.get": _global,
    "global.set": _global,
    "table.get": _table,
    "table.set": _table,
    "table.grow": _table,
    "table.fill": _table,
    "ref.null": _ref_null,
    "ref.is_null": _ref_is_null,
}
_CHECKED: Final = {"memarg", "memory", "lane", "lanes", "table", "data", "element", "function"}
_WITH_INDICES: Final = frozenset(
    code
    for code, opcode in OPCODES.items()
    if opcode.signature is not None and _CHECKED.intersection(opcode.immediates)
)
