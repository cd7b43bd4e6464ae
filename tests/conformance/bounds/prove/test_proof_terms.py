"""
Terms mean what they were made from: simplified or not, in text, and in z3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bounds.expressions import Scope, State, apply_integers, read
from conformance.bounds.expressions import evaluate as evaluate_text
from conformance.bounds.prove.machine import integer
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.terms import Term, Terms, evaluate, text

WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 31, 2**31, 2**32 - 1]))
BINARY = ("add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "urem")
ORDERS = ("eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge")


@dataclass
class Made:
    """
    A term and its value, computed beside it without simplification.
    """

    terms: Terms = field(default_factory=Terms)

    def node(self, draw: st.DrawFn, depth: int, values: list[int]) -> tuple[Term, int]:
        if depth == 0 or draw(st.integers(0, 3)) == 0:
            at = draw(st.integers(0, 3))
            if at == 3:
                number = draw(WORDS)
                return self.terms.const(32, number), number
            return self.terms.variable("local", at, 32), values[at]
        left, a = self.node(draw, depth - 1, values)
        right, b = self.node(draw, depth - 1, values)
        if draw(st.booleans()):
            operator = draw(st.sampled_from(BINARY))
            return self.terms.two(operator, left, right), apply_integers(
                operator, (), 32, [a, b], [32, 32]
            )
        operator = draw(st.sampled_from(ORDERS))
        holds = apply_integers(operator, (), 0, [a, b], [32, 32])
        formula = self.terms.two(operator, left, right)
        if draw(st.booleans()):
            formula, holds = self.terms.no(formula), 1 - holds
        return self.terms.ite(formula, left, right), a if holds else b


@st.composite
def cases(draw: st.DrawFn) -> tuple[Terms, Term, int, list[int]]:
    made, values = Made(), [draw(WORDS) for _ in range(3)]
    term, value = made.node(draw, 4, values)
    return made.terms, term, value, values


@settings(derandomize=True, max_examples=300, deadline=None)
@given(cases())
def test_simplification_changes_no_value(case: tuple[Terms, Term, int, list[int]]) -> None:
    terms, term, value, values = case
    assert evaluate(term, lambda v: values[int(v.numbers[0])], terms) == value


@settings(derandomize=True, max_examples=200, deadline=None)
@given(cases())
def test_the_text_means_the_same(case: tuple[Terms, Term, int, list[int]]) -> None:
    _, term, value, values = case
    written = text(term)
    assert written is not None
    found = read(written, Scope({"local": [32, 32, 32]}))
    assert evaluate_text(found, State({"local": values})) == value


@settings(derandomize=True, max_examples=60, deadline=None)
@given(cases())
def test_z3_means_the_same(case: tuple[Terms, Term, int, list[int]]) -> None:
    terms, term, value, values = case
    solver = Solver(terms)
    given_values = [
        terms.two("eq", terms.variable("local", k, 32), terms.const(32, number))
        for k, number in enumerate(values)
    ]
    same = terms.two("eq", term, terms.const(32, value))
    assert solver.proves(given_values, same)
    if same.value is None:
        assert not solver.proves(given_values, terms.no(same))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.integers(0, 60), st.booleans())
def test_a_lookup_is_an_entry_or_0_beyond_the_end(
    entries: list[int],
    index: int,
    shifted: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    terms = Terms()
    terms.tables["t"] = (8, tuple(entries))
    variable = terms.variable("local", 0, 32)
    place = terms.two("shl", variable, terms.const(32, 1)) if shifted else variable
    at = 2 * index if shifted else index
    wanted = entries[at] if at < len(entries) else 0
    known = [terms.two("eq", variable, terms.const(32, index))]
    found = terms.lookup("t", place)
    assert Solver(terms).proves(known, terms.two("eq", found, terms.const(8, wanted)))
    assert not Solver(terms).proves(known, terms.two("ne", found, terms.const(8, wanted)))
    assert evaluate(found, lambda _: index, terms) == wanted


OPERATORS = (
    "add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s", "rotl", "rotr", "eq", "ne",
    "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u", "div_u", "rem_u", "div_s",
    "rem_s",
)  # fmt: skip
SINGLE = ("eqz", "extend8_s", "extend16_s")


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("operator", [*OPERATORS, *SINGLE])
def test_integer_operators_do_what_an_engine_does(operator: str, width: int) -> None:
    kind = f"i{width}"
    result = "i32" if operator in OPERATORS[11:21] or operator == "eqz" else kind
    count = 1 if operator in SINGLE else 2
    gets = "".join(f"(local.get {k})" for k in range(count))
    code = f"""(module (func (export "f") (param {" ".join([kind] * count)}) (result {result})
      ({kind}.{operator} {gets})))"""
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, code)
    run = wasmtime.Instance(store, module, []).exports(store)["f"]
    assert isinstance(run, wasmtime.Func)
    top = 1 << width
    numbers = [0, 1, 2, 5, width - 1, width, 77, 0x80, 0xFFFF, top // 2 - 1, top // 2, top - 3]
    numbers += [top - 1]
    terms = Terms()
    variables = [terms.variable("local", k, width) for k in range(count)]
    term = integer(terms, operator, width, variables)
    rows = [(a,) for a in numbers] if count == 1 else [(a, b) for a in numbers for b in numbers]
    compared = 0
    for row in rows:
        try:
            wanted = run(store, *(n - top if n >= top // 2 else n for n in row))
        except wasmtime.Trap:
            continue
        found = evaluate(term, lambda v, row=row: row[int(v.numbers[0])], terms)  # type: ignore[misc]
        assert found == wanted & ((1 << term.width) - 1), row
        compared += 1
    assert compared >= len(rows) // 2
