"""
`weavegate bound`: state the call, prove, let the checker confirm, hold it against limits.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from conformance.admission.chains import Chain, read_chain
from conformance.admission.fitting import Fit, Loading, SdkGas
from conformance.bounds.assumed import narrowed
from conformance.bounds.bound import BoundReport, Budget, bound
from conformance.bounds.certificate import (
    BadCertificateError,
    Certificate,
    Range,
    read_certificate,
    write_certificate,
)
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.contract import Contract
from conformance.bounds.precondition import CannotStateError, Stated, grows, state, state_bare
from conformance.bounds.repairs import Repair, find_repair
from conformance.bounds.taint import NoTaintRunError
from conformance.bounds.taint_run import TaintResult, taint_run
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import HOST_PART, gas_model, newest
from conformance.gas.records import GasModel
from conformance.manifest.calls import build_call
from conformance.manifest.locate import locate
from conformance.manifest.read import read_manifest
from conformance.manifest.records import Manifest
from conformance.wasm.module import Module
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.bound_contract import Kept, contract_of, hold, named_contract
from weavegate.bound_drawn import Drawn, drawn_inputs, measured
from weavegate.bound_moves import Moved, moves
from weavegate.bound_shape import Shape, Sizes, called_by_vm, fitting, is_contract, shape
from weavegate.exits import Exit, WeavegateError
from weavegate.nodes import choose
from weavegate.shipped import shipped
from weavegate.subject import read_module

_WINDOW_PAGES: Final = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What the command line asks for.
    """

    module: Path
    manifest: Path | None = None
    entry: str = ""
    arguments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    emit: Path | None = None
    smt: Path | None = None
    against: Path | None = None
    chain: str | None = None
    loading: Loading = "unpinned"
    message_bytes: int = 0
    context_bytes: int | None = None
    """Of env and info, each."""
    answer_bytes: int | None = None
    contract: str | None = None
    max_sdk_gas: int | None = None
    budget: int | None = None
    engine: str = "wasmtime"
    seed: int = 0
    assume: tuple[str, ...] = ()
    repair: bool = False
    """Whether a condition is looked for under which a call without a bound has one."""
    html: Path | None = None
    drawn: bool = False
    """Whether seeded inputs are measured, as the page shows them."""


@dataclass(frozen=True, slots=True)
class BoundDone:
    """
    The answer to the command.
    """

    report: BoundReport
    module: Module
    names: dict[str, str]
    """Summary -> name of its function."""
    chain: Chain | None = None
    sdk: SdkGas | None = None
    fits: tuple[Fit, ...] = ()
    moved: tuple[Moved, ...] | None = None
    interrupted: bool = False
    kept: Kept | None = None
    """What the manifest's own host showed of the contract, where it was asked."""
    around: Shape | None = None
    """What the chain's VM does around the entry."""
    taints: tuple[TaintResult, ...] = ()
    """Taint runs, where the proof leaves open whether gas depends on the input."""
    written: tuple[str, ...] = field(default=())
    repair: Repair | None = None
    """Under which the call would have a bound, where it has none."""
    drawn: tuple[Drawn, ...] = ()
    """By model, where it was asked for."""

    @property
    def exit_code(self) -> Exit:
        """
        130 after Ctrl-C, 1 for a limit that is exceeded or a bound that a measured call refutes,
        3 where something asked is unknown.
        """
        if self.interrupted:
            return Exit.INTERRUPTED
        broken = self.kept is not None and bool(self.kept.broken)
        outside = any(drawn.outside for drawn in self.drawn)
        if broken or outside or any(fit.answer == "exceeds" for fit in self.fits):
            return Exit.FINDINGS
        asked_unknown = self.fits and self.fits[0].answer == "unknown"
        if asked_unknown or any(answer.bound is None for answer in self.report.gas):
            return Exit.UNDECIDED
        return Exit.PASS


def run_bound(asked: Asked, errors: Console) -> BoundDone:
    """
    The whole job; raises WeavegateError, and errors that `plainly` knows.
    """
    try:
        return prove_bound(asked, _progress(errors))
    except CannotStateError as error:
        raise WeavegateError(str(error), Exit.USAGE) from error


