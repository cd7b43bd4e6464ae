"""
`weavegate replay`: one finding, from its file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from attacks.records import Breach
from conformance.differential.bisection import FirstDifference
from conformance.differential.outcomes import outcome_at
from conformance.differential.records import Finding, FindingClass, Observed
from conformance.evidence.store import EvidenceStore
from conformance.manifest.locate import locate
from conformance.wasm.decode import decode
from reports.console_findings import print_finding
from reports.escapes import visible
from reports.model import FindingReport
from runners.catalog import Catalog
from runners.environments import Environments
from runners.hosts.setting import HostSetting
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Node
from weavegate.attack_replay import replay_attack
from weavegate.bisecting import bisected
from weavegate.claim_replay import is_counted, replay_counted
from weavegate.execution import Executor
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import find_module, read_finding, replay_line
from weavegate.hosted import hosted, makers
from weavegate.probing import fpu_probe
from weavegate.replaying import Replay, replay_node, run_replay
from weavegate.rewriting import keeping, rewrites_of
from weavegate.subject import read_module


def replay(
    console: Console,
    finding: Path,
    module: Path | None,
    engines: Sequence[str],
    launches: Sequence[Launch] = (),
) -> int:
    """
    Reproduce a finding and show what nodes did; 1 when it shows again, else 0.
    """
    record = read_finding(finding)
    vectors = Path(__file__).resolve().parent.parent / "vectors"
    data = (
        find_module(record.module_sha256, [finding.resolve().parent, vectors])
        if module is None
        else _named_module(module, record)
    )
    nodes = _nodes(record, engines, launches)
    if engines:
        known, profile = decode(data), record.nan
        nodes = [(keeping(n, la, known, profile), la) for n, la in nodes]  # type: ignore[arg-type]
    difference = None
    if record.kind in (FindingClass.RESIDUE, FindingClass.IMPORTS):
        breaches = replay_attack(record, nodes, data)
        differs, shown = bool(breaches), _as_attacked(record, breaches, nodes)
    elif is_counted(record):
        differs, shown = replay_counted(record, nodes, data)
    else:
        result, difference = _run(record, nodes, data)
        differs, shown = result.differs, _as_seen(record, result, nodes)
    print_finding(
        console,
        FindingReport(id=record.id, finding=shown, file=str(finding), replay=replay_line(finding)),
    )
    if differs:
        if difference is not None:
            console.print(f"first difference: {visible(str(difference))}", soft_wrap=True)
        console.print("the finding shows again")
        return int(Exit.FINDINGS)
    console.print("the finding does not show: these nodes no longer do what it says")
    return int(Exit.PASS)


def _named_module(path: Path, record: Finding) -> bytes:
    """
    The module that the user names, which must be the one of the finding.
    """
    data, sha256, _ = read_module(locate(path, need_manifest=False).wasm_path)
    if sha256 != record.module_sha256:
        sentence = (
            f"{path}: its SHA-256 is {sha256}, but the finding is about the module"
            f" {record.module_sha256}: name that one"
        )
        raise WeavegateError(sentence, Exit.USAGE)
    return data


def _nodes(
    record: Finding, engines: Sequence[str], launches: Sequence[Launch]
) -> list[tuple[Node, Launch]]:
    """
    The nodes that were observed, or the engines that the user names instead.
    """
    catalog = Catalog.load()
    environments = Environments(catalog)
    if engines:
        asked = [Node(catalog.resolve(text), policy=record.policy) for text in engines]
    else:
        asked = [observed.node for observed in record.observed]
    own = {launch.engine: launch for launch in launches}
    asked = [hosted(node, record.host) for node in asked]
    if record.kind is FindingClass.IMPORTS:
        # Each was observed with two hosts; the attack makes the other ones itself.
        asked = [node for place, node in enumerate(asked) if node not in asked[:place]]
    return [
        (replay_node(node, record), own.get(node.engine) or environments.launch(node.engine))
        for node in asked
    ]


def _run(
    record: Finding, nodes: Sequence[tuple[Node, Launch]], data: bytes
) -> tuple[Replay, FirstDifference | None]:
    """
    Run the history, without keeping evidence of it; if it shows, find the operator that differs.
    """
    with (
        tempfile.TemporaryDirectory(prefix="weavegate-") as folder,
        EvidenceStore.open(Path(folder) / "evidence.sqlite") as store,
        Pool(nodes, probe=fpu_probe(), hosts=makers(len(nodes), record.host)) as pool,
    ):
        identities = pool.identities()
        pool.add_module(record.module_sha256, data)
        # Two processes of one node have one key: neither is served what the other did.
        rewrites = rewrites_of(nodes, decode(data), record.nan)  # type: ignore[arg-type]
        asked = [node for node, _ in nodes]
        executor = Executor(pool, store, asked, identities, again=True, rewrites=rewrites)
        result = run_replay(record, nodes, executor, range(len(nodes)))
        apart = _apart(record, result)
        if not result.differs or not apart:
            return result, None
        seen = _as_seen(record, result, nodes)
        seats = {node.label(): seat for seat, node in enumerate(asked)}
        return result, bisected(seen, data, pool, seats, rewrites.by_seat, apart)


def _apart(record: Finding, result: Replay) -> list[str]:
    """
    Labels of the nodes that are named; where none is, of the first that is not like node 0.
    """
    labels = [node.label() for node, _ in result.outcomes]
    named = [label for label in labels if label in record.blame.nodes]
    if named:
        return named
    (_, first), *others = result.outcomes
    last = len(result.block) - 1
    for node, outcome in others:
        pairs = [(first.status, outcome.status), (first.outputs, outcome.outputs)]
        if first.globals is not None and outcome.globals is not None:
            pairs.append((first.globals, outcome.globals))
        if any((one[last] != two[last]).any() for one, two in pairs):
            return [node.label()]
    return []


def _as_seen(record: Finding, result: Replay, nodes: Sequence[tuple[Node, Launch]]) -> Finding:
    """
    The finding with what was observed now in place of what was observed then.
    """
    last = len(result.block) - 1
    observed = tuple(
        Observed(
            node, launch.families.generator, outcome_at(outcome, last, record.call, record.level)
        )
        for (node, launch), (_, outcome) in zip(nodes, result.outcomes, strict=True)
    )
    return msgspec.structs.replace(record, observed=observed)


def _as_attacked(
    record: Finding, breaches: Sequence[Breach], nodes: Sequence[tuple[Node, Launch]]
) -> Finding:
    """
    The finding with what the attack achieved now; as it was if it achieved nothing.
    """
    seen = {breach.node: breach.outcome for breach in reversed(breaches)}
    if record.host is not None and record.kind is FindingClass.IMPORTS:
        return _as_answered(record, record.host, breaches, nodes)
    observed = tuple(
        Observed(node, launch.families.generator, seen[node])
        for node, launch in nodes
        if node in seen
    )
    return msgspec.structs.replace(record, observed=observed or record.observed)


def _as_answered(
    record: Finding,
    host: HostSetting,
    breaches: Sequence[Breach],
    nodes: Sequence[tuple[Node, Launch]],
) -> Finding:
    """
    The finding with what each node does now under the usual host, and under another.
    """
    generators = {node: launch.families.generator for node, launch in nodes}
    observed = []
    for breach in {breach.node: breach for breach in reversed(breaches)}.values():
        if breach.usual is not None:
            other = msgspec.structs.replace(breach.node, host=host.varied(breach.world).digest())
            observed.append(Observed(breach.node, generators[breach.node], breach.usual))
            observed.append(Observed(other, generators[breach.node], breach.outcome))
    return msgspec.structs.replace(record, observed=tuple(observed) or record.observed)
