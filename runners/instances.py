"""
Instance policies: how many cases share one instance.
"""

from __future__ import annotations

import re
from typing import Final

_REUSE: Final = re.compile(r"reuse\(([1-9][0-9]{0,8})\)\Z")


class BadPolicyError(ValueError):
    """
    A text is not an instance policy.
    """


def cases_per_instance(policy: str) -> int:
    """
    1 for `fresh` and `pooled`, N for `reuse(N)`; raises BadPolicyError.
    """
    if policy in ("fresh", "pooled"):
        return 1
    match = _REUSE.match(policy)
    if match is None:
        message = f"{policy!r} is not an instance policy: fresh, reuse(N) or pooled"
        raise BadPolicyError(message)
    return int(match[1])
