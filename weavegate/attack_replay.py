"""
Shows a finding of an attack again: the scenario of its property, with the finding's own inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from attacks.bench import Bench, Target
from attacks.marks import columns_of
from attacks.records import Breach
from attacks.registry import scenarios
from conformance.differential.records import Finding
from conformance.manifest.records import RunPart
from conformance.wasm.decode import validated
from runners.bits import parse_bytes
from runners.cell import CellLimits
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Node
from weavegate.attacking import Opener
from weavegate.hosted import makers


def replay_attack(
    finding: Finding, nodes: Sequence[tuple[Node, Launch]], module: bytes
) -> tuple[Breach, ...]:
    """
    What the attack achieves on *nodes* now; raises WorkerStartError.
    """
    call = finding.call
    columns = columns_of(
        call.slots, finding.slot_dtypes, finding.input_dtype,
        call.input.size_bytes if call.input else 0,
    )  # fmt: skip
    rows = (parse_bytes(finding.history[0]), parse_bytes(finding.history[-1]))
    limits = CellLimits(data_mib=2048 + finding.budget.memory_pages // 16)
    with ExitStack() as stack:
        hosts = makers(len(nodes), finding.host)
        pool = stack.enter_context(Pool(nodes, limits=limits, hosts=hosts))
        pool.identities()
        pool.add_module(finding.module_sha256, module)
        seats = range(len(nodes))
        bench = Bench(
            run=_run_part(finding),
            budget=finding.budget,
            stateful=validated(module).stateful,
            targets=(Target(call, columns, rows),),
            nodes=tuple(node for node, _ in nodes),
            open=Opener(pool, seats, finding.module_sha256, finding.budget),
            imports=() if finding.host is None else finding.host.imports,
        )
        return tuple(
            breach
            for scenario in scenarios()
            if scenario.proves == finding.property
            for breach in scenario.attack(bench).breaches
        )


def _run_part(finding: Finding) -> RunPart:
    """
    As much of a manifest as a finding keeps.
    """
    run = RunPart(policy=finding.policy, reset=finding.reset or None)
    if finding.host is None:
        return run
    host = finding.host
    return msgspec.structs.replace(
        run,
        abi=host.abi,
        imports=host.imports,
        names=host.names,
        script=host.script,
        scripted=host.scripted,
        seed=host.seed,
    )
