"""
`weavegate attack`: the scenarios, what each is for, and whether its controls still do their part.
"""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from attacks.registry import Scenario, UnknownScenarioError, find, scenarios
from conformance.evidence.store import EvidenceStore
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Node
from weavegate.attack_verdicts import attack_findings, attack_verdict
from weavegate.attacking import Attacked, Attacker
from weavegate.control_table import table_lines
from weavegate.exits import Exit, WeavegateError
from weavegate.hosted import hosted, makers
from weavegate.nodes import Participant, choose
from weavegate.subject import load_subject
from weavegate.terminal import Output

VECTORS: Final = Path(__file__).resolve().parent.parent / "vectors"
_WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class Control:
    """
    One module that a scenario must catch, or must not.
    """

    scenario: Scenario
    folder: str
    red: bool


@dataclass(frozen=True, slots=True)
class ControlRun:
    """
    What became of a control.
    """

    control: Control
    attacked: Attacked
    caught: tuple[str, ...]
    """Labels of the nodes on which the module was caught."""
    sentence: str

    @property
    def right(self) -> bool:
        """
        Whether every node says what it must: caught on all, or on none, and some node asked.
        """
        asked = set(self.attacked.result.nodes)
        wanted = asked if self.control.red else set()
        return bool(asked) and not self.attacked.result.unasked and set(self.caught) == wanted


def list_scenarios(output: Output) -> int:
    """
    Two lines for each scenario: its id, and what it is.
    """
    for item in scenarios():
        output.say(item.id)
        output.say(f"    proves {item.proves}, importance {item.importance.value}: {item.title}")
    return int(Exit.PASS)


def explain(output: Output, name: str) -> int:
    """
    A scenario's page; raises WeavegateError for a name that no scenario has.
    """
    try:
        item = find(name)
    except UnknownScenarioError as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    output.say(f"{item.id}\nproves {item.proves}; importance {item.importance.value}\n")
    output.say(f"{item.page}\n")
    for title, lines in (
        ("How it is detected", [f"{item.detected_by}."]),
        ("Published", list(item.published)),
        ("Must be caught", [f"vectors/{folder}" for folder in item.red]),
        ("Must not be caught", [f"vectors/{folder}" for folder in item.green]),
        (
            "Lying engine that must be caught",
            [
                item.fake
                or "none: the host answers beside the engine, and a module is what is caught"
            ],
        ),
    ):
        output.say(f"{title}:")
        for line in lines:
            output.say(textwrap.indent(textwrap.fill(line, _WIDTH, break_long_words=False,
                                                     break_on_hyphens=False), "  "))  # fmt: skip
    output.say("\nIt is part of every `weavegate certify`. Controls: weavegate attack --run")
    return int(Exit.PASS)


def _folded(text: str) -> str:
    """
    A text in lines of readable length; addresses and ids stay whole.
    """
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def run_controls(
    output: Output,
    engines: Sequence[str] = (),
    launches: Sequence[tuple[Launch, bool]] = (),
    folder: Path = VECTORS,
) -> int:
    """
    Put all scenarios to their controls; 1 if one is not caught that must be, or the reverse.

    *launches*: workers instead of the catalogue's, and whether they are slow.
    """
    runs = [_run(control, engines, launches, folder) for control in _controls()]
    for run in runs:
        must = "caught" if run.control.red else "passed"
        output.say(run.control.scenario.id)
        output.say(f"  {run.control.folder}: must be {must}, is {_was(run)}")
        output.say(f"    on {', '.join(run.attacked.result.nodes) or 'no node'}")
        output.say(textwrap.indent(_folded(run.sentence), "    "))
    output.say("\n".join(["", *table_lines(runs), ""]))
    wrong = [run for run in runs if not run.right]
    if wrong:
        output.say(f"{len(wrong)} of {len(runs)} controls do not do their part")
        return int(Exit.FINDINGS)
    output.say(f"all {len(runs)} controls do their part")
    return int(Exit.PASS)


def _controls() -> list[Control]:
    return [
        Control(item, folder, red)
        for item in scenarios()
        for red, folders in ((True, item.red), (False, item.green))
        for folder in folders
    ]


def _was(run: ControlRun) -> str:
    """
    What a control was, in the words of what it must be.
    """
    asked = len(run.attacked.result.nodes)
    if not asked:
        return "not asked"
    if not run.caught:
        return "passed"
    return "caught" if len(run.caught) == asked else f"caught on {len(run.caught)} of {asked}"


def _run(
    control: Control,
    engines: Sequence[str],
    launches: Sequence[tuple[Launch, bool]],
    folder: Path,
) -> ControlRun:
    """
    Put one scenario to one control, keeping no evidence.
    """
    subject = load_subject(folder / control.folder)
    policy = subject.manifest.run.policy
    chosen = [Participant(Node(la.engine, policy=policy), la, slow) for la, slow in launches]
    if not chosen:
        catalog = Catalog.load()
        chosen = choose(engines, policy, catalog, Environments(catalog))
    nodes = [replace(item, node=hosted(item.node, subject.host)) for item in chosen]
    hosts = makers(len(nodes), subject.host)
    limits = CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)
    with (
        tempfile.TemporaryDirectory(prefix="weavegate-") as scratch,
        EvidenceStore.open(Path(scratch) / "evidence.sqlite") as store,
        Pool([(item.node, item.launch) for item in nodes], limits=limits, hosts=hosts) as pool,
    ):
        identities = pool.identities()
        pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)
        attacker = Attacker(subject, nodes, identities, pool, store, quick=False)
        attacked = next(a for a in attacker.attack() if a.scenario.id == control.scenario.id)
    caught = tuple(sorted({breach.node.label() for breach in attacked.result.breaches}))
    found = attack_findings(attacked, subject, nodes, "exact")
    sentence = (
        found[0].finding.blame.reason if found else attack_verdict(attacked, subject, ()).sentence
    )
    return ControlRun(control, attacked, caught, sentence)