def prove_bound(asked: Asked, tell: Callable[[str], None]) -> BoundDone:
    """
    As `run_bound`; *tell* hears what is done, and a call that no precondition states is a
    CannotStateError.
    """
    located = locate(asked.module, asked.manifest, need_manifest=False)
    data, _, module = read_module(located.wasm_path)
    chain = None if asked.chain is None else named_chain(asked.chain)
    if chain is None and asked.max_sdk_gas is not None:
        sentence = "--max-sdk-gas needs --chain: its register turns VM gas into SDK gas"
        raise WeavegateError(sentence, Exit.USAGE)
    models = asked_models(asked.models, chain)
    before = None if asked.against is None else _certificate(asked.against)
    manifest = None if located.manifest_path is None else read_manifest(located.manifest_path)
    named = asked.contract or contract_of(manifest)
    contract = None if named is None else named_contract(named)
    stated = _state(asked, manifest, module, contract)
    if chain is not None and is_contract(module, stated.precondition.entry):
        stated = called_by_vm(stated, chain)
    catalog = Catalog.load()
    (node,) = choose([asked.engine], "fresh", catalog, Environments(catalog))
    pages = module.memory_limits[0] if module.memory_limits else 0
    limits = CellLimits(data_mib=2048 + (pages + _WINDOW_PAGES) // 16)
    with Pool([(node.node, node.launch)], limits=limits) as pool, _stopping(asked) as stopped:
        engine = Engine(pool, pages + _WINDOW_PAGES)
        budget = Budget(stop=stopped)
        report = bound(
            module, stated.precondition, stated.inputs, models, engine, parts=True, budget=budget,
            progress=tell, scripts=asked.smt is not None, contract=contract,
        )  # fmt: skip
        repair = None
        if asked.repair:
            repair = find_repair(
                module, stated, models, engine, report,
                stop=lambda: stopped.interrupted, progress=tell,
            )  # fmt: skip
        around = None
        if chain is not None and chain.gas_model.value is not None:
            around = _around(asked, chain, module, stated, engine, budget, tell, contract)
        kept = None
        if report.certificate is not None and manifest is not None and not asked.arguments:
            kept = hold(
                report.certificate, manifest, module, engine, stated.inputs, asked.seed
            )  # fmt: skip
        drawn: tuple[Drawn, ...] = ()
        wanted = asked.drawn or asked.html is not None
        if wanted and not stopped.interrupted and not module.imported_functions:
            drawn = tuple(_drawn(asked, manifest, module, stated, models, report, engine, tell))
        taints = tuple(_taints(asked, manifest, module, stated, report, pool, models))
    names = {
        summary.name: module.function_name(summary.function)
        for summary in (report.certificate.summaries if report.certificate else ())
    }
    found, gas = ((), None) if chain is None else fitting(
        chain, report, around, len(data), asked.message_bytes, asked.loading, asked.max_sdk_gas
    )  # fmt: skip
    return BoundDone(
        report, module, names, chain, gas, found,
        None if before is None else moves(before, report),
        stopped.interrupted, kept, around, taints, tuple(_write(asked, report, around)), repair,
        drawn,
    )  # fmt: skip


# ------------------------------------------------------------------------------ what is asked


def asked_models(names: Sequence[str], chain: Chain | None) -> list[GasModel]:
    """
    The models that are named, and the chain's own; without either the newest cosmwasm-vm.

    Raises UnknownGasModelError.
    """
    models = [gas_model(name) for name in dict.fromkeys(names)]
    if chain is not None and chain.gas_model.value is not None:
        own = gas_model(chain.gas_model.value)
        if own.id not in [model.id for model in models]:
            models.append(own)
    return models or [newest()]


def _state(
    asked: Asked, manifest: Manifest | None, module: Module, contract: Contract | None
) -> Stated:
    if manifest is not None and not asked.arguments:
        stated = state(manifest, module, asked.entry, asked.seed, contract)
        return narrowed(stated, module, asked.assume)
    if not asked.entry:
        sentence = "there is no manifest: name an exported function with --entry"
        raise WeavegateError(sentence, Exit.USAGE)
    ranges = tuple(_range(text) for text in asked.arguments)
    bare = state_bare(module, asked.entry, ranges, contract=contract)
    return narrowed(bare, module, asked.assume)


def _range(text: str) -> Range:
    low, _, high = text.partition("..")
    try:
        numbers = [int(part, 0) for part in (low, high or low)]
    except ValueError:
        numbers = [1, 0]
    if not 0 <= numbers[0] <= numbers[1] < 1 << 64:
        sentence = f"{text!r} is no range of bit patterns, such as 0..48 or 0x3ff0000000000000"
        raise WeavegateError(sentence, Exit.USAGE)
    return Range(numbers[0], numbers[1])


def named_chain(name: str) -> Chain:
    """
    A chain file, or a shipped chain by its name; raises WeavegateError and BadManifestError.
    """
    return read_chain(shipped("chains", name, "chain file"))


def _certificate(path: Path) -> Certificate:
    try:
        return read_certificate(path.read_bytes())
    except OSError as error:
        sentence = f"{path}: cannot be read: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except BadCertificateError as error:
        raise WeavegateError(f"{path}: {error}", Exit.USAGE) from error


class _Stop:
    """
    Whether to stop: after a number of questions, or when somebody pressed Ctrl-C.
    """

    def __init__(self, most: int | None) -> None:
        self.most, self.asked, self.interrupted = most, 0, False

    def __call__(self) -> bool:
        self.asked += 1
        return self.interrupted or (self.most is not None and self.asked > self.most)


@contextmanager
def _stopping(asked: Asked) -> Iterator[_Stop]:
    stop = _Stop(asked.budget)

    def interrupt(*_: Any) -> None:
        if stop.interrupted:
            raise KeyboardInterrupt
        stop.interrupted = True

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _progress(errors: Console) -> Any:
    def tell(part: str) -> None:
        if errors.is_terminal:
            errors.print(f"{part:<60}", end="\r")
        else:
            errors.print(part)

    return tell


# ----------------------------------------------------------------------------- what is found


def _taints(
    asked: Asked, manifest: Manifest | None, module: Module, stated: Stated,
    report: BoundReport, pool: Pool, models: Sequence[GasModel],
) -> Iterator[TaintResult]:  # fmt: skip
    """
    One taint run for each model under which independence is neither proved nor refuted.
    """
    unsettled = {answer.model for answer in report.gas if answer.independence == "unknown"}
    unsettled -= {answer.model for answer in report.gas if answer.model.startswith(HOST_PART)}
    if manifest is None or asked.arguments or not unsettled or not stated.inputs:
        return
    if stated.precondition.initialize:
        # A taint run is one of an instance that is fresh.
        return
    exports = [export.name for export in module.exports if export.kind == "memory"]
    entry = stated.precondition.entry
    call = build_call(
        manifest, (), exports[0] if exports else None,
        grows=grows(module), entry=entry,
    )  # fmt: skip
    given = stated.inputs[-1]
    row = b"".join(value.to_bytes(8, "little") for value in given.arguments)
    if call.input is not None:
        row = b"".join(bytes.fromhex(part.data) for part in given.memory)
    for model in models:
        if model.id in unsettled:
            try:
                yield taint_run(pool, 0, module, call, model, row)
            except (NoTaintRunError, RefusedOperatorError):
                # Then independence stays unknown, as the answer says.
                continue


def _around(
    asked: Asked, chain: Chain, module: Module, stated: Stated, engine: Engine, budget: Budget,
    tell: Callable[[str], None], contract: Contract | None,
) -> Shape:  # fmt: skip
    """
    What the chain's VM does around the entry, and bills for it.
    """
    model = gas_model(chain.gas_model.value or "")

    def prove(entry: str, argument: Range) -> BoundReport:
        tell(f"bound of {entry}")
        bare = called_by_vm(state_bare(module, entry, (argument,), contract=contract), chain)
        return bound(
            module, bare.precondition, bare.inputs, [model], engine, budget=budget, progress=tell,
            contract=contract,
        )  # fmt: skip

    sizes = Sizes(asked.message_bytes, asked.context_bytes, asked.answer_bytes)
    return shape(module, stated.precondition.entry, model, sizes, prove)


def _drawn(
    asked: Asked, manifest: Manifest | None, module: Module, stated: Stated,
    models: Sequence[GasModel], report: BoundReport, engine: Engine, tell: Callable[[str], None],
) -> Iterator[Drawn]:  # fmt: skip
    """
    Seeded inputs that meet the precondition, measured.
    """
    entry = stated.precondition.entry
    source = None if asked.arguments else manifest
    inputs = drawn_inputs(source, module, stated, entry, asked.seed)
    met = narrowed(replace(stated, inputs=inputs), module, asked.assume)
    yield from measured(module, report.gas, entry, met.inputs, models, engine, tell)


def _write(asked: Asked, report: BoundReport, around: Shape | None) -> Iterator[str]:
    """
    Write the certificate and the scripts; yields sentences about it.
    """
    try:
        if asked.emit is not None and report.certificate is not None:
            asked.emit.write_bytes(write_certificate(report.certificate))
            yield f"certificate: {asked.emit}"
            for name, other in ({} if around is None else around.reports).items():
                if other.certificate is not None:
                    beside = asked.emit.with_suffix(f".{name}.json")
                    beside.write_bytes(write_certificate(other.certificate))
                    yield f"certificate of {name}: {beside}"
        elif asked.emit is not None:
            yield f"no certificate was confirmed, so {asked.emit} was not written"
        if asked.smt is not None:
            asked.smt.mkdir(parents=True, exist_ok=True)
            for name, script in report.scripts.items():
                (asked.smt / name).write_text(script, encoding="utf-8")
            yield f"{len(report.scripts)} obligations as SMT-LIB in {asked.smt}"
    except OSError as error:
        sentence = f"{error.filename}: cannot be written: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
