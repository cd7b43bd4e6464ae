"""
`weavegate gas`: one call metered by gas models, side by side, on an engine of choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from conformance.differential.outcomes import outcome_at
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import HOME, gas_model
from conformance.gas.metering import Metered, metered
from conformance.gas.records import GasModel
from reports.gas import Bill, GasReport, Share
from runners.bits import parse_bits
from runners.blocks import BlockOutcome, CaseBlock
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from runners.records import Exhausted, Level, NotObserved, Outcome
from runners.status import Status
from weavegate.exits import Exit
from weavegate.gas_host import host_part
from weavegate.hosted import hosted, makers
from weavegate.nodes import Participant, choose
from weavegate.refusals import require_callable
from weavegate.run_job import read_case
from weavegate.subject import Subject, load_subject

DEFAULT_MODELS = (HOME,)
DEFAULT_ENGINE = "wasmtime"


def exit_code(report: GasReport) -> Exit:
    """
    1: a meter refuses the module, or readings contradict; 3: a bill is not complete, or the host
    ended the call.
    """
    if report.contradictions or any(bill.refused for bill in report.bills):
        return Exit.FINDINGS
    incomplete = any(
        bill.unknown
        or isinstance(bill.vm_part, NotObserved)
        or isinstance(bill.host_part, NotObserved)
        for bill in report.bills
    )
    return Exit.UNDECIDED if incomplete or report.host_error else Exit.PASS


@dataclass(frozen=True, slots=True)
class _Ran:
    """
    What a node did with the case.
    """

    block: BlockOutcome
    outcome: Outcome


def gas_report(
    module: Path,
    input_file: Path,
    manifest: Path | None = None,
    models: Sequence[str] = (),
    engine: str = DEFAULT_ENGINE,
) -> GasReport:
    """
    Bill the case under all *models*; raises WeavegateError or an error that `plainly` knows.
    """
    asked = list(dict.fromkeys(gas_model(text).id for text in models or DEFAULT_MODELS))
    subject = load_subject(module, manifest)
    case = read_case(subject, input_file)
    catalog = Catalog.load()
    (chosen,) = choose([engine], "fresh", catalog, Environments(catalog))
    node = replace(chosen, node=hosted(chosen.node, subject.host))
    counted = [_counted(subject, gas_model(text), case.call.entry) for text in asked]
    with _pool(subject, node) as pool:
        pool.identities()
        # A level that the engine lacks is answered with reasons, not with a refusal.
        plain = _run(pool, subject, subject.data, case)
        require_callable(subject.path, [plain.block])
        bills = [
            item if isinstance(item, Bill) else _bill(subject, item, plain, pool, case)
            for item in counted
        ]
    return GasReport(
        module_sha256=subject.sha256,
        entry=case.call.entry,
        node=node.node.label(),
        outcome=_words(plain.outcome),
        host_error=_host_error(plain.block),
        meters=plain.outcome.gas,
        bills=tuple(bills),
    )


def _pool(subject: Subject, node: Participant) -> Pool:
    limits = CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)
    return Pool([(node.node, node.launch)], limits=limits, hosts=makers(1, subject.host))


def _counted(subject: Subject, model: GasModel, entry: str) -> Metered | Bill:
    """
    The counting module, or the bill that says why there is none.
    """
    try:
        return metered(subject.module, model, [entry], by_function=True)
    except RefusedOperatorError as error:
        nothing = NotObserved("the meter does not take the module")
        return Bill(model.id, "", model.unit, nothing, nothing, (), str(error), (), "")


def _run(pool: Pool, subject: Subject, binary: bytes, block: CaseBlock) -> _Ran:
    """
    Run one case of a module on the pool's only node.
    """
    digest = hashlib.sha256(binary).hexdigest()
    pool.add_module(digest, binary, subject.manifest.run.compile_deadline_ms)
    pool.submit(0, digest, block)
    (done,) = pool.drain()
    return _Ran(done.outcome, outcome_at(done.outcome, 0, block.call, block.level))


def _bill(subject: Subject, counting: Metered, plain: _Ran, pool: Pool, case: CaseBlock) -> Bill:
    """
    Run the counting module and read its counters.
    """
    model = counting.model
    call = msgspec.structs.replace(
        case.call,
        entry=counting.entries[case.call.entry],
        globals=counting.counters,
        global_types=msgspec.UNSET,
        memory=counting.memory,
    )
    budget = msgspec.structs.replace(case.budget, fuel=None)
    block = CaseBlock(call, budget, Level.STATE, case.ids, case.inputs)
    ran = _run(pool, subject, counting.binary, block)
    alike = (
        plain.outcome.kind == ran.outcome.kind and (plain.block.outputs == ran.block.outputs).all()
    )
    limit = isinstance(ran.outcome.kind, Exhausted)
    readings = ran.outcome.globals
    shares: tuple[Share, ...] = ()
    vm_part: int | NotObserved
    if isinstance(readings, NotObserved):
        vm_part = readings
    elif limit:
        vm_part = NotObserved(f"the call met a limit of the engine: {_words(ran.outcome)}")
    else:
        shares = _shares(subject, readings)
        vm_part = sum(share.gas for share in shares)
    return Bill(
        model=model.id,
        rewrite=counting.rewrite,
        unit=model.unit,
        vm_part=vm_part,
        host_part=host_part(model, subject.host, plain.block.host_log),
        functions=shares,
        refused="",
        unknown=tuple(
            f"{item.operator} in {subject.module.function_name(item.function)} (byte"
            f" {item.offset}, {item.offset:#x}): its price per {item.kind} is not known"
            for item in counting.unpriced
        ),
        outcome="" if alike else _words(ran.outcome),
    )


def _host_error(block: BlockOutcome) -> str:
    """
    Why the host ended the call; empty if it did not.
    """
    if Status(int(block.status[0])) is not Status.TRAP_HOST:
        return ""
    return block.details.get(0, "") or "the host ended the call"


def _shares(subject: Subject, readings: Sequence[str]) -> tuple[Share, ...]:
    """
    What each function paid, dearest first.
    """
    functions = subject.module.functions
    paid = [
        (parse_bits(bits)[1], function.index)
        for bits, function in zip(readings, functions, strict=True)
    ]
    return tuple(
        Share(subject.module.function_name(index), gas)
        for gas, index in sorted(paid, key=lambda row: (-row[0], row[1]))
        if gas
    )


def _words(outcome: Outcome) -> str:
    """
    A kind of outcome in a few words.
    """
    kind = msgspec.to_builtins(outcome.kind)
    name = str(kind.pop("type"))
    if name == "returned":
        return name
    return f"{name} ({', '.join(str(value) for value in kind.values())})" if kind else name
