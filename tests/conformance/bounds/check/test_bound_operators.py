"""
What operators of the machine and of certificates mean to the checker, against other readings.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from conformance.bounds.check.replaying.columns import Columns
from conformance.bounds.check.semantics.floats import Floats
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.reading import Reading
from conformance.bounds.check.semantics.terms import Terms
from conformance.bounds.check.solving import Solving
from conformance.bounds.expressions import Scope, State, evaluate, read
from conformance.wasm.numerics.results import Exact
from conformance.wasm.numerics.scalar import apply
from conformance.wasm.opcodes import BY_NAME, Opcode

EDGES = {
    32: [0, 1, 2, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FF80C3],
    64: [0, 1, 3, 63, 64, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0x00FF80C3_80007F12],
}
FLOATS = {
    32: [0, 0x80000000, 0x3F800000, 0xBFC00000, 0x7F800000, 0xFF800000, 0x7FC00000, 1, 0x4F000000,
         0xCF000001, 0x40200000],
    64: [0, 1 << 63, 0x3FF0000000000000, 0xBFF8000000000000, 0x7FF0000000000000, 1,
         0xFFF0000000000000, 0x7FF8000000000000, 0x41E0000000000000, 0x4004000000000000],
}  # fmt: skip


def _is_float(kind: str) -> bool:
    return kind[0] == "f"


def _integer_operators() -> list[str]:
    found = []
    for name, opcode in BY_NAME.items():
        signature = opcode.signature
        if signature is None or opcode.proposal == "simd" or "reinterpret" in name:
            continue
        kinds = (*signature.parameters, *signature.results)
        if not signature.parameters or not signature.results or opcode.alignment is not None:
            continue
        if {*kinds} <= {"i32", "i64"} and not name.startswith(("memory", "table")):
            found.append(name)
    return found


def _float_operators() -> list[str]:
    found = []
    for name, opcode in BY_NAME.items():
        signature = opcode.signature
        if signature is None or opcode.proposal == "simd" or opcode.alignment is not None:
            continue
        kinds = (*signature.parameters, *signature.results)
        if signature.parameters and any(map(_is_float, kinds)) and "reinterpret" not in name:
            found.append(name)
    return found


def _samples(opcode: Opcode, seed: int, count: int) -> list[list[int]]:
    assert opcode.signature is not None
    rng = random.Random(seed)  # noqa: S311 - a sample, not a secret
    rows = []
    for _ in range(count):
        row = []
        for kind in opcode.signature.parameters:
            table = FLOATS if _is_float(kind) else EDGES
            row.append(rng.choice([*table[WIDTH[kind]], rng.getrandbits(WIDTH[kind])]))
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", _integer_operators())
def test_each_integer_operator(name: str) -> None:
    opcode = BY_NAME[name]
    assert opcode.signature is not None
    kind, _, operator = name.partition(".")
    widths = [WIDTH[k] for k in opcode.signature.parameters]
    result = WIDTH[opcode.signature.results[0]]
    terms = Terms()
    solving = Solving(terms)
    symbols = [terms.symbol(f"x{k}", width) for k, width in enumerate(widths)]
    made = terms.integer(operator, WIDTH[kind], symbols)
    for place, row in enumerate(_samples(opcode, 7, 24)):
        wanted = apply(name, tuple(row))
        if not isinstance(wanted, Exact):
            continue
        assert terms.integer(operator, WIDTH[kind], row) == wanted.bits
        if place < 6:
            given = [terms.two("eq", x, v, w) for x, v, w in zip(symbols, row, widths, strict=True)]
            assert (
                solving.implied(given, [terms.two("eq", made, wanted.bits, result)])[0] == "holds"
            )
            other = terms.two("eq", made, wanted.bits ^ 1, result)
            assert solving.implied(given, [other])[0] == "fails"


@pytest.mark.parametrize("name", _float_operators())
def test_each_float_operator(name: str) -> None:
    opcode = BY_NAME[name]
    assert opcode.signature is not None
    result = WIDTH[opcode.signature.results[0]]
    for row in _samples(opcode, 11, 3):
        terms = Terms()
        definitions: list[Any] = []
        floats = Floats(terms, definitions=definitions.append)
        made = floats.bits(name, opcode.signature, row, follow=True)
        wanted = apply(name, tuple(row))
        solving = Solving(terms)
        if isinstance(wanted, Exact):
            equal = terms.two("eq", made, wanted.bits, result)
            assert solving.implied(definitions, [equal])[0] == "holds", (row, wanted)
        # In any case there is some value: nothing is ever assumed away.
        assert solving.satisfiable(definitions)[0] == "holds"


@pytest.mark.parametrize("name", [n for n in _float_operators() if BY_NAME[n].signature])
def test_floats_that_are_not_followed_can_be_anything(name: str) -> None:
    opcode = BY_NAME[name]
    assert opcode.signature is not None
    if name.partition(".")[2] in ("abs", "neg", "copysign"):
        return
    terms = Terms()
    found = Floats(terms).bits(name, opcode.signature, _samples(opcode, 1, 1)[0], follow=False)
    result = WIDTH[opcode.signature.results[0]]
    for value in (0, 1):
        equal = terms.two("eq", found, value, result)
        assert Solving(terms).satisfiable([equal])[0] == "holds"


WIDTHS = {"local": [32, 64, 8, 1]}
TABLES = {"t": (16, (5, 6, 7))}


def _expressions(count: int) -> list[str]:  # noqa: C901 - one grammar
    """
    Random expressions of the language, of each width.
    """
    rng = random.Random(3)  # noqa: S311 - a sample, not a secret
    binary = ["add", "sub", "mul", "udiv", "urem", "sdiv", "srem", "and", "or", "xor", "shl",
              "lshr", "ashr"]  # fmt: skip
    compare = ["eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"]
    places = {32: 0, 64: 1, 8: 2, 1: 3}

    def term(width: int, depth: int) -> str:  # noqa: PLR0911 - one return for each rule
        if depth == 0:
            constant = (
                f"(const {width} {rng.choice([0, 1, (1 << width) - 1, rng.getrandbits(width)])})"
            )
            return rng.choice([f"(local {places[width]})", constant])
        pick = rng.randrange(6)
        if pick == 0:
            return f"(ite {formula(depth - 1)} {term(width, depth - 1)} {term(width, depth - 1)})"
        if pick == 1 and width in (32, 64):
            return f"({rng.choice(['zext', 'sext'])} {width} {term(8, depth - 1)})"
        if pick == 2 and width in (8, 1):
            return f"(extract {width} {1} {term(32, depth - 1)})"
        if pick == 3:
            return f"({rng.choice(['not', 'neg'])} {term(width, depth - 1)})"
        if pick == 4 and width == 32:
            return f"(zext 32 (lookup t {term(8, depth - 1)}))"
        return f"({rng.choice(binary)} {term(width, depth - 1)} {term(width, depth - 1)})"

    def formula(depth: int) -> str:
        pick = rng.randrange(4)
        if pick == 0 and depth:
            return f"({rng.choice(['all', 'any'])} {formula(depth - 1)} {formula(depth - 1)})"
        if pick == 1 and depth:
            return f"(no {formula(depth - 1)})"
        width = rng.choice([1, 8, 32, 64])
        below = max(0, depth - 1)
        return f"({rng.choice(compare)} {term(width, below)} {term(width, below)})"

    return [formula(3) for _ in range(count)]


def test_an_expression_means_the_same_to_integers_to_columns_and_to_the_solver() -> None:
    rng = random.Random(5)  # noqa: S311 - a sample, not a secret
    scope = Scope(WIDTHS, TABLES)
    seen = set()
    for text in _expressions(150):
        expression = read(text, scope)
        rows = [[rng.choice([0, 1, rng.getrandbits(width), (1 << width) - 1]) for width in
                 WIDTHS["local"]] for _ in range(4)]  # fmt: skip
        wanted = [evaluate(expression, State({"local": row}, None, TABLES)) for row in rows]
        seen.update(wanted)
        local = {k: np.array([row[k] for row in rows], np.uint64) for k in range(4)}
        columns = Columns(4, {"local": local}, lambda _, __: None, TABLES)
        assert columns.formula(expression).tolist() == [bool(value) for value in wanted], text
        terms = Terms()
        symbols = [terms.symbol(f"x{k}", width) for k, width in enumerate(WIDTHS["local"])]
        value = Reading(terms, {"local": symbols}, TABLES, lambda _, __: None).value(expression)
        given = [terms.two("eq", x, v, w)
                 for x, v, w in zip(symbols, rows[0], WIDTHS["local"], strict=True)]  # fmt: skip
        goal = value if wanted[0] else terms.no(value)
        assert Solving(terms).implied(given, [goal])[0] == "holds", text
    assert seen == {0, 1}


def test_trailing_zeros_are_zero() -> None:
    terms = Terms()
    rng = random.Random(9)  # noqa: S311 - a sample, not a secret
    known: list[Any] = [terms.symbol("x", 32), terms.symbol("y", 32)]
    total = 0
    for _ in range(120):
        operator = rng.choice(["add", "sub", "mul", "and", "or", "xor", "shl", "lshr"])
        constant = rng.choice([1, 2, 3, 4, 8, 12, 0xFFF0])
        right = rng.choice([rng.choice(known), constant, constant])
        made = terms.two(operator, rng.choice(known[:2] + known[-4:]), right, 32)
        zeros = terms.trailing_zeros(made)
        if zeros:
            low = terms.apply("extract", (zeros - 1, 0), zeros, [made], [32])
            assert Solving(terms).implied([], [terms.two("eq", low, 0, zeros)])[0] == "holds"
            total += 1
        known.append(made)
    assert total > 10


def test_the_solver_gives_up_by_its_own_count() -> None:
    terms = Terms()
    a, b, c = (terms.symbol(name, 64) for name in "abc")
    product = terms.two("mul", terms.two("mul", a, b, 64), c, 64)
    other = terms.two("mul", a, terms.two("mul", c, b, 64), 64)
    odd = terms.two("eq", terms.two("mul", product, product, 64), 0xDEADBEEF12345679, 64)
    goal = terms.either(terms.no(odd), terms.two("eq", product, terms.two("add", other, 1, 64), 64))
    assert Solving(terms, resources=100).implied([], [goal])[0] == "undecided"
