"""
Frames: locals that a compiler keeps in linear memory, at known distances below the stack pointer.

Without optimisation every variable of the source is such a cell. Cells are state like locals, as
long as all other writes stay off them; that is supposed here, and proved with everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.layout import Layout
from conformance.bounds.prove.segments import Executor, _Run
from conformance.bounds.prove.states import Cell, Frame, Region
from conformance.bounds.prove.terms import Term, Terms, leaves

_LARGEST: Final = 1 << 20
"""Bytes of a frame."""
_MOST_CELLS: Final = 64
_STRAIGHT: Final = frozenset(
    {"block", "loop", "if", "else", "end", "br", "br_if", "br_table", "return", "unreachable",
     "call", "call_indirect", "memory.grow"}
)  # fmt: skip


def find_frames(image: Image, entry: int, terms: Terms) -> dict[int, Frame]:
    """
    By function, the frame of each that has one.
    """
    pointer = stack_pointer(image)
    if pointer is None:
        return {}
    found: dict[int, Frame] = {}
    for function in sorted(image.reachable(entry)):
        frame = _frame(image, image.layout(function), pointer, terms)
        if frame is not None:
            found[function] = frame
    return found


def stack_pointer(image: Image) -> int | None:
    """
    By the convention of LLVM, the first mutable i32 global that starts above 0.
    """
    for index, kind in enumerate(image.module.global_types):
        if kind.type == "i32" and kind.mutable and image.module.globals:
            return index if image.initial_globals[index] != 0 else None
    return None


def _frame(image: Image, layout: Layout, pointer: int, terms: Terms) -> Frame | None:
    executor = Executor(terms, image, layout, is_entry=False)
    top = executor.entry_globals[pointer]
    if top.value is not None:
        # Nothing writes the stack pointer, which then is a number: frames are told by a symbol.
        top = terms.variable("entry-global", pointer, 32)
        executor.entry_globals[pointer] = top
    fixed = _fixed(executor, layout)
    sizes = [_below(value, top) for value in fixed.values()]
    size = max((s for s in sizes if s is not None), default=0)
    if not 0 < size <= _LARGEST:
        return None
    frame = Frame(pointer, size, fixed)
    executor.frame = frame
    regions = [executor.region(cut) for cut in layout.cuts]
    cells = tuple(_cells(regions, top, size))
    return replace(frame, cells=cells[:_MOST_CELLS])


def _below(value: Term, top: Term) -> int | None:
    """
    How far *value* lies below *top*, if it does.
    """
    if value.operator == "add" and value.operands[0] is top and value.operands[1].value is not None:
        return (1 << 32) - value.operands[1].value
    return None


def _fixed(executor: Executor, layout: Layout) -> dict[int, Term]:
    """
    Locals that keep one value from the first instructions on: a sum over what the entry finds.
    """
    times: dict[int, list[int]] = {}
    for at, instruction in enumerate(layout.code):
        if instruction.opcode.name in ("local.set", "local.tee"):
            number: Any = instruction.immediates[0]
            times.setdefault(number, []).append(at)
    end = next(
        (at for at, item in enumerate(layout.code) if item.opcode.name in _STRAIGHT), 0
    )  # fmt: skip
    state = executor.start(ENTRY)
    run = _Run(executor, Region(ENTRY, state))
    for at in range(end):
        run.plain(at, layout.code[at], state)
    known: dict[Term, frozenset[Term]] = {}
    found: dict[int, Term] = {}
    for number, value in enumerate(state.locals):
        places = times.get(number, [])
        is_parameter = number < len(executor.params)
        if len(places) > (0 if is_parameter else 1) or (places and places[0] >= end):
            continue
        if not places and not is_parameter:
            continue
        names = leaves(value, known)
        if value.operator in ("param", "entry-global", "const", "add") and all(
            name.operator in ("param", "entry-global") for name in names
        ):
            found[number] = value
    return found


def _cells(regions: list[Region], top: Term, size: int) -> Iterator[Cell]:
    """
    Places of the frame from which integers are loaded, and which no other access cuts.
    """
    terms: dict[tuple[int, int], bool] = {}
    for region in regions:
        for loaded in region.loads:
            below = _below(loaded.address, top)
            if below is not None and below <= size:
                key = (-below, loaded.size)
                terms[key] = terms.get(key, False) or loaded.integer
        for access in region.writes:
            below = None if access.address is None else _below(access.address, top)
            if below is not None and below <= size:
                terms.setdefault((-below, access.size), False)
    places = sorted(terms)
    cut = {
        place
        for one, other in pairwise(places)
        if one[0] + one[1] > other[0]
        for place in (one, other)
    }
    for offset, length in places:
        if terms[offset, length] and (offset, length) not in cut and offset + length <= 0:
            yield Cell(offset, length)


def matters(functions: Iterable[Mapping[int, frozenset[Term]]]) -> bool:
    """
    Whether control depends on a cell, by the *functions*' relevant variables at each cut.
    """
    return any(
        variable.operator == "cell"
        for relevant in functions
        for variables in relevant.values()
        for variable in variables
    )


def without(
    frames: Mapping[int, Frame], dropped: Mapping[int, frozenset[Cell]]
) -> dict[int, Frame]:
    """
    The frames without some of their cells.
    """
    return {
        function: replace(
            frame,
            cells=tuple(c for c in frame.cells if c not in dropped.get(function, frozenset())),
        )
        for function, frame in frames.items()
    }


def spans(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """
    (Offset from the stack pointer at entry, bytes) of neighbouring cells together.
    """
    found: list[tuple[int, int]] = []
    for cell in sorted(cells, key=lambda c: c.offset):
        if found and sum(found[-1]) == cell.offset:
            found[-1] = (found[-1][0], found[-1][1] + cell.size)
        else:
            found.append((cell.offset, cell.size))
    return found


def address(executor: Executor, frame: Frame, offset: int) -> Term:
    """
    The address of a place in the frame, by what the entry finds; 32 bits.
    """
    terms = executor.terms
    return terms.two("add", executor.entry_globals[frame.pointer], terms.const(32, offset))
