"""
The host that answers nothing: what a node has unless a manifest allows more.
"""

from __future__ import annotations

from runners.hosts.host import Answer, HostCall, HostStopError
from runners.records import digest_of


class DenyingHost:
    """
    Refuses every import by its name.
    """

    def answer(self, call: HostCall) -> Answer:
        """
        Raise HostStopError.
        """
        message = f"the manifest does not allow the import {call.module}.{call.name}"
        raise HostStopError(message)
        yield  # an answer is a generator, also one that never takes a step

    def ended(self) -> str | None:
        """
        Nothing: what was not asked was not refused.
        """
        return None


class DenyMaker:
    """
    Makes hosts that refuse.
    """

    def digest(self) -> str:
        """
        The same for all of them.
        """
        return digest_of(["host", "deny", 1])

    def host(self) -> DenyingHost:
        """
        A host that refuses.
        """
        return DenyingHost()
