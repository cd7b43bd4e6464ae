"""
Modules of the usual shapes whose memory grows, and is refused growth, in the midst of what they do.

A generator of its own: the usual modules of a seed stay what they were. Memory begins with one page
and may have three, so that growth is granted at first and refused later, by the module's own limit,
which is the same for every engine.
"""

from __future__ import annotations

from typing import Final

from conformance.generate.body import PAGE_BYTES, Body
from conformance.generate.choices import Choices, Replayed, Seeded, one_of
from conformance.generate.modules import GeneratedModule, Plan, described
from conformance.generate.operators import LOADS, STORES
from conformance.generate.statements import STATEMENTS, Statement
from conformance.wasm.instructions import MemArg
from conformance.wasm.opcodes import ValType

MOST_PAGES: Final = 3
_ASKED: Final = (1, 0, 2, 3, 128, 129, 65_535)
"""Pages that are asked for: few, around the price step of a meter, and all there are."""
_KINDS: Final[tuple[ValType, ...]] = ("i32", "i64", "f32", "f64")


def grow(body: Body) -> None:
    """
    Ask for pages, by a literal or by a number from memory; keep the answer where it is observed.
    """
    body.patterns.append("growth")
    if body.choices.below(4):
        body.emit("i32.const", one_of(body.choices, _ASKED))
    else:
        # No compiler knows what a load gives: some price a refused literal otherwise.
        body.emit("i32.const", body.choices.below(64))
        body.emit("i32.load8_u", MemArg(0, body.around.weights))
    body.emit("memory.grow", 0)
    body.emit("global.set", body.around.globals["i32"])


def new_page(body: Body) -> None:
    """
    Grow by a page; store at its end and load its start, which must be zero, where it was granted.
    """
    body.patterns.append("new page")
    kind = one_of(body.choices, _KINDS)
    base = body.local("i32")
    body.emit("i32.const", 1)
    body.emit("memory.grow", 0)
    body.emit("i32.const", 16)
    body.emit("i32.shl")
    body.emit("local.tee", base)
    body.emit("i32.const", 0)
    body.emit("i32.gt_s")
    body.emit("if", "empty")
    body.emit("local.get", base)
    body.value(kind, 2)
    access = STORES[kind][0]
    body.emit(access.name, MemArg(0, PAGE_BYTES - access.width))
    body.emit("local.get", base)
    body.emit(LOADS[kind][0].name, MemArg(0, body.choices.below(64)))
    body.emit("global.set", body.around.globals[kind])
    body.emit("end")


def size(body: Body) -> None:
    """
    The number of pages as a value.
    """
    body.patterns.append("size")
    body.emit("memory.size", 0)
    body.emit("global.set", body.around.globals["i32"])


GROWING: Final[tuple[Statement, ...]] = (grow, new_page, *STATEMENTS, grow, size, new_page)


def growing(seed: int, index: int = 0) -> GeneratedModule:
    """
    The growing module number *index* of a seed.
    """
    source = Seeded(seed, index)
    return grown(source)


def regrown(sequence: tuple[int, ...]) -> GeneratedModule:
    """
    The growing module that a sequence of decisions gives, whatever numbers are in it.
    """
    source = Replayed(sequence)
    return grown(source)


def grown(choices: Choices) -> GeneratedModule:
    """
    A growing module from any source of decisions.
    """
    plan = Plan(choices, GROWING, MOST_PAGES)
    plan.build()
    return described(plan, choices)
