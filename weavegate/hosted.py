"""
Gives nodes the host of a manifest.
"""

from __future__ import annotations

import msgspec

from runners.hosts.host import HostMaker, host_node
from runners.hosts.setting import HostSetting
from runners.records import Node


def hosted(node: Node, host: HostSetting | None) -> Node:
    """
    The node with that host, or with none that answers, whatever it had before.
    """
    bare = msgspec.structs.replace(node, host=msgspec.UNSET)
    return bare if host is None else host_node(bare, host.maker())


def makers(count: int, host: HostSetting | None) -> dict[int, HostMaker]:
    """
    The hosts of *count* seats, as a pool takes them.
    """
    return {} if host is None else {seat: host.maker() for seat in range(count)}
