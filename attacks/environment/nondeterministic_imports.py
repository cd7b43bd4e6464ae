"""
What a host answers to one validator and not to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from attacks.bench import Bench, NodeUnableError, Target
from attacks.gathering import Seen, attack_nodes
from attacks.host_ends import HostEnds
from attacks.records import Aspect, Breach, Importance, Result
from attacks.registry import scenario
from conformance.differential.outcomes import outcome_at
from runners.bits import format_bytes, parse_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.hosts.host import HostMaker
from runners.records import Level, Node, NotObserved, Outcome, Returned
from runners.status import Status

WORLDS: Final = 4
"""Other worlds that each node is shown, each of them shown to that node alone."""

_ASPECTS: Final[tuple[tuple[Aspect, str, str], ...]] = (
    ("output", "kind", "its result bits differ"),
    ("globals", "globals", "exported globals differ after it"),
    ("pages", "pages", "memory has another size after it"),
    ("memory", "memory_sha256", "memory differs after it"),
    ("gas", "gas", "it takes another amount of fuel"),
)


@scenario(
    proves="imports-deterministic",
    importance=Importance.HIGH,
    published=(
        "CWA-2022-001, CWA-2022-003: https://github.com/CosmWasm/advisories",
        "WASI preview1: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md",
        "CWE-330, use of insufficiently random values: https://cwe.mitre.org/data/definitions/330",
    ),
    detected_by=(
        "every import must be allowed by the manifest under its exact name. Then infer(x) runs with"
        " the manifest's host and with hosts that answer from other worlds: another clock, other"
        " random bytes, environment and arguments, host maths one ulp off. Outcome and result bits,"
        " exported globals, the size of memory and fuel must not move; where they do, each import"
        " is answered differently alone, to name the ones to blame"
    ),
    red=("attacks/mixes-clock",),
    green=("attacks/ignores-clock", "attacks/wipes-scratch"),
    fake="",
)
def nondeterministic_imports(bench: Bench) -> Result:
    """
    A validator's clock, random numbers, environment or mathematics decide the last digits.

    A module that imports anything computes with what its host answers, and hosts differ: no two
    validators read the same clock, draw the same entropy, have the same environment, or link the
    same library of mathematics, whose exp and pow differ by an ulp between versions. One such
    answer in the last digit of one output is another app hash on one validator, and with more than
    a third of them the chain halts. Twice contracts could query what only their own node knew
    (CWA-2022-001, CWA-2022-003), and a chain stood still. An emscripten or WASI module brings clock
    and entropy along without its author having asked for them.

    The policy comes first: what the manifest does not allow by its exact name is refused, and the
    module is not run. What is allowed is then answered by worlds drawn from seeds. An import whose
    answer the module's own memory fixes, such as a copy or the growth of memory, is answered alike
    in all of them. Of an import that only a host script answers nobody knows what else might have
    been answered, so every number and every byte of its answers is changed.

    Memory that differs afterwards and is then dropped with its instance, as under
    `instances = "fresh"`, is remarked and breaks nothing; a module that imports nothing holds
    trivially, and one whose imports are all answered alike holds without being run.
    """
    varying = tuple(key for key in bench.imports if bench.host.is_varying(key))
    if not varying:
        remark = "all its imports are answered alike everywhere" if bench.imports else "no imports"
        labels = tuple(node.label() for node in bench.nodes)
        return Result(breaches=(), nodes=labels, unasked=(), entries=len(bench.targets),
                      remarks=(remark,))  # fmt: skip

    def attacked(place: int, node: Node) -> Seen:
        seen = Seen()
        for breach in _Trial(bench, place, node, varying, seen.ends).breaches():
            if breach.aspect == "memory":
                moved = f"{_listed(breach.imports)} moves memory after {breach.entry}"
                seen.remarks.append(f"{moved}, which is dropped with its instance")
            else:
                seen.breaches.append(breach)
        return seen

    rows = sum(len(target.rows) for target in bench.targets)
    return attack_nodes(bench, attacked, worlds=WORLDS, cases=rows)


def worlds_of(place: int) -> tuple[int, ...]:
    """
    Seeds of the worlds that the node of *place* is shown.
    """
    return tuple(1 + place * WORLDS + which for which in range(WORLDS))


@dataclass(frozen=True, slots=True)
class _Trial:
    """
    One node, whose host answers differently.
    """

    bench: Bench
    place: int
    node: Node
    varying: tuple[str, ...]
    ends: HostEnds

    def breaches(self) -> list[Breach]:
        """
        The first difference of each entry, in each aspect; raises NodeLostError, NodeUnableError.
        """
        return [breach for target in self.bench.targets for breach in self._of(target)]

    def _of(self, target: Target) -> Iterator[Breach]:
        seen: set[Aspect] = set()
        for row in target.rows:
            usual = self._usual(target, row)
            for world in worlds_of(self.place):
                outcome = self._run(target, row, self.bench.host.varied(world))
                moved = [aspect for aspect, _ in self._differences(usual, outcome)]
                if set(moved) <= seen:
                    continue
                guilty = self._guilty(target, row, world, usual)
                for aspect, words in self._differences(usual, outcome):
                    if aspect in seen:
                        continue
                    seen.add(aspect)
                    yield self._breach(target, row, world, guilty, aspect, words, usual, outcome)

    def _guilty(self, target: Target, row: bytes, world: int, usual: Outcome) -> tuple[str, ...]:
        """
        The imports that make a difference alone; all that may differ if only several together do.
        """
        if len(self.varying) == 1:
            return self.varying
        alone = tuple(
            key
            for key in self.varying
            if any(
                self._differences(usual, self._run(target, row, self.bench.host.varied(world, key)))
            )
        )
        return alone or self.varying

    def _usual(self, target: Target, row: bytes) -> Outcome:
        """
        Infer in a new instance with the manifest's host, and note whether that host ended it.
        """
        ran = self._ran(target, row, self.bench.host.maker())
        self.ends.note(ran)
        return outcome_at(ran, 0, target.call, Level.FULL)

    def _run(self, target: Target, row: bytes, maker: HostMaker) -> Outcome:
        """
        Infer in a new instance, with a host of that kind.
        """
        return outcome_at(self._ran(target, row, maker), 0, target.call, Level.FULL)

    def _ran(self, target: Target, row: bytes, maker: HostMaker) -> BlockOutcome:
        with self.bench.open(self.place, target.call, maker) as instance:
            inputs = np.frombuffer(row, np.uint8).reshape(1, len(row))
            ids = np.zeros(1, np.uint64)
            block = CaseBlock(target.call, self.bench.budget, Level.FULL, ids, inputs)
            outcome = instance.run(block)
        if outcome.status[0] == Status.PENDING:
            message = "a case was left out"
            raise NodeUnableError(message)
        return outcome

    def _differences(self, left: Outcome, right: Outcome) -> Iterator[tuple[Aspect, str]]:
        """
        In what two outcomes differ, of all that both show.
        """
        for aspect, name, words in _ASPECTS:
            one, two = getattr(left, name), getattr(right, name)
            if isinstance(one, NotObserved) or isinstance(two, NotObserved) or one == two:
                continue
            if aspect == "output" and not _both_returned(left, right):
                yield "kind", "it ends in another way"
            elif aspect == "memory" and self.bench.run.policy != "fresh":
                yield "memory kept", words
            else:
                yield aspect, words

    def _breach(
        self,
        target: Target,
        row: bytes,
        world: int,
        guilty: tuple[str, ...],
        aspect: Aspect,
        words: str,
        usual: Outcome,
        outcome: Outcome,
    ) -> Breach:
        sentence = f"{target.call.entry} depends on what {_listed(guilty)} answers: {words}"
        if aspect == "output":
            sentence += f" ({_first_bits(usual, outcome)})"
        return Breach(
            node=self.node,
            entry=target.call.entry,
            aspect=aspect,
            sentence=sentence,
            history=(format_bytes(row),),
            outcome=outcome,
            usual=usual,
            imports=guilty,
            world=world,
        )


def _both_returned(left: Outcome, right: Outcome) -> bool:
    return isinstance(left.kind, Returned) and isinstance(right.kind, Returned)


def _first_bits(usual: Outcome, other: Outcome) -> str:
    """
    The first word of the results in which two outcomes differ.
    """
    left, right = usual.kind, other.kind
    if not isinstance(left, Returned) or not isinstance(right, Returned):
        return ""
    for one, two in zip(left.results, right.results, strict=True):
        if one != two:
            return f"{one} in one world, {two} in another"
    first, second = parse_bytes(left.output), parse_bytes(right.output)
    at = next(at for at in range(len(first)) if first[at] != second[at])
    word = at - at % 8
    one, two = (data[word : word + 8][::-1].hex() for data in (first, second))
    return f"output byte {word}: {one} in one world, {two} in another"


def _listed(keys: tuple[str, ...]) -> str:
    return keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]
