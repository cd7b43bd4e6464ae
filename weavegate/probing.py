"""
The probe of the floating-point unit, as the pool takes it.
"""

from __future__ import annotations

import hashlib

import numpy as np

from conformance.differential.fpu import PROBE_CALL, PROBE_WASM, PROBES, probe_inputs, probe_outputs
from runners.blocks import CaseBlock
from runners.probe import Probe
from runners.records import Budget, Level


def fpu_probe() -> Probe:
    """
    Known subnormal products, computed by the engine itself before and after every batch.
    """
    ids = np.arange(len(PROBES), dtype=np.uint64)
    block = CaseBlock(PROBE_CALL, Budget(), Level.RESULT, ids, probe_inputs())
    return Probe(hashlib.sha256(PROBE_WASM).hexdigest(), PROBE_WASM, block, probe_outputs())
