"""
A probe: a few calls with known answers, put to a worker before and after each batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from runners.blocks import Bytes2, CaseBlock


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A tiny module, calls of it, and the only right outputs.

    Its purpose is to notice an FPU mode that moves every engine of a process alike: a vote among
    calls of that process would stay green.
    """

    module_sha256: str
    module: bytes
    block: CaseBlock
    """At level `result`."""
    expected: Bytes2
    """Shape (n, block.call.output_bytes)."""
