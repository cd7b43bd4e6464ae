"""
A module beside its certificate: summaries by name, expressions in their scopes, callees by place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from conformance.bounds.certificate import (
    ENTRY,
    Bytes,
    CallSite,
    Certificate,
    Cut,
    Summary,
)
from conformance.bounds.check.refusals import NotModelledError, RefusedError
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.layout import WIDTH, Layout
from conformance.bounds.expressions import (
    BadExpressionError,
    Expression,
    Scope,
    read_formula,
    read_term,
)
from conformance.bounds.host_records import HostContract
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module


@dataclass(frozen=True, slots=True)
class Callee:
    """
    What can be called at one place: a summary or a host's contract, at which table index.
    """

    contract: Summary | HostContract
    type: FunctionType
    index: int | None = None


class Subject:
    """
    The module and the certificate that is checked against it.
    """

    def __init__(self, module: Module, certificate: Certificate) -> None:
        """
        Look summaries up; RefusedError where names or indices do not fit.
        """
        self.module, self.certificate = module, certificate
        self.image = Image(module, certificate.precondition, certificate.hosts)
        self.tables = {t.name: (t.width, t.entries) for t in certificate.tables}
        self.summaries = {summary.name: summary for summary in certificate.summaries}
        self.hosts = {host.key: host for host in certificate.hosts}
        self._sites: dict[tuple[str, int], CallSite] = {}
        self._read: dict[tuple[str, str, int, bool], Expression] = {}
        first = module.imported_functions
        for summary in certificate.summaries:
            if not first <= summary.function < first + len(module.functions):
                self.misfit(f"{summary.name} is about a function {summary.function}")
            self._sites.update(((summary.name, site.at), site) for site in summary.calls)
            cuts = [cut.at for cut in summary.cuts]
            if len(set(cuts)) < len(cuts):
                self.misfit(f"{summary.name} names a cut twice")
            for cut in set(cuts) - set(self.layout(summary).cuts):
                self.misfit(f"{summary.name} names a cut at {cut}, where no reachable loop is")
        if len(self.summaries) < len(certificate.summaries):
            self.misfit("two summaries have one name")
        for table in certificate.tables:
            if any(entry >> table.width for entry in table.entries):
                self.misfit(f"an entry of table {table.name} has more than {table.width} bits")

    @staticmethod
    def misfit(sentence: str) -> None:
        """
        Refuse a certificate whose parts do not fit.
        """
        raise RefusedError("form", sentence)

    def layout(self, summary: Summary) -> Layout:
        """
        The layout of the function that a summary is about.
        """
        return self.image.layout(summary.function)

    @cached_property
    def entry(self) -> Summary:
        """
        The summary of the exported entry.
        """
        export = self.module.exported(self.certificate.precondition.entry)
        found = self.summaries.get(self.certificate.entry)
        if export is None or export.kind != "function":
            self.misfit(f"no function {self.certificate.precondition.entry!r} is exported")
        elif found is None or found.function != export.index:
            self.misfit(f"the summary {self.certificate.entry!r} is not about the entry")
        else:
            return found
        raise AssertionError

    @cached_property
    def live(self) -> tuple[Summary, ...]:
        """
        Summaries that the entry's can lead to, callers before callees where there is no recursion.
        """
        found = {self.entry.name: self.entry}
        todo = [self.entry]
        while todo:
            for callee in self.all_callees(todo.pop()):
                if isinstance(callee.contract, Summary) and callee.contract.name not in found:
                    found[callee.contract.name] = callee.contract
                    todo.append(callee.contract)
        return tuple(found.values())

    def all_callees(self, summary: Summary) -> Iterator[Callee]:
        """
        Everything that a summary's function calls from blocks that control can reach, and what
        hosts call while it waits for them.
        """
        layout = self.layout(summary)
        for first, last in layout.blocks.items():
            for at in range(first, last + 1):
                if layout.code[at].opcode.name in ("call", "call_indirect"):
                    for callee in self.callees(summary, at):
                        yield callee
                        yield from (inner for inner, _ in self.reentered(summary, at, callee))

    def reentered(
        self, summary: Summary, at: int, callee: Callee
    ) -> Iterator[tuple[Callee, int]]:  # fmt: skip
        """
        What a host that is called at one place can call, and how often.
        """
        contract = callee.contract
        if isinstance(contract, Summary):
            return
        site = self._sites.get((summary.name, at))
        for item in contract.reenters:
            export = self.module.exported(item.export)
            if export is None or export.kind != "function":
                continue
            if export.index < self.module.imported_functions:
                raise NotModelledError("a host that calls a host", item.export)
            yield self._callee(summary, at, site, None, export.index), item.times

    def callees(self, summary: Summary, at: int) -> Sequence[Callee]:
        """
        What can be called at one place; RefusedError where the certificate has no summary for it.
        """
        instruction = self.layout(summary).code[at]
        site = self._sites.get((summary.name, at))
        first: Any = instruction.immediates[0]
        pairs: list[tuple[int | None, int]] = [(None, first)]
        if instruction.opcode.name == "call_indirect":
            table: Any = instruction.immediates[1]
            allowed = None if site is None or not site.entries else set(site.entries)
            found = self.image.targets(table, first)
            pairs = [(k, f) for k, f in found if allowed is None or k in allowed]
        return [self._callee(summary, at, site, index, function) for index, function in pairs]

    def _callee(
        self, summary: Summary, at: int, site: CallSite | None, index: int | None, function: int
    ) -> Callee:
        kind = self.module.function_type(function)
        where = f"{summary.name}, instruction {at}"
        if function < self.module.imported_functions:
            key = self.image.imported[function]
            contract = self.hosts.get(key)
            if contract is None:
                raise NotModelledError(f"host {key} without a contract", where)
            if {*kind.parameters, *kind.results} - WIDTH.keys():
                raise NotModelledError(f"the type of host {contract.key}", where)
            return Callee(contract, kind, index)
        named = [self.summaries[n] for n in (site.summaries if site else ()) if n in self.summaries]
        named = named or list(self.certificate.summaries)
        candidates = [s for s in named if s.function == function]
        if len(candidates) != 1:
            self.misfit(f"{where}: {len(candidates)} summaries stand for function {function}")
        return Callee(candidates[0], kind, index)

    # --------------------------------------------------------------------------- expressions

    def scope(self, summary: Summary, cut: int | None, *, loads: bool = True) -> Scope:
        """
        The variables at a cut; None: on return.
        """
        layout = self.layout(summary)
        everywhere = tuple(WIDTH.get(kind.type, 0) for kind in self.module.global_types)
        widths: dict[str, Sequence[int]] = {
            "param": layout.locals[: len(layout.type.parameters)],
            "global": everywhere,
            "entry-global": everywhere,
        }
        if cut is None:
            widths["result"] = [WIDTH[kind] for kind in layout.type.results]
        else:
            widths["local"] = layout.locals
            widths["stack"] = () if cut == ENTRY else layout.loops[cut]
        return Scope(widths, self.tables, loads and cut is not None)

    def formula(self, summary: Summary, cut: int | None, text: str) -> Expression:
        """
        A formula at a cut, or on return.
        """
        return self._parsed(summary, cut, text, formula=True)

    def term(self, summary: Summary, cut: int, text: str) -> Expression:
        """
        A term at a cut.
        """
        return self._parsed(summary, cut, text, formula=False)

    def _parsed(self, summary: Summary, cut: int | None, text: str, *, formula: bool) -> Expression:
        key = (summary.name, text, -2 if cut is None else cut, formula)
        if key not in self._read:
            read = read_formula if formula else read_term
            try:
                self._read[key] = read(text, self.scope(summary, cut))
            except BadExpressionError as error:
                place = "on return" if cut is None else f"at cut {cut}"
                raise RefusedError("form", f"{summary.name} {place}: {error}") from error
        return self._read[key]

    def hosted(
        self, callee: Callee, text: str, *, formula: bool, loads: bool = False
    ) -> Expression:
        """
        An expression of a host's contract.
        """
        key = (f"host {callee.contract}", text, int(loads), formula)
        if key not in self._read:
            widths = {
                "param": [WIDTH[k] for k in callee.type.parameters],
                "result": [WIDTH[k] for k in callee.type.results],
            }
            read = read_formula if formula else read_term
            try:
                self._read[key] = read(text, Scope(widths, self.tables, loads))
            except BadExpressionError as error:
                raise RefusedError("form", f"a host's contract: {error}") from error
        return self._read[key]

    def cut(self, summary: Summary, at: int) -> Cut:
        """
        What the certificate says of a cut; nothing where it does not name it.
        """
        return next((cut for cut in summary.cuts if cut.at == at), Cut(at))

    def in_region(self, address: int, size: int) -> bool:
        """
        Whether *size* bytes lie in one region of constants.
        """
        return any(_holds(span, address, size) for span in self.certificate.regions)


def _holds(span: Bytes, address: int, size: int) -> bool:
    return span.start <= address and address + size <= span.end
