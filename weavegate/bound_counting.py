"""
Holds proved bounds against rewrites that count, on inputs of the certificate and cases of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.bounds.certificate import Certificate, Input
from conformance.differential.corpus import Corpus
from conformance.differential.outcomes import outcome_at
from conformance.differential.records import Blame, Claim, Finding, FindingClass, Observed
from conformance.differential.sampling import in_sample
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.records import GasModel
from runners.bits import format_bytes
from runners.blocks import CaseBlock
from runners.records import Call, GasReading, Level, NotObserved
from weavegate.attacking import budget_of
from weavegate.bound_spans import (
    PAGES,
    Span,
    bounds_of,
    claim_of,
    pages_bound,
    reason_of,
    within,
)
from weavegate.bounds_asked import GAS, MEMORY
from weavegate.counting import Counted, Counter
from weavegate.nodes import Participant
from weavegate.subject import Subject


@dataclass(frozen=True, slots=True)
class Rows:
    """
    Inputs that rewrites are counted on: the certificate's first, then cases of the run.
    """

    ids: NDArray[np.uint64]
    inputs: NDArray[np.uint8]
    own: int
    """How many are the certificate's."""
    of_all: int

    @classmethod
    def of(
        cls, certificate: Certificate, call: Call, corpus: Corpus, seed: int, most: int,
        disputed: set[int],
    ) -> Rows:  # fmt: skip
        """
        All cases up to *most*; beyond, a share drawn from the seed. Those disputed are always in.
        """
        given = [_row(item, call) for item in certificate.inputs]
        parts = [part.block for part in corpus.blocks if part.entry == call.entry]
        stated = [within(certificate.precondition, call, block.inputs) for block in parts]
        total = sum(int(flags.sum()) for flags in stated)
        share = 1.0 if total <= most else most / total
        ids = [np.arange(len(given), dtype=np.uint64)]
        inputs = [np.stack(given)] if given else []
        for block, flags in zip(parts, stated, strict=True):
            taken = in_sample(seed, block.ids, share, "bounds")
            taken |= np.isin(block.ids, np.fromiter(disputed, np.uint64, len(disputed)))
            ids.append(block.ids[flags & taken])
            inputs.append(block.inputs[flags & taken])
        rows = np.concatenate(inputs) if inputs else np.zeros((0, call.input_bytes), np.uint8)
        return cls(np.concatenate(ids), rows, len(given), total)


def _row(given: Input, call: Call) -> NDArray[np.uint8]:
    """
    An input of the certificate as a row of a block.
    """
    data = b"".join(value.to_bytes(8, "little") for value in given.arguments[: call.slots])
    data += b"".join(bytes.fromhex(part.data) for part in given.memory)
    return np.frombuffer(data, np.uint8)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """
    Every model's rewrite, on the same rows.
    """

    subject: Subject
    counting: Counter
    certificate: Certificate
    call: Call
    rows: Rows
    nan: str

    def spans(self, models: Sequence[GasModel]) -> Iterator[Span]:
        """
        One for each model that could be counted, and one of the pages that the first of them had.
        """
        entry, label = self.call.entry, self.counting.node.node.label()
        pages = Span(entry, PAGES, label, pages_bound(self.certificate))
        for model, bound in bounds_of(models, self.certificate):
            span = Span(entry, f"model:{model.id}", label, bound)
            seen = pages if not pages.cases else None
            try:
                for done in self._counted(model):
                    self._take(span, done, done.gas, model)
                    if seen is not None and done.outcome.pages is not None:
                        self._take(seen, done, done.outcome.pages.astype(np.uint64), model)
            except RefusedOperatorError:
                continue
            if span.cases:
                yield span
        if pages.cases:
            yield pages

    def _counted(self, model: GasModel) -> Iterator[Counted]:
        module, budget = self.subject.module, budget_of(self.subject)
        rows = self.rows
        return self.counting.count(module, model, self.call, budget, rows.ids, rows.inputs)

    def _take(
        self, span: Span, done: Counted, values: NDArray[np.uint64], model: GasModel
    ) -> None:  # fmt: skip
        beyond = span.add(done.outcome.status, values, np.ones(len(values), bool))
        for row in np.flatnonzero(beyond).tolist():
            case = int(done.block.ids[row])
            span.outside.add(case)
            if span.shown is None:
                claim = claim_of(span, int(done.outcome.status[row]))
                reason = reason_of(span.entry, span, int(values[row]), claim)
                finding = counted_finding(
                    done, row, model, self.counting.node, claim, self.subject.sha256, self.nan,
                    reason,
                )  # fmt: skip
                span.shown = (case, finding)


def counted_finding(
    done: Counted, row: int, model: GasModel, node: Participant, claim: Claim, module_sha256: str,
    nan: str, reason: str,
) -> Finding:  # fmt: skip
    """
    The finding that a row of counted gas shows.
    """
    block: CaseBlock = done.block
    nothing = NotObserved("no host function was called")
    outcome = msgspec.structs.replace(
        outcome_at(done.outcome, row, block.call, Level.STATE),
        memory_sha256=NotObserved("of a rewritten module"),
        globals=NotObserved("of a rewritten module"),
        gas=(GasReading(f"model:{model.id}", model.unit, int(done.gas[row]), nothing),),
    )
    return Finding(
        property=MEMORY if claim.what == PAGES else GAS,
        kind=FindingClass.BOUND,
        blame=Blame("undecided", (), reason),
        module_sha256=module_sha256,
        call=block.call,
        budget=block.budget,
        level=Level.STATE,
        policy="fresh",
        nan=nan,
        history=(format_bytes(block.inputs[row].tobytes()),),
        observed=(Observed(node.node, node.launch.families.generator, outcome),),
        claim=claim,
    )
