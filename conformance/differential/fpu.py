"""
Known products that show a floating-point unit in a wrong mode.

Flushed results, inputs read as zero and another rounding move all engines of a process together:
they go on agreeing and are all wrong. So products whose right bits are known are computed before
and after a batch, by the engine itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runners.records import Call, Slot


class Probe(Struct, frozen=True):
    """
    One product: binary64 bits of both factors and of the product, rounded to nearest, ties to even.
    """

    left: int
    right: int
    product: int
    shows: str
    """Which mode gives other bits."""


PROBES: Final[tuple[Probe, ...]] = (
    # 2^-1022 * 1/2 = 2^-1023, exactly.
    Probe(0x0010000000000000, 0x3FE0000000000000, 0x0008000000000000, "flushed results"),
    # 2^-537 * -(2^-537) = -(2^-1074), the least subnormal.
    Probe(0x1E60000000000000, 0x9E60000000000000, 0x8000000000000001, "flushed results"),
    # 2^-1074 * 2^52 = 2^-1022: a subnormal factor, a normal product.
    Probe(0x0000000000000001, 0x4330000000000000, 0x0010000000000000, "inputs read as zero"),
    # (2^-1022 - 2^-1074) * 2: exact, normal.
    Probe(0x000FFFFFFFFFFFFF, 0x4000000000000000, 0x001FFFFFFFFFFFFE, "inputs read as zero"),
    # 2^-1074 * 1 = 2^-1074: subnormal on both sides.
    Probe(0x0000000000000001, 0x3FF0000000000000, 0x0000000000000001, "flushed or read as zero"),
    # (1 + 2^-52)^2 = 1 + 2^-51 + 2^-104: below the half, so down.
    Probe(0x3FF0000000000001, 0x3FF0000000000001, 0x3FF0000000000002, "rounding up"),
    # -(1 + 2^-52)^2: towards zero.
    Probe(0xBFF0000000000001, 0x3FF0000000000001, 0xBFF0000000000002, "rounding down"),
    # (2 - 2^-52)^2 = 4 - 2^-50 + 2^-104, and its last place is 2^-51: down.
    Probe(0x3FFFFFFFFFFFFFFF, 0x3FFFFFFFFFFFFFFF, 0x400FFFFFFFFFFFFE, "rounding up"),
    # (1 + 2^-52) * (2 - 2^-52) = 2 + 2^-52 - 2^-104: just below the half of 2^-51, so down to 2.
    Probe(0x3FF0000000000001, 0x3FFFFFFFFFFFFFFF, 0x4000000000000000, "rounding up"),
    # 3 * 2^-1074 * 1/2 = 1.5 * 2^-1074: a tie, to the even 2 * 2^-1074.
    Probe(0x0000000000000003, 0x3FE0000000000000, 0x0000000000000002, "rounding to zero"),
    # 2^-1074 * 1/2: a tie, to the even 0.
    Probe(0x0000000000000001, 0x3FE0000000000000, 0x0000000000000000, "rounding up"),
    # 3 * (2^51 - 1) * 2 * (2^51 + 1) * 2^-1178 = 1.5 * 2^-1074 - 6 * 2^-1178: below the half, so
    # down; rounded to 53 or 64 bits first it would become a tie, then 2 * 2^-1074.
    Probe(0x1E67FFFFFFFFFFFD, 0x1E60000000000002, 0x0000000000000001, "rounding twice"),
)
"""Every probe; their products are right in the one mode that WebAssembly allows."""

PROBE_WAT: Final = """
(module
  (func (export "probe") (param i64 i64) (result i64)
    (i64.reinterpret_f64
      (f64.mul
        (f64.reinterpret_i64 (local.get 0))
        (f64.reinterpret_i64 (local.get 1))))))
"""
"""The probe as a module: bits in, bits of the product out; factors are never constants."""

PROBE_WASM: Final = bytes.fromhex(
    "0061736d0100000001070160027e7e017e030201000709010570726f626500000a0c010a002000bf2001bfa2bd0b"
)
"""`PROBE_WAT`, assembled: the controller itself needs no assembler."""

PROBE_CALL: Final = Call(
    entry="probe",
    arguments=(Slot(0, "i64"), Slot(1, "i64")),
    results=("i64",),
    grows=False,
)
"""How the probe module is called."""


def probe_inputs() -> NDArray[np.uint8]:
    """
    Input rows of the probes, shape (probes, 16).
    """
    rows = np.array([(probe.left, probe.right) for probe in PROBES], dtype="<u8")
    return rows.view(np.uint8).reshape(len(PROBES), 16)


def probe_outputs() -> NDArray[np.uint8]:
    """
    Right output rows of the probes, shape (probes, 8).
    """
    rows = np.array([probe.product for probe in PROBES], dtype="<u8")
    return rows.view(np.uint8).reshape(len(PROBES), 8)


def wrong_probes(products: Sequence[int]) -> tuple[Probe, ...]:
    """
    Give the probes whose product, as unsigned bits in the order of PROBES, is wrong.
    """
    return tuple(p for p, bits in zip(PROBES, products, strict=True) if p.product != bits)


def own_products() -> tuple[int, ...]:
    """
    Compute the probes on this thread's own floating-point unit.
    """
    products = []
    for probe in PROBES:
        left, right = struct.unpack("<2d", struct.pack("<2Q", probe.left, probe.right))
        products.append(struct.unpack("<Q", struct.pack("<d", left * right))[0])
    return tuple(products)


def fpu_is_ieee() -> bool:
    """
    Tell whether this thread's floating-point unit rounds to nearest and keeps subnormals.
    """
    return not wrong_probes(own_products())
