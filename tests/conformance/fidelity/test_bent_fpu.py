"""
The oracle refuses to answer in a process whose floating-point mode was really bent.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.fidelity.errors import BentFpuError
from conformance.fidelity.program import Program

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the mode is bent through glibc's layout of the environment on x86-64",
)

MXCSR_OFFSET = 28
"""Of the 32 bytes of glibc's fenv_t on x86-64."""


@contextmanager
def bent(set_bits: int) -> Iterator[None]:
    """
    Set bits of MXCSR, and put the environment back.
    """
    libm = ctypes.CDLL("libm.so.6")
    kept, changed = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    libm.fegetenv(kept)
    ctypes.memmove(changed, kept, 32)
    word = ctypes.c_uint32.from_buffer(changed, MXCSR_OFFSET)
    word.value |= set_bits
    libm.fesetenv(changed)
    try:
        yield
    finally:
        libm.fesetenv(kept)


@pytest.mark.parametrize(
    "set_bits",
    [
        pytest.param(1 << 15, id="flush results"),
        pytest.param(1 << 6, id="subnormals are zero"),
        pytest.param(1 << 13, id="downwards"),
        pytest.param(2 << 13, id="upwards"),
        pytest.param(3 << 13, id="towards zero"),
    ],
)
def test_a_bent_process_gets_no_bits(set_bits: int) -> None:
    program = Program("def infer(x):\n    return x[0] * x[0]\n", "p", {}, {"infer": ("floats",)})
    assert program.call("infer", [(3.0,)]) == 9.0
    with bent(set_bits), pytest.raises(BentFpuError):
        program.call("infer", [(3.0,)])
    assert program.call("infer", [(3.0,)]) == 9.0
