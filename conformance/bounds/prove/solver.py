"""
z3 over bit vectors: whether hypotheses leave any state in which a goal is false.

Every question is limited by a count of the solver's own steps, never by time. Without z3 there is
no solver, and nothing about a loop is proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from conformance.bounds.prove.terms import Term, Terms, ordered

STEPS: Final = 20_000_000
"""Default limit of one question, in z3's resource units."""
Verdict = Literal["proved", "refuted", "undecided"]


class NoSolverError(RuntimeError):
    """
    z3 is not there.
    """


def load_solver() -> Any:
    """
    The z3 module; NoSolverError where it cannot be imported.
    """
    try:
        import z3  # noqa: PLC0415 - loops alone need it
    except ImportError as error:
        message = "z3 is not installed, so no loop can be bounded (package z3-solver)"
        raise NoSolverError(message) from error
    return z3


@dataclass(slots=True)
class Model:
    """
    Values for which hypotheses hold and a goal does not.
    """

    values: dict[Term, int]

    def __call__(self, variable: Term) -> int | None:
        """
        The value of a variable; what the solver left open is 0.
        """
        return self.values.get(variable, 0)


@dataclass(slots=True)
class Solver:
    """
    Asks questions about terms of one `Terms`.
    """

    terms: Terms
    steps: int = STEPS
    stop: Callable[[], bool] = lambda: False
    """Asked before each question; True ends the proof with `StoppedError`."""
    questions: int = 0
    undecided: int = 0
    _z3: Any = field(default_factory=load_solver)
    _made: dict[Term, Any] = field(default_factory=dict)
    _tables: dict[str, Any] = field(default_factory=dict)

    def ask(
        self, hypotheses: Iterable[Term], goal: Term
    ) -> tuple[Verdict, Model | None]:  # fmt: skip
        """
        Whether *goal* holds wherever all *hypotheses* do.
        """
        given = [term for term in hypotheses if term.value != 1]
        if goal.value == 1 or any(term.value == 0 for term in given):
            return "proved", None
        if self.stop():
            raise StoppedError
        asked = [*given, self.terms.no(goal)]
        coarse = self._without_tables(asked)
        if coarse is not None and self._check(coarse)[0] == "proved":
            return "proved", None
        return self._check(asked)

    def _check(self, asked: Sequence[Term]) -> tuple[Verdict, Model | None]:
        """
        `proved` where nothing satisfies all of *asked*.
        """
        z3 = self._z3
        solver = z3.SolverFor("QF_BV")
        solver.set("rlimit", self.steps)
        for term in asked:
            solver.add(self.translated(term))
        self.questions += 1
        found = solver.check()
        if found == z3.unsat:
            return "proved", None
        if found != z3.sat:
            self.undecided += 1
            return "undecided", None
        return "refuted", self._model(solver.model())

    def _without_tables(self, asked: Sequence[Term]) -> list[Term] | None:
        """
        *asked* with each lookup as any value between the least and the greatest of its table.

        What nothing satisfies then, nothing satisfies at all. None where nothing is looked up.
        """
        terms = self.terms
        limits: dict[Term, None] = {}
        for term in asked:
            for node in ordered(term, {}):
                if node.operator != "lookup":
                    continue
                if node not in self._coarse:
                    self._coarse[node] = terms.unknown(node.width)
                value, entries = self._coarse[node], terms.tables[str(node.numbers[0])][1]
                # Beyond its end a table gives 0.
                limits[terms.two("ule", value, terms.const(node.width, max(entries)))] = None
        if not limits:
            return None
        memo: dict[Term, Term] = {}
        return [*limits, *(terms.substituted(term, self._coarse, memo) for term in asked)]

    def proves(self, hypotheses: Iterable[Term], goal: Term) -> bool:
        """
        Whether *goal* is known to hold wherever all *hypotheses* do.
        """
        return self.ask(hypotheses, goal)[0] == "proved"

    def core(
        self, hypotheses: Sequence[Term], fixed: Sequence[Term], goal: Term
    ) -> set[int] | None:
        """
        Numbers of *hypotheses* that suffice for *goal* beside the *fixed* ones; None: undecided.
        """
        asked = [*fixed, self.terms.no(goal), *hypotheses]
        coarse = self._without_tables(asked)
        if coarse is not None:
            count = len(coarse) - len(hypotheses)
            found = self._core(coarse[count:], coarse[:count])
            if found is not None:
                return found
        count = len(asked) - len(hypotheses)
        return self._core(hypotheses, asked[:count])

    def _core(self, hypotheses: Sequence[Term], fixed: Sequence[Term]) -> set[int] | None:
        """
        Numbers of *hypotheses* that contradict the *fixed* terms; None: not known to.
        """
        z3 = self._z3
        solver = z3.SolverFor("QF_BV")
        solver.set("rlimit", self.steps)
        solver.set("core.minimize", True)
        for term in fixed:
            solver.add(self.translated(term))
        names = [z3.Bool(f"hypothesis{k}") for k in range(len(hypotheses))]
        for name, term in zip(names, hypotheses, strict=True):
            solver.add(z3.Implies(name, self.translated(term)))
        self.questions += 1
        if solver.check(*names) != z3.unsat:
            return None
        kept = {str(name) for name in solver.unsat_core()}
        return {k for k, name in enumerate(names) if str(name) in kept}

    def script(self, hypotheses: Iterable[Term], goal: Term) -> str:
        """
        The question as SMT-LIB; the answer `unsat` proves the goal.
        """
        solver = self._z3.Solver()
        for term in (*hypotheses, self.terms.no(goal)):
            solver.add(self.translated(term))
        return f"(set-logic QF_BV)\n{solver.to_smt2()}"

    def _model(self, model: Any) -> Model:
        values: dict[Term, int] = {}
        by_name = {str(self._made[term]): term for term in self._variables}
        for declared in model.decls():
            term = by_name.get(declared.name())
            if term is not None:
                values[term] = model[declared].as_long()
        return Model(values)

    _variables: list[Term] = field(default_factory=list)
    _coarse: dict[Term, Term] = field(default_factory=dict)

    # ------------------------------------------------------------------------ translation

    def translated(self, term: Term) -> Any:
        """
        *term* as an expression of z3.
        """
        for node in ordered(term, self._made):
            self._made[node] = self._one(node, [self._made[part] for part in node.operands])
        return self._made[term]

    def _one(  # noqa: PLR0911 - one return for each kind of node
        self, node: Term, parts: Sequence[Any]
    ) -> Any:
        z3, width = self._z3, node.width
        if node.operator == "const":
            if width == 0:
                return z3.BoolVal(bool(node.value))
            return z3.BitVecVal(node.value, width)
        if not parts:
            self._variables.append(node)
            name = "-".join([node.operator, *map(str, node.numbers), str(width)])
            return z3.BitVec(name, width)
        if node.operator == "lookup":
            return self._chosen(node, parts[0])
        if node.operator in ("zext", "sext"):
            make = z3.ZeroExt if node.operator == "zext" else z3.SignExt
            return make(width - node.operands[0].width, parts[0])
        if node.operator == "extract":
            return z3.Extract(node.numbers[0], node.numbers[1], parts[0])
        if node.operator in ("all", "any"):
            return (z3.And if node.operator == "all" else z3.Or)(*parts)
        return _MEANING[node.operator](z3, *parts)

    def _chosen(self, node: Term, index: Any) -> Any:
        """
        A table as a tree of choices over the bits of the index.
        """
        z3 = self._z3
        width, entries = self.terms.tables[str(node.numbers[0])]
        index_width = node.operands[0].width
        low = _clear_bits(node.operands[0])
        entries = entries[:: 1 << low]
        bits = min(index_width - low, max(1, (len(entries) - 1).bit_length()))
        numbers = {entry: z3.BitVecVal(entry, width) for entry in {0, *entries}}
        level: list[Any] = [numbers[entry] for entry in entries]
        for number in range(low, low + bits):
            level += [numbers[0]] * (len(level) % 2)
            odd = z3.Extract(number, number, index) == 1
            level = [
                down if down is up else z3.If(odd, up, down)
                for down, up in zip(level[::2], level[1::2], strict=True)
            ]
        if index_width > low + bits:
            beyond = z3.UGE(index, z3.BitVecVal(1 << (low + bits), index_width))
            return z3.If(beyond, numbers[0], level[0])
        return level[0]


