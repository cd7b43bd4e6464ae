"""
Calls of the host in the proof: an import is a callee whose summary is its contract.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.expressions import Expression, Scope, read_formula, read_term
from conformance.bounds.host_records import HostContract
from conformance.bounds.prove.obligations import Goal
from conformance.bounds.prove.ranks import search
from conformance.bounds.prove.reading import as_term
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.states import Called
from conformance.bounds.prove.subject import RETURN, FunctionProof, Subject
from conformance.bounds.prove.terms import Term
from conformance.gas.load import HOST_PART
from conformance.gas.records import GasModel
from conformance.wasm.components import components

_MOST_WORD = (1 << 32) - 1


def order(image: Image, entry: int) -> tuple[tuple[int, ...], ...]:
    """
    Functions that a call can enter, in sets that call each other, callees before callers; calls
    that the host makes count as its caller's.
    """
    members = sorted(image.reachable(entry))
    numbers = {function: k for k, function in enumerate(members)}
    successors = [
        sorted({numbers[callee] for callee in image.called(function) if callee in numbers})
        for function in members
    ]
    return tuple(tuple(sorted(members[k] for k in group)) for group in components(successors))


def waiting(image: Image, entry: int) -> Iterator[tuple[int, int, int]]:
    """
    (Caller, import, function) where a host may call what can be waiting for it: not modelled.
    """
    group_of = {function: group for group in order(image, entry) for function in group}
    for function in sorted(image.reachable(entry)):
        for called in sorted(set(image.called(function))):
            for inner in image.reentered(called):
                if inner == entry or group_of[inner] == group_of[function]:
                    yield function, called, inner


def _scope(subject: Subject, function: int, *, loads: bool) -> Scope:
    kind = subject.image.module.function_type(function)
    widths = {
        "param": [WIDTH[k] for k in kind.parameters], "result": [WIDTH[k] for k in kind.results],
    }  # fmt: skip
    return Scope(widths, loads=loads)


def suppose_hosts(subject: Subject) -> None:
    """
    What contracts ensure holds where imports return; nobody proves it.
    """
    for function in range(subject.image.module.imported_functions):
        host = subject.image.host(function)
        if host is not None and host.ensures:
            scope = _scope(subject, function, loads=False)
            subject.holds[function, RETURN] = [
                as_term(read_formula(text, scope), subject.terms) for text in host.ensures
            ]


def _lengths(subject: Subject, called: Called) -> Iterator[tuple[HostContract, str, Expression]]:
    """
    Different lengths that the host bills a call by, as terms over its parameters.
    """
    host = subject.image.host(called.function)
    if host is None:
        return
    scope = _scope(subject, called.function, loads=True)
    lengths = [length.of for cost in host.costs for length in cost.lengths if length.per]
    for of in dict.fromkeys(lengths):
        yield host, of, read_term(of, scope)


def _passed(subject: Subject, called: Called, length: Expression) -> Term:
    put = {
        subject.terms.variable("param", k, value.width): value
        for k, value in enumerate(called.arguments)
    }
    return subject.terms.substituted(as_term(length, subject.terms), put)


def find_amounts(subject: Subject, solver: Solver) -> None:
    """
    Limits of the lengths that hosts bill by, where arguments decide them and they can be proved.
    """
    for function, proof in subject.functions.items():
        found: dict[tuple[int, str, str], tuple[int, int]] = {}
        lost: set[tuple[int, str, str]] = set()
        for cut, region in proof.regions.items():
            for called in region.calls:
                for host, of, length in _lengths(subject, called):
                    key = (called.at, host.key, of)
                    if length.names("load"):
                        continue
                    value = _passed(subject, called, length)
                    given = [*subject.hypotheses(function, cut), called.guard]
                    if solver.proves(given, subject.terms.false):
                        continue
                    low = search(solver, given, value, highest=False)
                    high = search(solver, given, value, highest=True)
                    if low is None or high is None or (low, high) == (0, _MOST_WORD):
                        lost.add(key)
                        continue
                    before = found.get(key, (low, high))
                    found[key] = (min(low, before[0]), max(high, before[1]))
        for key, limits in found.items():
            if key not in lost:
                subject.amounts[function, *key] = limits


def amount_goals(subject: Subject, proof: FunctionProof) -> Iterator[Goal]:
    """
    That lengths lie within the limits that were found.
    """
    terms = subject.terms
    for cut, region in proof.regions.items():
        for called in region.calls:
            for host, of, length in _lengths(subject, called):
                limits = subject.amounts.get((proof.function, called.at, host.key, of))
                if limits is None:
                    continue
                value = _passed(subject, called, length)
                within = [
                    terms.two("uge", value, terms.const(32, limits[0])),
                    terms.two("ule", value, terms.const(32, limits[1])),
                ]
                yield Goal(cut, called.guard, terms.every(within))


def host_cost(
    subject: Subject, function: int, at: int, host: HostContract, model: GasModel
) -> tuple[int, int] | str:
    """
    Least and most that the host bills for one call under a meter, or why that is not known.
    """
    if not model.name.startswith(HOST_PART):
        return 0, 0
    for cost in host.costs:
        if cost.model != model.id:
            continue
        low, high = cost.lo, cost.hi
        for length in cost.lengths:
            limits = subject.amounts.get((function, at, host.key, length.of))
            tops = [] if limits is None else [limits[1]]
            tops += [] if length.most is None else [length.most]
            if not tops and length.per:
                return f"host {host.key} bills by {length.of}, of which no limit was proved"
            low += length.per * (0 if limits is None else limits[0])
            high += length.per * min(tops, default=0)
        return low, high
    return f"the contract of host {host.key} states no gas under {model.id}"
