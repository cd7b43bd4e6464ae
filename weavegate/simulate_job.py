"""
`weavegate simulate`: a seeded network of validators over real engines.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from conformance.differential.inputs import EntryInputs
from conformance.manifest.calls import input_columns
from conformance.network.batches import Batch
from conformance.network.events import Event, log_line
from conformance.network.models import Entry, Model, candidate_rows
from conformance.network.plan import (
    BadPlanError,
    Plan,
    Validator,
    check_plan,
    check_powers,
    check_size,
)
from conformance.network.simulation import RunResult, simulate
from runners.blocks import BlockOutcome
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Budget, Node
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import save_finding
from weavegate.probing import fpu_probe
from weavegate.simulate_output import Timeline, print_run, progress
from weavegate.subject import Subject, load_subject
from weavegate.validators import choose_nodes

MODELS: Final = Path(__file__).resolve().parent.parent / "vectors" / "models"
LOG_NAME: Final = "events.jsonl"
_SEED_BITS: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What the user asked for.
    """

    out: Path
    nodes: int = 4
    blocks: int = 50
    seed: int | None = None
    """None: a fresh one is drawn from the system."""
    engines: tuple[str, ...] = ()
    modules: tuple[Path, ...] = ()
    """Empty: all shipped models."""
    powers: tuple[int, ...] = ()
    """Empty: 1 for each validator."""
    members: tuple[tuple[Node, Launch], ...] = ()
    """Validators beyond the catalogue, in place of those it would give."""


@dataclass(slots=True)
class PoolExecutor:
    """
    The room's executor: every inference of a block is put to the pool before any is waited for.
    """

    pool: Pool
    labels: Sequence[str]
    unstable: list[str] = field(default_factory=list)
    """Crashes that did not repeat. They are in no log, because another run may not have them."""

    def execute(
        self, validators: Sequence[int], batches: Sequence[Batch]
    ) -> Mapping[tuple[int, int], BlockOutcome]:
        """
        Run the batches on the validators' workers.
        """
        flying = {
            self.pool.submit(validator, batch.module_sha256, batch.block): (validator, place)
            for validator in validators
            for place, batch in enumerate(batches)
        }
        found: dict[tuple[int, int], BlockOutcome] = {}
        for completion in self.pool.drain():
            found[flying[completion.ticket]] = completion.outcome
            for signal in completion.outcome.unstable.values():
                label = self.labels[completion.seat]
                self.unstable.append(f"{label}: {signal}, not repeated")
        return found

    def told(self) -> list[str]:
        """
        What fell and was well when it was run again, and what fell while it had nothing to do.
        """
        idle = [
            f"{label}: {death.word} between cases"
            for seat, label in enumerate(self.labels)
            for death in self.pool.idle_falls(seat)
        ]
        return self.unstable + idle


@dataclass(frozen=True, slots=True)
class _Network:
    """
    A plan, and what it takes to carry it out.
    """

    plan: Plan
    launches: tuple[Launch, ...]
    subjects: tuple[Subject, ...]


def run_simulation(options: Options, console: Console) -> int:
    """
    Simulate, write the event log and the findings, print; returns the exit status.

    Raises WeavegateError and the errors that `exits.plainly` knows.
    """
    try:
        network = _network(options)
    except BadPlanError as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    console.print(f"seed {network.plan.seed}", highlight=False)
    timeline = Timeline()
    with _log(options.out / LOG_NAME) as write:
        result, unstable = _carry_out(network, write, timeline)
    modules = {subject.sha256: subject.data for subject in network.subjects}
    files = [
        save_finding(options.out, item.finding, modules[item.finding.module_sha256])
        for item in result.findings
    ]
    print_run(console, timeline, result, files, unstable)
    console.print(f"event log: {options.out / LOG_NAME}", highlight=False, soft_wrap=True)
    return int(exit_status(result))


def exit_status(result: RunResult) -> Exit:
    """
    0: both verdicts hold and nothing was found; 3: nothing was seen that could tell.
    """
    verdicts = (result.ended.safety.holds, result.ended.liveness.holds)
    if result.findings or False in verdicts:
        return Exit.FINDINGS
    return Exit.UNDECIDED if None in verdicts else Exit.PASS


# ------------------------------------------------------------------------------------ the plan