def _clear_bits(index: Term) -> int:
    """
    How many low bits of an index are known to be 0.
    """
    if index.operator == "shl" and index.operands[1].value is not None:
        return min(index.operands[1].value, index.width - 1)
    return 0


class StoppedError(Exception):
    """
    The budget is used up, or somebody asked to stop.
    """


_MEANING: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "udiv": lambda z, a, b: z.UDiv(a, b),
    "urem": lambda z, a, b: z.URem(a, b),
    "sdiv": lambda _, a, b: a / b,
    "srem": lambda z, a, b: z.SRem(a, b),
    "and": lambda _, a, b: a & b,
    "or": lambda _, a, b: a | b,
    "xor": lambda _, a, b: a ^ b,
    "shl": lambda _, a, b: a << b,
    "lshr": lambda z, a, b: z.LShR(a, b),
    "ashr": lambda _, a, b: a >> b,
    "eq": lambda _, a, b: a == b,
    "ne": lambda _, a, b: a != b,
    "ult": lambda z, a, b: z.ULT(a, b),
    "ule": lambda z, a, b: z.ULE(a, b),
    "slt": lambda _, a, b: a < b,
    "sle": lambda _, a, b: a <= b,
    "no": lambda z, a: z.Not(a),
    "ite": lambda z, a, b, c: z.If(a, b, c),
}
