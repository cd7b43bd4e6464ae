"""
Puts an attack to every node of a bench, and gathers what was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from attacks.bench import Bench, NodeLostError, NodeUnableError
from attacks.host_ends import HostEnds
from attacks.records import Breach, Result, Unasked
from runners.records import Node


@dataclass(slots=True)
class Seen:
    """
    What one node did, or all of them together.
    """

    breaches: list[Breach] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    ends: HostEnds = field(default_factory=HostEnds)


def attack_nodes(
    bench: Bench, attack: Callable[[int, Node], Seen], *, worlds: int = 0, cases: int = 0
) -> Result:
    """
    The result of *attack*, which is given place and node, at each node of *bench*.

    *worlds*: how many are shown to each node beside the usual one; 0: none are. A node that is
    lost is asked once more: as with any crash, one that does not repeat is held against nobody.
    """
    whole, nodes, unasked = Seen(), list[str](), list[Unasked]()
    for place, node in enumerate(bench.nodes):
        try:
            try:
                seen = attack(place, node)
            except NodeLostError:
                seen = attack(place, node)
        except (NodeLostError, NodeUnableError) as error:
            lost = isinstance(error, NodeLostError)
            unasked.append(Unasked(node.label(), str(error), lost))
        else:
            nodes.append(node.label())
            whole.breaches += seen.breaches
            whole.remarks += seen.remarks
            whole.ends.add(seen.ends)
    return Result(
        breaches=tuple(whole.breaches),
        nodes=tuple(nodes),
        unasked=tuple(unasked),
        entries=len(bench.targets),
        remarks=tuple(dict.fromkeys(whole.remarks)),
        worlds=1 + worlds * len(nodes) if worlds else 0,
        cases=cases,
        usual=whole.ends.asked,
        host_ended=whole.ends.ended,
        host_words=whole.ends.words,
    )
