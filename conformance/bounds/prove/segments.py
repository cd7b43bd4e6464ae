"""
The loop-free code behind each cut, executed once over terms; paths that meet are merged.

Cuts are the entry of a function and its loop heads. Floats and what is loaded from memory are
unknown, unless a load is known to read constants.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.bounds.certificate import OUT
from conformance.bounds.check.semantics.layout import WIDTH, Edge
from conformance.bounds.expressions import Scope, read_term
from conformance.bounds.prove.machine import integer
from conformance.bounds.prove.reading import as_term
from conformance.bounds.prove.states import (
    EXIT,
    TRAP,
    Access,
    Assigned,
    Called,
    Grown,
    Loaded,
    Region,
    State,
)
from conformance.bounds.prove.terms import Term
from conformance.bounds.prove.variables import Variables
from conformance.wasm.instructions import Instruction

_WIDE: Final = 40
"""Bits in which addresses are compared, so that no sum wraps."""


@dataclass(slots=True)
class Executor(Variables):
    """
    Executes the regions of one function.
    """

    def region(self, cut: int) -> Region:
        """
        Execute everything from *cut* to the next ones.
        """
        return _Run(self, Region(cut, self.start(cut))).run()


class _Run:
    """
    The execution of one region.
    """

    def __init__(self, executor: Executor, region: Region) -> None:
        self.executor, self.region = executor, region
        self.terms, self.layout = executor.terms, executor.layout
        self.pending: dict[int, State] = {}
        self.order: list[int] = []

    def run(self) -> Region:
        code, leaders = self.layout.code, set(self.layout.leaders)
        begin = self.region.cut + 1
        state: State | None = self.region.start.copy()
        at = begin
        while True:
            if state is not None and at in leaders and at != begin:
                self.go((at - 1, at), state)
                state = None
            if at in self.pending:
                state = self.pending.pop(at)
            if state is None:
                while self.order and self.order[0] not in self.pending:
                    heapq.heappop(self.order)
                if not self.order:
                    return self.region
                at = self.order[0]
                continue
            instruction = code[at]
            if instruction.opcode.name in _CONTROL:
                state = self.control(at, instruction, state)
            else:
                self.plain(at, instruction, state)
            at += 1

    # ------------------------------------------------------------------------------- control

    def go(self, edge: Edge, state: State) -> None:
        source, target = edge
        passed = self.region.edges.get(edge)
        self.region.edges[edge] = (
            state.guard if passed is None else self.terms.some([passed, state.guard])
        )
        if target == OUT:
            self.region.ends.append((EXIT, state))
        elif target <= source or self.layout.code[source].opcode.name == "loop":
            self.region.ends.append((target - 1, state))
        elif target in self.pending:
            self.pending[target] = self.merged(self.pending[target], state)
        else:
            self.pending[target] = state
            heapq.heappush(self.order, target)

    def merged(self, old: State, new: State) -> State:
        when, ite = new.guard, self.terms.ite

        def each(olds: list[Term], news: list[Term]) -> list[Term]:
            return [a if a is b else ite(when, b, a) for a, b in zip(olds, news, strict=True)]

        return State(
            self.terms.some([old.guard, new.guard]),
            each(old.locals, new.locals),
            each(old.stack, new.stack),
            each(old.globals, new.globals),
            old.pages if old.pages is new.pages else ite(when, new.pages, old.pages),
            old.stored or new.stored,
            each(old.cells, new.cells),
        )

    def branch(self, at: int, state: State, guard: Term, number: int) -> None:
        if guard.value == 0:
            return
        way = self.layout.ways[at][number]
        gone = state.copy()
        gone.guard = guard
        carried = gone.stack[len(gone.stack) - way.arity :] if way.arity else []
        gone.stack[way.height :] = carried
        self.go((at, way.target), gone)

    def control(self, at: int, instruction: Instruction, state: State) -> State | None:
        name = instruction.opcode.name
        if name == "end" and at == len(self.layout.code) - 1:
            self.go((at, OUT), state)
            return None
        if name in ("block", "end", "nop"):
            return state
        if name == "unreachable":
            self.region.ends.append((TRAP, state))
        elif name == "loop":
            self.go((at, at + 1), state)
        elif name in ("br", "else", "return"):
            self.branch(at, state, state.guard, 0)
        elif name == "br_table":
            self.table(at, state)
        else:
            return self.conditional(at, name, state)
        return None

    def conditional(self, at: int, name: str, state: State) -> State | None:
        """
        `br_if` and `if`: one way out, and on.
        """
        terms = self.terms
        taken = self.condition(state.stack.pop())
        leaves = taken if name == "br_if" else terms.no(taken)
        self.branch(at, state, terms.every([state.guard, leaves]), 0)
        state.guard = terms.every([state.guard, terms.no(leaves)])
        if state.guard.value != 0:
            self.go((at, at + 1), state)
        return None

    def condition(self, word: Term) -> Term:
        return self.terms.two("ne", word, self.terms.const(word.width, 0))

    def table(self, at: int, state: State) -> None:
        terms = self.terms
        index, ways = state.stack.pop(), self.layout.ways[at]
        last = len(ways) - 1
        conditions: dict[int, list[Term]] = {}
        numbers = {way.target: k for k, way in enumerate(ways)}
        first = 0
        for k in range(1, last + 1):
            if k == last or ways[k].target != ways[first].target:
                low = terms.two("uge", index, terms.const(32, first))
                here = terms.every([low, terms.two("ult", index, terms.const(32, k))])
                conditions.setdefault(ways[first].target, []).append(here)
                first = k
        beyond = terms.two("uge", index, terms.const(32, last))
        conditions.setdefault(ways[-1].target, []).append(beyond)
        for target, found in conditions.items():
            guard = terms.every([state.guard, terms.some(found)])
            self.branch(at, state, guard, numbers[target])

    # ---------------------------------------------------------------------------- instructions

    def plain(  # noqa: C901 - one branch for each group of instructions
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
            value = stack.pop()
            state.globals[first] = value
            self.region.assigned.append(Assigned(at, state.guard, first, value))
        elif operator == "const":
            stack.append(self.terms.const(WIDTH[kind], first))
        elif name == "drop":
            stack.pop()
        elif name in ("select", "select_t"):
            condition, other, yes = stack.pop(), stack.pop(), stack.pop()
            stack.append(self.terms.ite(self.condition(condition), yes, other))
        elif name in ("call", "call_indirect"):
            self.call(at, instruction, state)
        elif instruction.opcode.alignment is not None:
            self.access(at, instruction, state)
        elif kind in ("memory", "data"):
            self.memory(at, name, state)
        else:
            self.compute(name, instruction, state)

    def compute(self, name: str, instruction: Instruction, state: State) -> None:
        signature = instruction.opcode.signature
        if signature is None:
            message = f"{name} has no signature"
            raise AssertionError(message)
        count = len(signature.parameters)
        operands = state.stack[len(state.stack) - count :]
        del state.stack[len(state.stack) - count :]
        kind, _, operator = name.partition(".")
        if operator.startswith("reinterpret"):
            state.stack.append(operands[0])
        elif any(k in ("f32", "f64") for k in (*signature.parameters, *signature.results)):
            self.float_result(signature.results[0], operator, state)
        else:
            state.stack.append(integer(self.terms, operator, WIDTH[kind], operands))

    def float_result(self, kind: str, operator: str, state: State) -> None:
        """
        Unknown bits; comparisons give 0 or 1.
        """
        terms = self.terms
        if operator in ("eq", "ne", "lt", "gt", "le", "ge"):
            state.stack.append(terms.bit(terms.two("eq", terms.unknown(1), terms.const(1, 1))))
        else:
            state.stack.append(terms.unknown(WIDTH[kind]))

    # --------------------------------------------------------------------------- linear memory

    def wide(self, value: Term) -> Term:
        return self.terms.extend(value, _WIDE)

    def access(self, at: int, instruction: Instruction, state: State) -> None:
        terms, stack, opcode = self.terms, state.stack, instruction.opcode
        memarg: Any = instruction.immediates[0]
        size = 1 << (opcode.alignment or 0)
        kind, _, operator = opcode.name.partition(".")
        if operator.startswith("store"):
            value, base = stack.pop(), stack.pop()
            start = terms.two("add", self.wide(base), terms.const(_WIDE, memarg.offset))
            end = terms.two("add", start, terms.const(_WIDE, size))
            address = terms.two("add", base, terms.const(32, memarg.offset))
            followed = self.store(address, size, value, state)
            self.region.writes.append(Access(at, state.guard, start, end, address, size, followed))
            state.stored = True
            return
        address = terms.two("add", stack.pop(), terms.const(32, memarg.offset))
        held = self.cell(address, size)
        value = self.loaded(at, address, size) if held is None else state.cells[held]
        integer = kind in ("i32", "i64")
        self.region.loads.append(Loaded(at, state.guard, address, size, value, integer))
        sign = operator.endswith("_s")
        stack.append(terms.extend(value, WIDTH[kind], sign=sign))

    def loaded(self, at: int, address: Term, size: int) -> Term:
        read = self.executor.reads.tables.get(at)
        if read is None:
            return self.terms.unknown(8 * size)
        start, _, table = read
        return self.terms.lookup(table, self.terms.two("sub", address, self.terms.const(32, start)))

    def cell(self, address: Term, size: int) -> int | None:
        """
        The number of the cell that an access is to.
        """
        distance = self.executor.distance(address)
        for number, cell in enumerate(self.executor.cells):
            if (cell.offset, cell.size) == (distance, size):
                return number
        return None

    def store(self, address: Term, size: int, value: Term, state: State) -> bool:
        """
        Keep what is stored to a cell; returns whether the store's distance from them is known.
        """
        terms, distance = self.terms, self.executor.distance(address)
        if distance is None:
            return False
        for number, cell in enumerate(self.executor.cells):
            if (cell.offset, cell.size) == (distance, size):
                state.cells[number] = terms.extract(value, 8 * size - 1, 0)
            elif cell.offset < distance + size and distance < cell.offset + cell.size:
                state.cells[number] = terms.unknown(8 * cell.size)
        return True

    def memory(self, at: int, name: str, state: State) -> None:
        terms, stack = self.terms, state.stack
        if name == "memory.size":
            stack.append(state.pages)
        elif name == "memory.grow":
            after = terms.two("add", self.wide(state.pages), self.wide(stack.pop()))
            most = terms.const(_WIDE, self.executor.image.most_pages)
            may = terms.two("eq", terms.unknown(1), terms.const(1, 1))
            granted = terms.every([may, terms.two("ule", after, most)])
            happens = terms.every([state.guard, granted])
            self.region.growths.append(Grown(at, happens, after))
            stack.append(terms.ite(granted, state.pages, terms.const(32, 0xFFFFFFFF)))
            state.pages = terms.ite(granted, terms.extract(after, 31, 0), state.pages)
        elif name in ("memory.copy", "memory.fill", "memory.init"):
            size, _, start = stack.pop(), stack.pop(), stack.pop()
            end = terms.two("add", self.wide(start), self.wide(size))
            self.region.writes.append(Access(at, state.guard, self.wide(start), end))
            state.stored = True

    # ---------------------------------------------------------------------------------- calls

    def call(self, at: int, instruction: Instruction, state: State) -> None:
        terms, stack, module = self.terms, state.stack, self.executor.image.module
        first: Any = instruction.immediates[0]
        options: list[tuple[Term, int]] = [(terms.true, first)]
        kind = None
        if instruction.opcode.name == "call_indirect":
            index = stack.pop()
            table: Any = instruction.immediates[1]
            kind = module.types[first].type
            options = self.targets(index, table, first)
        kind = kind or module.function_type(first)
        arguments = tuple(stack[len(stack) - len(kind.parameters) :])
        del stack[len(stack) - len(kind.parameters) :]
        before = state.copy()
        results = tuple(terms.unknown(WIDTH[k]) for k in kind.results)
        self.affect(at, state, [function for _, function in options])
        after = state.copy()
        for when, function in options:
            guard = terms.every([state.guard, when])
            called = Called(at, guard, function, before, arguments, after, results)
            self.region.calls.append(called)
            self.host_writes(at, guard, function, arguments)
            for inner in self.executor.image.reentered(function):
                self.reenter(at, guard, inner, after)
        state.stack += results

    def host_writes(self, at: int, guard: Term, function: int, arguments: Sequence[Term]) -> None:
        """
        What a contract says that the host writes.
        """
        host = self.executor.image.host(function)
        written = () if host is None or host.writes is None else host.writes
        kinds = [WIDTH[k] for k in self.executor.image.module.function_type(function).parameters]
        scope = Scope({"param": kinds}, loads=False)
        put = {self.terms.variable("param", k, v.width): v for k, v in enumerate(arguments)}
        for item in written:
            ends = [
                self.wide(self.terms.substituted(as_term(read_term(text, scope), self.terms), put))
                for text in (item.start, item.end)
            ]
            self.region.writes.append(Access(at, guard, ends[0], ends[1]))

    def reenter(self, at: int, guard: Term, function: int, state: State) -> None:
        """
        A call that a host makes: with any arguments, in any state that its own call may leave.
        """
        kind = self.executor.image.module.function_type(function)
        arguments = tuple(self.terms.unknown(WIDTH[k]) for k in kind.parameters)
        results = tuple(self.terms.unknown(WIDTH[k]) for k in kind.results)
        made = Called(at, guard, function, state, arguments, state, results, reentered=True)
        self.region.calls.append(made)

    def targets(self, index: Term, table: int, type_index: int) -> list[tuple[Term, int]]:
        """
        Each function that an indirect call can reach, and for which indices.
        """
        found: dict[int, list[Term]] = {}
        for number, function in self.executor.image.targets(table, type_index):
            hit = self.terms.two("eq", index, self.terms.const(32, number))
            found.setdefault(function, []).append(hit)
        return [(self.terms.some(hits), function) for function, hits in found.items()]

    def affect(self, at: int, state: State, functions: Sequence[int]) -> None:
        """
        Globals, pages and memory after a call.
        """
        terms, image = self.terms, self.executor.image
        state.stored = True
        own = [f for f in functions if f >= image.module.imported_functions]
        own += [inner for f in functions for inner in image.reentered(f)]
        effects = [image.effects(function) for function in own]
        for index in sorted(frozenset().union(*[written for written, _ in effects])):
            state.globals[index] = terms.unknown(WIDTH[image.module.global_types[index].type])
        hosts = [host for f in functions if (host := image.host(f)) is not None]
        granted = max((host.grows for host in hosts), default=0)
        if granted:
            most = terms.const(_WIDE, image.most_pages)
            after = terms.two("add", self.wide(state.pages), terms.const(_WIDE, granted))
            after = terms.ite(terms.two("ule", after, most), after, most)
            self.region.growths.append(Grown(at, state.guard, after))
        if granted or any(grows for _, grows in effects):
            state.pages = terms.unknown(32)


_CONTROL: Final = frozenset(
    {"block", "loop", "if", "else", "end", "br", "br_if", "br_table", "return", "unreachable",
     "nop"}
)  # fmt: skip
