"""
What a validator keeps between blocks: an ordered set of keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from conformance.network.merkle import framed, merkle_root

DOMAIN: Final = "weavegate/state/1"


class State:
    """
    An immutable map from keys (text) to values (bytes), ordered by key.
    """

    def __init__(self, pairs: Mapping[str, bytes] | None = None) -> None:
        """
        Take a copy of *pairs*, so that nobody can change a state.
        """
        self._pairs: Final = dict(sorted((pairs or {}).items()))

    def get(self, key: str) -> bytes | None:
        """
        The value of a key, or None.
        """
        return self._pairs.get(key)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """
        Keys and values, by key.
        """
        return iter(self._pairs.items())

    def with_writes(self, writes: Mapping[str, bytes]) -> State:
        """
        The state after some keys are written.
        """
        return State({**self._pairs, **writes}) if writes else self

    def root(self) -> bytes:
        """
        Merkle root: one leaf per key, its length-framed key and value, in the order of keys.
        """
        return merkle_root(DOMAIN, [framed(key.encode(), value) for key, value in self])


def first_differing_key(left: State, right: State) -> str | None:
    """
    The least key whose value differs, or that only one of the two has; None if there is none.
    """
    keys = {key for key, _ in left} | {key for key, _ in right}
    return min((key for key in keys if left.get(key) != right.get(key)), default=None)
