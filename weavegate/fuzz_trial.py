"""
Generated modules put to nodes, plainly and with counters, and the vote on what came of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.differential.findings import JudgedBlock, RunFinding, collect_findings, finding_at
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import Blame, FindingClass
from conformance.differential.vote import Voice, vote
from conformance.gas.load import gas_model
from conformance.gas.metering import Metered, metered
from conformance.gas.records import GasModel
from conformance.generate.choices import finalised
from conformance.generate.modules import ENTRY, GLOBALS, GeneratedModule
from conformance.wasm.decode import decode
from conformance.wasm.module import Module
from conformance.wasm.rewrite.nans import NanRewrite, canonicalised
from runners.blocks import BlockOutcome, CaseBlock
from runners.pool import Pool
from runners.records import Level
from runners.status import Status
from weavegate.nodes import Participant

FUEL_MODEL: Final = "wasmtime-fuel@50.0.1"
"""What the counters charge; wasmtime's own meter of that version must agree with them."""
SLOW_SHARE: Final = 16
"""Of so many modules an interpreter sees one."""
COUNTED_SHARE: Final = 4
"""Of so many modules one is run with counters as well."""
SHAPE: Final = OutputShape(((0, "i64", 1),), GLOBALS)
COUNTED_SHAPE: Final = OutputShape(((0, "i64", 1),), (*GLOBALS, "i64"))


@dataclass(slots=True)
class Trial:
    """
    One module, what it was asked, and what came of it so far.
    """

    index: int
    made: GeneratedModule
    module: Module
    """What was made, decoded."""
    sha256: str
    counted: Metered | None
    plain: dict[int, BlockOutcome] = field(default_factory=dict)
    with_counters: dict[int, BlockOutcome] = field(default_factory=dict)
    own_meters: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    """What the own meter of a seat read, row by row; kept apart from the vote."""

    def block(self, level: Level = Level.STATE) -> CaseBlock:
        """
        The module's rows as cases.
        """
        rows = self.made.rows
        ids = np.arange(len(rows), dtype=np.uint64)
        return CaseBlock(self.made.call, self.made.budget, level, ids, rows)

    def counted_block(self) -> CaseBlock:
        """
        The same for the module with counters.
        """
        assert self.counted is not None  # noqa: S101 - asked only of such
        call = msgspec.structs.replace(
            self.made.call,
            entry=self.counted.entries[ENTRY],
            globals=(*GLOBALS, *self.counted.counters),
        )
        rows = self.made.rows
        ids = np.arange(len(rows), dtype=np.uint64)
        return CaseBlock(call, self.made.budget, Level.STATE, ids, rows)


