"""
The code between two cuts, executed once over unknown values: where it ends, what must hold in it.

Paths that meet are merged with if-then-else. An operator that traps has some value all the same,
and nothing is assumed from its not trapping: whatever a run does before it traps is the beginning
of a path that is executed here. Only a callee's promises narrow a path; where it has any, the path
also ends at the call, as if the callee never returned.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.bounds.certificate import ENTRY, OUT, Summary
from conformance.bounds.check.refusals import NotModelledError
from conformance.bounds.check.semantics.accesses import access, at_entry, memory_instruction
from conformance.bounds.check.semantics.calling import call
from conformance.bounds.check.semantics.cells import Cells, cells_of, fixed
from conformance.bounds.check.semantics.floats import Floats
from conformance.bounds.check.semantics.layout import WIDTH, Edge
from conformance.bounds.check.semantics.memory import Base, Join, Memories, Node
from conformance.bounds.check.semantics.reading import Reading
from conformance.bounds.check.semantics.state import EXIT, TRAP, Goal, State
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.semantics.terms import Terms, Value, same
from conformance.bounds.expressions import Expression
from conformance.bounds.host_records import HostAmount
from conformance.wasm.instructions import Instruction, Labels

_MOST_RANGES: Final = 5_000


@dataclass
class Region:
    """
    The loop-free code that begins at one cut of one summary.
    """

    subject: Subject
    summary: Summary
    cut: int
    terms: Terms
    weights: Mapping[Edge, Sequence[tuple[int, Value]]]
    """Edge -> (number of a flow fact, weight)."""
    fact_widths: Sequence[int]
    potentials: Mapping[str, Expression]
    """Summaries of the same recursive group -> what one activation may use up; else empty."""
    goals: list[Goal] = field(default_factory=list)
    ends: list[tuple[int, State]] = field(default_factory=list)
    """Cut, EXIT or TRAP, and the state there."""
    definitions: list[Value] = field(default_factory=list)
    """What is known of unknown values that were made on the way; each always has a solution."""
    lookups: list[Value] = field(default_factory=list)
    """What exactly was read from regions of constants; many goals do not need to know."""
    memories: Memories = field(init=False)
    floats: Floats = field(init=False)
    cells: Cells = field(init=False)
    start: State = field(init=False)
    _pending: dict[int, State] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """
        Set the state at the cut up.
        """
        self._follows = self.summary.memory or bool(self.summary.cells)
        self.memories = Memories(self.terms, self.subject.image)
        self.memories.cells_only = not self.summary.memory
        self.floats = Floats(self.terms, definitions=self.definitions.append)
        self.layout = self.subject.layout(self.summary)
        self.reads = {item.at: item.region for item in self.summary.reads}
        self.amounts = {item.at: item for item in self.summary.amounts}
        self.host_amounts: dict[tuple[int, str], list[HostAmount]] = {}
        for item in self.summary.host_amounts:
            self.host_amounts.setdefault((item.at, item.key), []).append(item)
        self._writable, self._grows = self.subject.image.effects(self.summary.function)
        self.entry_globals = [self._global(k) for k in range(len(self.subject.module.globals))]
        self.params = [
            self.terms.symbol(f"param{k}", width)
            for k, width in enumerate(self.layout.locals[: len(self.layout.type.parameters)])
        ]
        self.entry_pages: Value = self.terms.symbol("entry-pages", 32)
        if not self.subject.image.effects(self.subject.entry.function)[1]:
            self.entry_pages = self._fixed_pages(self.entry_pages)
        self.cells = Cells(self.terms)
        self.start = self._first()
        if self.summary.cells:
            self.cells = cells_of(self, at_entry(self))
            self._put_fixed()

    def _put_fixed(self) -> None:
        """
        Put in the place of variables what a summary with cells says them to be from the entry on.
        """
        entered = self.reading(at_entry(self))
        for text in self.subject.cut(self.summary, self.cut).holds:
            found = fixed(self.subject.formula(self.summary, self.cut, text))
            if found is None or self.cut == ENTRY:
                continue
            kind, index, term = found
            held = self.start.locals if kind == "local" else self.start.globals
            held[index] = entered.value(term)

    def _fixed_pages(self, otherwise: Value) -> Value:
        image = self.subject.image
        return image.pages if image.precondition.fresh else otherwise

    def _global(self, index: int) -> Value:
        """
        A global at the function's entry: its initial value where nothing can have changed it.
        """
        image = self.subject.image
        initial = image.initial_globals[index]
        unchanged = index not in image.effects(self.subject.entry.function)[0]
        if initial is not None and (unchanged or self._is_entry):
            return initial
        return self.terms.symbol(f"entry-global{index}", self.global_width(index))

    def global_width(self, index: int) -> int:
        """
        Bits of a global.
        """
        return WIDTH[self.subject.module.global_types[index].type]

    @property
    def _is_entry(self) -> bool:
        """
        Whether the function's entry is where the whole call begins, and nowhere else.
        """
        return self.summary.name == self.subject.entry.name and not self.potentials

    def _first(self) -> State:
        terms, layout = self.terms, self.layout
        counts: list[Value] = [0] * len(self.fact_widths)
        memory: Node | None = None
        if self.cut == ENTRY:
            declared = [0] * (len(layout.locals) - len(self.params))
            if self._follows:
                memory = Base("memory-at-entry", initial=self._is_entry)
            pages = self._fixed_pages(self.entry_pages) if self._is_entry else self.entry_pages
            self.entry_pages = pages
            return State(1, [*self.params, *declared], [], self.entry_globals[:], pages,
                         memory, counts)  # fmt: skip
        if self._is_entry:
            self.entry_pages = self._fixed_pages(self.entry_pages)
        if self._follows:
            memory = Base("memory-at-cut")
        values = [terms.symbol(f"local{k}", w) for k, w in enumerate(layout.locals)]
        stack = [terms.symbol(f"stack{k}", w) for k, w in enumerate(layout.loops[self.cut])]
        pages = terms.symbol("pages", 32) if self._grows else self.entry_pages
        held = [
            terms.symbol(f"global{k}", self.global_width(k)) if k in self._writable else before
            for k, before in enumerate(self.entry_globals)
        ]
        return State(1, values, stack, held, pages, memory, counts)

    def facts(self) -> Value:
        """
        What is known of any state at any cut without a certificate: pages within their limits.
        """
        terms, most = self.terms, self.subject.certificate.pages
        known = [1]
        for pages in (self.entry_pages, self.start.pages):
            known.append(terms.two("ule", pages, most, 32))
            if self.subject.image.precondition.fresh:
                known.append(terms.two("uge", pages, self.subject.image.pages, 32))
        known.append(terms.two("ule", self.entry_pages, self.start.pages, 32))
        return terms.both(*known)

    # ------------------------------------------------------------------------------- reading

    def reading(self, state: State, results: Sequence[Value] = ()) -> Reading:
        """
        The meaning of expressions in a state of this activation.
        """
        values = {
            "param": self.params,
            "local": state.locals,
            "stack": state.stack,
            "global": state.globals,
            "pages": [state.pages],
            "result": results,
            "entry-global": self.entry_globals,
            "entry-pages": [self.entry_pages],
        }
        return Reading(self.terms, values, self.subject.tables, self.memory_of(state))

    def memory_of(self, state: State) -> Callable[[Value, int], Value | None]:
        """
        How expressions read memory in a state.
        """

        def read(address: Value, size: int) -> Value | None:
            if isinstance(address, int) and self.subject.in_region(address, size):
                known = self.subject.image.known(address, size)
                if known is not None:
                    return known
            if state.memory is None:
                return None
            if not self.summary.memory and self.cells.place(address, size) != "inside":
                return None
            return self.memories.read(state.memory, address, size)

        return read

    # ----------------------------------------------------------------------------- execution

    def run(self) -> None:
        """
        Execute to all ends.
        """
        code, leaders = self.layout.code, set(self.layout.leaders)
        state: State | None = self.start.copy()
        at = self.cut + 1
        while True:
            if state is not None and at in leaders and at != self.cut + 1:
                self._go((at - 1, at), state)
                state = None
            if at in self._pending:
                state = self._pending.pop(at)
            if state is None:
                if not self._pending:
                    return
                while self._order[0] not in self._pending:
                    heapq.heappop(self._order)
                at = self._order[0]
                continue
            instruction = code[at]
            if instruction.opcode.name in _CONTROL:
                state = self._control(at, instruction, state)
            else:
                self._plain(at, instruction, state)
            at += 1

    def _go(self, edge: Edge, state: State) -> None:
        """
        Pass an edge: count it, and end the segment or wait for other paths to the same place.
        """
        terms = self.terms
        for fact, weight in self.weights.get(edge, ()):
            width = self.fact_widths[fact]
            state.counts[fact] = terms.two("add", state.counts[fact], weight, width)
        source, target = edge
        if target == OUT:
            self.ends.append((EXIT, state))
        elif target <= source or self.layout.code[source].opcode.name == "loop":
            self.ends.append((target - 1, state))
        elif target in self._pending:
            widths = self.layout.joins[target]
            self._pending[target] = self._merged(self._pending[target], state, widths)
        else:
            self._pending[target] = state
            heapq.heappush(self._order, target)

    def _merged(self, old: State, new: State, widths: Sequence[int]) -> State:
        terms, when = self.terms, new.guard

        def each(olds: list[Value], news: list[Value], widths: Sequence[int]) -> list[Value]:
            rows = zip(olds, news, widths, strict=True)
            return [a if same(a, b) else terms.ite(when, b, a, w) for a, b, w in rows]

        kinds = [self.global_width(k) for k in range(len(old.globals))]
        memory = old.memory
        if old.memory is not None and new.memory is not old.memory:
            memory = Join(when, new.memory, old.memory)
        return State(
            terms.either(old.guard, new.guard),
            each(old.locals, new.locals, self.layout.locals),
            each(old.stack, new.stack, widths),
            each(old.globals, new.globals, kinds),
            old.pages if same(old.pages, new.pages) else terms.ite(when, new.pages, old.pages, 32),
            memory,
            each(old.counts, new.counts, self.fact_widths),
        )

    def _branch(self, at: int, state: State, guard: Value, number: int) -> None:
        """
        Go one way out of an instruction, where *guard* holds.
        """
        if isinstance(guard, int) and not guard:
            return
        way = self.layout.ways[at][number]
        gone = state.copy()
        gone.guard = guard
        carried = gone.stack[len(gone.stack) - way.arity :] if way.arity else []
        gone.stack[way.height :] = carried
        self._go((at, way.target), gone)

    def _control(self, at: int, instruction: Instruction, state: State) -> State | None:
        """
        A control instruction; returns the state that falls through, if any does.
        """
        terms, name = self.terms, instruction.opcode.name
        if name == "end" and at == len(self.layout.code) - 1:
            self._go((at, OUT), state)
            return None
        if name in ("block", "end", "nop"):
            return state
        if name == "unreachable":
            self.ends.append((TRAP, state))
        elif name == "loop":
            self._go((at, at + 1), state)
        elif name in ("br", "else", "return"):
            self._branch(at, state, state.guard, 0)
        elif name == "br_table":
            self._table(at, instruction, state)
        else:
            taken = terms.two("ne", state.stack.pop(), 0, 32)
            leaves = taken if name == "br_if" else terms.no(taken)
            self._branch(at, state, terms.both(state.guard, leaves), 0)
            state.guard = terms.both(state.guard, terms.no(leaves))
            if isinstance(state.guard, int) and not state.guard:
                return None
            self._go((at, at + 1), state)
        return None

    def _table(self, at: int, instruction: Instruction, state: State) -> None:
        """
        `br_table`: equal targets of neighbouring indices are one range.
        """
        terms = self.terms
        labels: Any = instruction.immediates[0]
        assert isinstance(labels, Labels)  # noqa: S101 - the codec reads it so
        index, ways = state.stack.pop(), self.layout.ways[at]
        conditions: dict[int, list[Value]] = {}
        first = 0
        for k in range(1, len(ways)):
            if k == len(ways) - 1 or ways[k] != ways[first]:
                low = terms.two("uge", index, first, 32)
                here = terms.both(low, terms.two("ult", index, k, 32))
                conditions.setdefault(ways[first].target, []).append(here)
                first = k
        default = terms.two("uge", index, len(ways) - 1, 32)
        conditions.setdefault(ways[-1].target, []).append(default)
        if sum(map(len, conditions.values())) > _MOST_RANGES:
            what = f"br_table with more than {_MOST_RANGES} ranges of indices"
            raise NotModelledError(what, f"{self.layout.name}, instruction {at}")
        numbers = {way.target: k for k, way in enumerate(ways)}
        for target, found in conditions.items():
            guard = terms.both(state.guard, terms.either(*found))
            self._branch(at, state, guard, numbers[target])

    # -------------------------------------------------------------------- plain instructions

    def _plain(  # noqa: C901 - one branch for each kind of instruction
        self, at: int, instruction: Instruction, state: State
    ) -> None:
        name, stack = instruction.opcode.name, state.stack
        first: Any = instruction.immediates[0] if instruction.immediates else None
        kind, _, operator = name.partition(".")
        if name == "local.get":
            stack.append(state.locals[first])
        elif name in ("local.set", "local.tee"):
            state.locals[first] = stack.pop() if name == "local.set" else stack[-1]
        elif name == "global.get":
            stack.append(state.globals[first])
        elif name == "global.set":
            self._set_global(at, state, first)
        elif operator == "const":
            stack.append(first & ((1 << WIDTH[kind]) - 1))
        elif name == "drop":
            stack.pop()
        elif name in ("select", "select_t"):
            condition, other, yes = stack.pop(), stack.pop(), stack.pop()
            chosen = self.terms.two("ne", condition, 0, 32)
            stack.append(self.terms.ite(chosen, yes, other, self.layout.selects[at]))
        elif name in ("call", "call_indirect"):
            call(self, at, instruction, state)
        elif instruction.opcode.alignment is not None:
            access(self, at, instruction, state)
        elif kind in ("memory", "data"):
            memory_instruction(self, at, instruction, state)
        else:
            self._compute(at, instruction, state)

    def _compute(self, at: int, instruction: Instruction, state: State) -> None:
        """
        An operator on numbers; floats are unknown unless the summary follows them.
        """
        name, signature = instruction.opcode.name, instruction.opcode.signature
        if signature is None:
            raise NotModelledError(name, f"{self.layout.name}, instruction {at}")
        count = len(signature.parameters)
        operands = state.stack[len(state.stack) - count :]
        del state.stack[len(state.stack) - count :]
        kind, _, operator = name.partition(".")
        if operator.startswith("reinterpret"):
            state.stack.append(operands[0])
            return
        floats = any(k in ("f32", "f64") for k in (*signature.parameters, *signature.results))
        found: Value | None
        if not floats:
            found = self.terms.integer(operator, WIDTH[kind], operands)
        else:
            found = self.floats.bits(name, signature, operands, follow=self.summary.floats)
        if found is None:
            raise NotModelledError(name, f"{self.layout.name}, instruction {at}")
        state.stack.append(found)

    def _set_global(self, at: int, state: State, index: int) -> None:
        value = state.stack.pop()
        state.globals[index] = value
        shadow = self.subject.certificate.stack
        if index == shadow.shadow_global:
            width = self.global_width(index)
            low = self.terms.two("uge", value, shadow.shadow_lowest, width)
            self.demand("the shadow stack stays above its least address", at, state, low)

    def demand(self, what: str, at: int, state: State, formula: Value) -> None:
        """
        Something must hold wherever the path comes by.
        """
        self.goals.append(Goal(what, at, state.guard, formula))


_CONTROL: Final = frozenset(
    {"block", "loop", "if", "else", "end", "br", "br_if", "br_table", "return", "unreachable",
     "nop"}
)  # fmt: skip