def _network(options: Options) -> _Network:
    """
    Check what is asked before anything costs time, then read the modules and find the engines.
    """
    count = len(options.members) or options.nodes
    check_size(count, options.blocks)
    powers = options.powers or (1,) * count
    check_powers(powers, count)
    paths = options.modules or shipped_models()
    subjects = tuple(load_subject(path) for path in paths)
    for subject in subjects:
        if subject.imports:
            sentence = (
                f"{subject.path}: imports {subject.imports[0]}: a simulated network has no host"
                " functions; `weavegate certify` tells whether hosts can steer it"
            )
            raise WeavegateError(sentence, Exit.USAGE)
    members = options.members or _members(options, count, subjects)
    seed = secrets.randbits(_SEED_BITS) if options.seed is None else options.seed
    validators = tuple(
        Validator(node, launch.families, power)
        for (node, launch), power in zip(members, powers, strict=True)
    )
    models = tuple(model_of(subject, seed) for subject in subjects)
    plan = Plan(seed, options.blocks, validators, models)
    check_plan(plan)
    return _Network(plan, tuple(launch for _, launch in members), subjects)


def _members(
    options: Options, count: int, subjects: Sequence[Subject]
) -> tuple[tuple[Node, Launch], ...]:
    """
    Nodes of the catalogue with their launches; raises MissingEngineError for one not installed.
    """
    catalog = Catalog.load()
    environments = Environments(catalog)
    needed = frozenset(name for subject in subjects for name in subject.needed_proposals)
    nodes = choose_nodes(options.engines, count, needed, catalog)
    return tuple((node, environments.launch(node.engine)) for node in nodes)


def shipped_models() -> tuple[Path, ...]:
    """
    The folders of the models that come with weavegate, by name.
    """
    return tuple(sorted(path.parent for path in MODELS.glob("*/model.toml")))


def model_of(subject: Subject, seed: int) -> Model:
    """
    A subject as a chain may store and call it.
    """
    manifest, run = subject.manifest, subject.manifest.run
    constants = {name: set(subject.module.float_constants(name)) for name in ("f32", "f64")}
    entries = {}
    for call in subject.calls:
        inputs = EntryInputs.of(manifest, call.entry, constants, subject.edges, seed)
        table = None if inputs.slots else subject.rows
        columns = input_columns(manifest, call.entry)
        buffer = call.input is not None
        entries[call.entry] = Entry(
            call=call,
            shape=subject.shapes[call.entry],
            inputs=candidate_rows(inputs, table),
            input_dtype=columns[-1][1] if buffer else "",
            slot_dtypes=() if buffer else tuple(dtype for _, dtype, _ in columns),
        )
    # No fuel: engines' meters count different things and are not all there.
    budget = Budget(deadline_ms=run.deadline_ms, memory_pages=run.memory_pages)
    return Model(manifest.name, subject.sha256, budget, entries)


# ------------------------------------------------------------------------------------- the run


def _carry_out(
    network: _Network, write: Callable[[Event], None], timeline: Timeline
) -> tuple[RunResult, list[str]]:
    """
    Run the plan on workers, which are gone afterwards.
    """
    plan = network.plan
    labels = [validator.label for validator in plan.validators]
    pages = max(model.budget.memory_pages for model in plan.models)
    pairs = [
        (validator.node, launch)
        for validator, launch in zip(plan.validators, network.launches, strict=True)
    ]
    limits = CellLimits(data_mib=2048 + pages // 16)
    with (
        progress(Console(stderr=True), len(labels), plan.blocks) as step,
        Pool(pairs, limits=limits, probe=fpu_probe()) as pool,
    ):
        pool.identities()
        for subject in network.subjects:
            pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)

        def tell(event: Event) -> None:
            write(event)
            timeline.note(event)
            step(event)

        executor = PoolExecutor(pool, labels)
        result = simulate(plan, executor, tell)
        return result, executor.told()


@contextmanager
def _log(path: Path) -> Iterator[Callable[[Event], None]]:
    """
    A log that is written line by line, so that an interrupted run leaves what happened so far.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as stream:

            def write(event: Event) -> None:
                try:
                    stream.write(log_line(event))
                except OSError as error:
                    raise _unwritable(path, error) from error

            yield write
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> WeavegateError:
    sentence = f"{path}: cannot be written: {error.strerror}: choose another folder with --out"
    return WeavegateError(sentence, Exit.USAGE)
