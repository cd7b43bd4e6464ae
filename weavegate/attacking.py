"""
Puts the scenarios of the attacks room to a module and its nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

import attacks
from attacks.bench import Bench, NodeLostError, NodeUnableError, Target
from attacks.records import Result
from attacks.registry import Scenario, scenarios
from attacks.secrets import draw_row, spread_evenly
from conformance.evidence.store import EvidenceStore
from conformance.manifest.calls import input_columns
from runners.held import HeldInstance, InstanceRefusedError
from runners.hosts.host import HostMaker
from runners.pool import Pool, WorkerLostError
from runners.records import Budget, Call, Identity, Level, Node, digest_of
from weavegate.nodes import Participant
from weavegate.subject import Subject

QUICK_ENTRIES: Final = 8
"""Entries of a module that are attacked in a quick run."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """
    What came of one scenario.
    """

    scenario: Scenario
    result: Result
    entries: int
    """Entries that the module has."""
    left_out: tuple[str, ...]
    """Labels of nodes that are too slow for a quick run."""


@dataclass(frozen=True, slots=True)
class Opener:
    """
    Opens instances on the seats of a pool, and says in the words of the attacks room what fails.
    """

    pool: Pool
    seats: Sequence[int]
    module_sha256: str
    budget: Budget
    losses: list[str] = field(default_factory=list)
    """One sentence for each worker that died."""

    @contextmanager
    def __call__(
        self, place: int, call: Call, host: HostMaker | None = None, /
    ) -> Iterator[HeldInstance]:
        """
        An instance on the node of *place*; raises NodeLostError or NodeUnableError.
        """
        try:
            with HeldInstance(
                self.pool,
                self.seats[place],
                self.module_sha256,
                call,
                name="attacked",
                budget=self.budget,
                level=Level.FULL,
                host=host,
            ) as instance:
                yield instance
        except InstanceRefusedError as error:
            raise NodeUnableError(str(error)) from error
        except WorkerLostError as error:
            self.losses.append(str(error))
            raise NodeLostError(str(error)) from error


def budget_of(subject: Subject) -> Budget:
    """
    What the manifest allows one call.
    """
    run = subject.manifest.run
    return Budget(deadline_ms=run.deadline_ms, fuel=run.fuel, memory_pages=run.memory_pages)


def targets_of(subject: Subject, seed: int, most: int | None) -> tuple[Target, ...]:
    """
    The entries to attack, at most *most* of them, with their input rows drawn from *seed*.
    """
    manifest, calls = subject.manifest, subject.calls
    places = spread_evenly(len(calls), len(calls) if most is None else most)
    return tuple(
        Target(
            calls[at],
            input_columns(manifest, calls[at].entry),
            (
                draw_row(manifest, calls[at].entry, seed, "secret"),
                draw_row(manifest, calls[at].entry, seed, "next"),
            ),
        )
        for at in places
    )


def seats_to_attack(nodes: Sequence[Participant], *, quick: bool) -> list[int]:
    """
    Places of the nodes that are attacked: a quick run leaves out interpreters if there are others.
    """
    seats = [seat for seat, item in enumerate(nodes) if not (quick and item.sampled)]
    return seats or list(range(len(nodes)))


@dataclass(frozen=True, slots=True)
class Attacker:
    """
    Runs all scenarios against one module, or recalls from evidence what they saw.
    """

    subject: Subject
    nodes: Sequence[Participant]
    identities: Sequence[Identity]
    pool: Pool
    store: EvidenceStore
    seed: int = 0
    quick: bool = True
    """A few entries only, and no interpreters if there are others."""
    again: bool = False
    """Run what evidence knows as well."""
    unstable: list[str] = field(default_factory=list)
    """Deaths of workers that did not repeat, one sentence each: shown, never judged."""

    def attack(self) -> list[Attacked]:
        """
        What each scenario saw, in the order of their ids. Nothing may be outstanding.
        """
        return [self._one(scenario) for scenario in scenarios()]

    def _one(self, scenario: Scenario) -> Attacked:
        seats = seats_to_attack(self.nodes, quick=self.quick)
        subject, budget = self.subject, budget_of(self.subject)
        targets = targets_of(subject, self.seed, QUICK_ENTRIES if self.quick else None)
        nodes = tuple(self.nodes[seat].node for seat in seats)
        opener = Opener(self.pool, seats, subject.sha256, budget)
        bench = Bench(
            run=subject.manifest.run,
            budget=budget,
            stateful=subject.module.stateful,
            targets=targets,
            nodes=nodes,
            open=opener,
            imports=subject.imports,
        )
        result = self._result(scenario, bench, self._key(scenario, nodes, seats, targets))
        if not any(item.lost for item in result.unasked):
            self.unstable.extend(f"{loss}, not repeated" for loss in opener.losses)
        left_out = tuple(p.node.label() for s, p in enumerate(self.nodes) if s not in seats)
        return Attacked(scenario, result, len(subject.calls), left_out)

    def _result(self, scenario: Scenario, bench: Bench, key: str) -> Result:
        """
        From evidence, else from the nodes. What a lost worker left undecided is not kept.
        """
        known = None if self.again else self.store.recall_run(key)
        if known is not None:
            return msgspec.json.decode(known, type=Result)
        result = scenario.attack(bench)
        if not any(item.lost for item in result.unasked):
            self.store.remember_run(key, msgspec.json.encode(result, order="deterministic"))
        return result

    def _key(
        self,
        scenario: Scenario,
        nodes: Sequence[Node],
        seats: Sequence[int],
        targets: Sequence[Target],
    ) -> str:
        """
        Digest of all that decides what a scenario sees.
        """
        return digest_of(
            [
                "attack 1",
                scenario.id,
                _room_digest(),
                self.subject.sha256,
                self.subject.manifest.run,
                [(target.call, target.rows[0].hex(), target.rows[1].hex()) for target in targets],
                nodes,
                [self.identities[seat] for seat in seats],
            ]
        )


def _room_digest() -> str:
    """
    SHA-256 over the sources of the attacks room: another scenario, another question.
    """
    total = hashlib.sha256()
    for path in sorted(Path(attacks.__path__[0]).rglob("*.py")):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
