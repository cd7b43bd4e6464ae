"""
The probes are right, run on a real engine, and notice every bent mode.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import pytest
import wasmtime

from conformance.differential.fpu import (
    PROBE_CALL,
    PROBE_WAT,
    PROBES,
    fpu_is_ieee,
    own_products,
    probe_inputs,
    probe_outputs,
    wrong_probes,
)


def value_of(bits: int) -> Fraction:
    return Fraction(struct.unpack("<d", struct.pack("<Q", bits))[0])


def nearest_even(exact: Fraction, sign: int) -> int:
    """
    Round to binary64 in integers: the number of units of the last place, ties to even.
    """
    size, exponent = abs(exact), -1074
    while size / Fraction(2) ** exponent >= 2**53:
        exponent += 1
    units, rest = divmod(size / Fraction(2) ** exponent, 1)
    units = int(units)
    units += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and units % 2 == 1)
    if units < 2**52:
        return sign << 63 | units
    while units >= 2**53:
        units, exponent = units // 2, exponent + 1
    return sign << 63 | (exponent + 1075) << 52 | units - 2**52


@pytest.mark.parametrize("probe", PROBES)
def test_products_are_right(probe: object) -> None:
    left, right, product = probe.left, probe.right, probe.product  # type: ignore[attr-defined]
    sign = (left ^ right) >> 63
    assert nearest_even(value_of(left) * value_of(right), sign) == product


def test_own_unit_is_right() -> None:
    assert fpu_is_ieee()
    assert [f"{bits:x}" for bits in own_products()] == [f"{p.product:x}" for p in PROBES]


def test_a_wrong_product_is_named() -> None:
    products = list(own_products())
    products[3] ^= 1
    assert wrong_probes(products) == (PROBES[3],)


class Probe:
    """
    The probe module on wasmtime.
    """

    def __init__(self) -> None:
        self.store = wasmtime.Store(wasmtime.Engine())
        module = wasmtime.Module(self.store.engine, PROBE_WAT)
        instance = wasmtime.Instance(self.store, module, [])
        probe = instance.exports(self.store)[PROBE_CALL.entry]
        assert isinstance(probe, wasmtime.Func)
        self.probe = probe

    def products(self) -> list[int]:
        made = []
        for row in probe_inputs():
            left, right = struct.unpack("<2q", row.tobytes())
            made.append(self.probe(self.store, left, right) % 2**64)
        return made


def test_probe_module_runs_on_an_engine() -> None:
    assert wrong_probes(Probe().products()) == ()
    outputs = [int.from_bytes(row.tobytes(), "little") for row in probe_outputs()]
    assert outputs == [probe.product for probe in PROBES]
    assert probe_inputs().shape == (len(PROBES), PROBE_CALL.input_bytes)
    assert probe_outputs().shape == (len(PROBES), PROBE_CALL.output_bytes)


x86_glibc = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="bends MXCSR through glibc's fenv_t",
)


@contextmanager
def bent(bits: int) -> Iterator[None]:
    """
    Set *bits* of this thread's MXCSR for a while (fenv_t of x86-64 glibc keeps it at byte 28).
    """
    libm = ctypes.CDLL("libm.so.6")
    kept = (ctypes.c_uint32 * 8)()
    libm.fegetenv(kept)
    changed = (ctypes.c_uint32 * 8)(*kept)
    changed[7] |= bits
    libm.fesetenv(changed)
    try:
        yield
    finally:
        libm.fesetenv(kept)


@x86_glibc
@pytest.mark.parametrize(
    ("bits", "shows"),
    [
        (0x8000, "flushed results"),
        (0x0040, "inputs read as zero"),
        (0x8040, "flushed or read as zero"),
        (0x4000, "rounding up"),
        (0x2000, "rounding down"),
        (0x6000, "rounding to zero"),
    ],
)
def test_every_bent_mode_is_noticed_here_and_in_the_engine(bits: int, shows: str) -> None:
    engine = Probe()
    with bent(bits):
        noticed = fpu_is_ieee()
        own, products = own_products(), engine.products()
    assert not noticed
    for wrong in (wrong_probes(own), wrong_probes(products)):
        assert shows in {probe.shows for probe in wrong}
    assert fpu_is_ieee()
    assert wrong_probes(engine.products()) == ()


def test_a_product_rounded_twice_is_another() -> None:
    (probe,) = (p for p in PROBES if p.shows == "rounding twice")
    exact = value_of(probe.left) * value_of(probe.right)
    once = Fraction(float(exact * 2**600)) / Fraction(2) ** 600
    assert nearest_even(once, 0) != probe.product
