"""
The generator's power, measured: published bugs of old wheels are found, each within its budget.

`make nightly CAMPAIGN=fuzz-power`; the old wheels are installed on the way. What soup does in the
same time is measured by `fuzz_power.py` and is no test: not finding anything is its usual result.
"""

from __future__ import annotations

import pytest
from fuzz_power import BUDGET_S, BUGS, SEEDS, Bug, attempt

from weavegate.engines_job import install_engines


@pytest.mark.nightly
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.red)
def test_fuzz_power_rediscovers(bug: Bug, seed: int) -> None:
    wheels = (f"wasmtime@{bug.red}", f"wasmtime@{bug.green}")
    install_engines(wheels, core=False, again=False, say=lambda _: None)
    found = attempt(bug, "shapes", seed, BUDGET_S / len(SEEDS))
    assert found.found, found
    assert found.seconds <= BUDGET_S / len(SEEDS)
