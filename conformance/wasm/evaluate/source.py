"""
From bytes to a validated module whose bodies are plain lists of instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conformance.wasm.code_entry import CONTROL, check_nesting, read_entry
from conformance.wasm.errors import BadModuleError, unsupported
from conformance.wasm.instructions import Instruction, read_instruction
from conformance.wasm.items import LocalRun, Span
from conformance.wasm.outline import needs_data_count, read_file
from conformance.wasm.parts import Parts
from conformance.wasm.reader import Reader
from conformance.wasm.sections import vector
from conformance.wasm.validate import validate


@dataclass(frozen=True, slots=True)
class PlainBody:
    """
    One entry of the code section, decoded at once.
    """

    locals: tuple[LocalRun, ...]
    entry: Span
    """With the size field in front."""
    span: Span
    """Declaration of locals and instructions."""
    instructions: tuple[Instruction, ...] = field(repr=False)

    def __len__(self) -> int:
        """
        Number of instructions, the final `end` included.
        """
        return len(self.instructions)

    def __iter__(self) -> Iterator[Instruction]:
        """
        The instructions in order.
        """
        return iter(self.instructions)

    @property
    def local_count(self) -> int:
        """
        Number of declared locals; parameters are not among them.
        """
        return sum(run.count for run in self.locals)


@dataclass(frozen=True, slots=True)
class PlainFunction:
    """
    A function of the module's own.
    """

    index: int
    """Imported functions are counted first."""
    type_index: int
    declared: Span
    """Its entry in the function section."""
    body: PlainBody


def read_module(data: bytes) -> Parts:
    """
    Decode and validate a module without SIMD.

    Raises BadModuleError; its rule is `proposal-...` for what the evaluator does not know.
    """
    module = read_file(data, _read_code, PlainFunction, Parts)
    _check_data_count(module)
    validate(module)
    _refuse_vectors(module)
    return module


def _read_code(reader: Reader) -> tuple[PlainBody, ...]:
    return vector(reader, "function bodies", 2, _body)


def _body(reader: Reader) -> PlainBody:
    entry = read_entry(reader)
    inner = Reader(reader.data, entry.instructions, entry.span.end, "a function body")
    found: list[Instruction] = []
    while inner.left:
        found.append(read_instruction(inner))
    control = [place for place, one in enumerate(found) if one.opcode.code in CONTROL]
    codes = [found[place].opcode.code for place in control]
    check_nesting(control, codes, lambda place: found[place].offset, len(found), entry.span.end)
    return PlainBody(entry.locals, entry.entry, entry.span, tuple(found))


def _check_data_count(module: Parts) -> None:
    if module.data_count is None:
        for function in module.functions:
            for instruction in function.body:
                if instruction.opcode.name in ("memory.init", "data.drop"):
                    raise needs_data_count(instruction.opcode.name, instruction.offset)


def _refuse_vectors(module: Parts) -> None:
    for offset in _vectors(module):
        raise unsupported_vector(offset)


def unsupported_vector(offset: int) -> BadModuleError:
    """
    The refusal of a module that needs SIMD at *offset*.
    """
    return unsupported("simd", offset, "a vector")


def _vectors(module: Parts) -> Iterator[int]:
    """
    Offsets of everything that has to do with vectors.
    """
    yield from _typed(
        (item.type.parameters + item.type.results, item.span) for item in module.types
    )
    yield from _typed(((found.type,), Span(8, 8)) for found in module.global_types)
    for function in module.functions:
        yield from _typed(((run.type,), run.span) for run in function.body.locals)
        for instruction in function.body:
            block = instruction.opcode.immediates == ("block",)
            if instruction.opcode.proposal == "simd" or (
                block and instruction.immediates[0] == "v128"
            ):
                yield instruction.offset


def _typed(found: Iterable[tuple[tuple[str, ...], Span]]) -> Iterator[int]:
    for types, span in found:
        if "v128" in types:
            yield span.start