@dataclass(slots=True)
class Bench:
    """
    The nodes of a fuzzing run, and how modules are put to them.
    """

    pool: Pool
    nodes: Sequence[Participant]
    """In the form in which they keep the profile, with the rewrite that belongs to it."""
    profile: NanProfile
    model: GasModel = field(default_factory=lambda: gas_model(FUEL_MODEL))
    _forms: dict[tuple[str, bool, NanRewrite], str] = field(default_factory=dict)
    """By digest, whether counted, and rewrite: digest of what a module became in this round."""
    _given_names: set[str] = field(default_factory=set)

    def trial(self, index: int, made: GeneratedModule, *, counted: bool) -> Trial:
        """
        A module to be tried; *counted*: whether counters are asked of it.
        """
        module = decode(made.binary)
        counters = metered(module, self.model, (ENTRY,)) if counted else None
        sha256 = hashlib.sha256(made.binary).hexdigest()
        return Trial(index, made, module, sha256, counters)

    def run(self, trials: Sequence[Trial], seats: Mapping[int, Sequence[int]]) -> None:
        """
        Run *trials* on the seats that are given by their index, until all are done.
        """
        waiting: list[tuple[int, Trial, bool]] = []
        for trial in trials:
            for seat in seats[trial.index]:
                waiting.append((seat, trial, False))
                if trial.counted is not None:
                    waiting.append((seat, trial, True))
        tickets: dict[int, tuple[int, Trial, bool]] = {}
        for seat, trial, counted in waiting:
            given = self._given(seat, trial, counted=counted)
            own = trial.counted is not None and self._meters(seat)
            block = trial.block(Level.FULL if own else Level.STATE)
            block = trial.counted_block() if counted else block
            tickets[self.pool.submit(seat, given, block)] = (seat, trial, counted)
        for done in self.pool.drain():
            seat, trial, counted = tickets[done.ticket]
            outcome = done.outcome
            if outcome.gas is not None and outcome.meter == self._meter:
                trial.own_meters[seat] = outcome.gas
            outcome = replace(outcome, gas=None, meter="", not_observed=())
            (trial.with_counters if counted else trial.plain)[seat] = outcome
        self.pool.forget(self._given_names)
        self._given_names.clear()
        self._forms.clear()

    @property
    def _meter(self) -> str:
        """
        The own meter that the model describes.
        """
        return f"fuel:{self.model.id.replace('-fuel', '')}"

    def _meters(self, seat: int) -> bool:
        """
        Whether a seat's own meter is asked.

        Winch writes its fuel back at other points than Cranelift, so that after a trap the two
        read differently; the model is Cranelift's.
        """
        engine = self.nodes[seat].node.engine
        own = f"fuel:{engine.name}@{engine.version}" == self._meter
        return own and self.nodes[seat].launch.families.generator == "cranelift"

    def rewrites(self) -> dict[int, NanRewrite]:
        """
        What each seat runs modules with, to keep the NaN profile; others run them as they are.
        """
        return {
            seat: node.rewrite for seat, node in enumerate(self.nodes) if node.rewrite is not None
        }

    def _given(self, seat: int, trial: Trial, *, counted: bool) -> str:
        """
        Digest of what a seat is given, which keeps the NaN profile on it.
        """
        counters = trial.counted if counted else None
        told = self.nodes[seat].rewrite
        if told is None:
            return self._known(trial.made.binary if counters is None else counters.binary)
        key = (trial.sha256, counted, told)
        if key not in self._forms:
            module = trial.module if counters is None else decode(counters.binary)
            self._forms[key] = self._known(canonicalised(module, told))
        return self._forms[key]

    def _known(self, binary: bytes) -> str:
        """
        Make a module known to the pool until this round is over.
        """
        sha256 = hashlib.sha256(binary).hexdigest()
        self.pool.add_module(sha256, binary)
        self._given_names.add(sha256)
        return sha256

    # --------------------------------------------------------------------------- judging

    def findings(self, trial: Trial) -> tuple[RunFinding, ...]:
        """
        All ways in which nodes differ over a trial: in what it does, and in what it costs.
        """
        judged = self._judged(trial.block(), trial.plain, SHAPE)
        found = collect_findings([judged], module_sha256=trial.sha256, nan=self.profile)
        if found or trial.counted is None:
            # Where nodes take other paths their counters differ too: one finding, not two.
            return found
        sha256 = hashlib.sha256(trial.counted.binary).hexdigest()
        judged = self._judged(trial.counted_block(), trial.with_counters, COUNTED_SHAPE)
        found = collect_findings([judged], module_sha256=sha256, nan=self.profile)
        return (*found, *self._unlike_meters(trial, judged, sha256))

    def _judged(
        self, block: CaseBlock, outcomes: Mapping[int, BlockOutcome], shape: OutputShape
    ) -> JudgedBlock:
        voices = [
            Voice(self.nodes[seat].node, self.nodes[seat].launch.families, outcome)
            for seat, outcome in sorted(outcomes.items())
        ]
        return JudgedBlock(block, shape, voices, vote(block, shape, voices, self.profile, 0))

    def _unlike_meters(
        self, trial: Trial, judged: JudgedBlock, sha256: str
    ) -> Iterator[RunFinding]:
        """
        Nodes whose own meter of the model says something else than the counters.
        """
        for seat, outcome in sorted(trial.with_counters.items()):
            rows = self._unlike(seat, trial, outcome)
            if not rows:
                continue
            label = self.nodes[seat].node.label()
            reason = f"The counters of {self.model.id} and the own meter of {label} differ."
            finding = finding_at(
                judged,
                rows[0],
                kind=FindingClass.GAS,
                blame=Blame("harness", (), reason),
                apart=[label],
                module_sha256=sha256,
                nan=self.profile,
                count=len(rows),
            )
            yield RunFinding(finding, (label,), "other", tuple(rows), rows[0])

    def _unlike(self, seat: int, trial: Trial, counted: BlockOutcome) -> list[int]:
        """
        Rows in which the counter is not what the node's own meter of that model says.
        """
        plain, gas = trial.plain.get(seat), trial.own_meters.get(seat)
        if plain is None or gas is None or counted.globals is None:
            return []
        if self.nodes[seat].rewrite is not None:
            return []
        counters = np.ascontiguousarray(counted.globals[:, -8:]).view("<u8")[:, 0]
        both = (plain.status == counted.status) & ended(plain.status)
        found: list[int] = np.flatnonzero(both & (counters != gas)).tolist()
        return found


def ended(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """
    Which rows returned or trapped.
    """
    return (status >= Status.RETURNED) & (status < Status.EXHAUSTED_STACK)


def sampled(seed: int, index: int, one_in: int) -> bool:
    """
    Whether module *index* of *seed* is one of the seeded share of one in *one_in*.
    """
    return finalised(finalised(seed & (1 << 64) - 1) ^ index) % one_in == 0
