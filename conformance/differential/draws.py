"""
Seeded draws of bit patterns, such that a longer draw begins with the shorter one.

Every stream is a counter-based generator keyed by a digest of its seed and its name. There is no
global state, and no draw depends on how many other draws were made.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.domains import EXPONENT, Bits, interval, order, unorder
from conformance.manifest.records import Domain
from runners.bits import parse_bits

MAX_SPREAD: Final = 1 << 40
"""Largest population that `spread` can take from."""

_HALF: Final = np.uint64(32)
_HALF_MASK: Final = np.uint64(0xFFFF_FFFF)


def stream_key(seed: int, *names: str) -> int:
    """
    128 bits from SHA-256 of the seed and the stream's names, each with its length.
    """
    digest = hashlib.sha256(f"{seed}".encode())
    for name in names:
        data = name.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest()[:16], "little")


def stream(seed: int, *names: str) -> np.random.Philox:
    """
    The generator of one stream; its raw words are stable across versions of numpy.
    """
    return np.random.Philox(key=stream_key(seed, *names))


def words(generator: np.random.Philox, count: int) -> Bits:
    """
    The next *count* 64-bit words of a stream.
    """
    if count == 0:
        return np.zeros(0, np.uint64)
    raw: Bits = generator.random_raw(count)
    return raw


def scaled(raw: Bits, span: int) -> Bits:
    """
    Map 64-bit words to integers below *span* (at most 2^64): the high word of their product.
    """
    if span == 1 << 64:
        return raw
    low, high = np.uint64(span & 0xFFFF_FFFF), np.uint64(span >> 32)
    raw_low, raw_high = raw & _HALF_MASK, raw >> _HALF
    middle = raw_high * low + ((raw_low * low) >> _HALF)
    carry = raw_low * high + (middle & _HALF_MASK)
    product: Bits = raw_high * high + (middle >> _HALF) + (carry >> _HALF)
    return product


def patterns(dtype: str, domain: Domain, raw: Bits) -> Bits:
    """
    Uniform over the finite bit patterns of a domain: every exponent is as likely as another.
    """
    first, last = interval(dtype, domain)
    return unorder(dtype, scaled(raw, last - first + 1) + np.uint64(first))


def reals(dtype: str, domain: Domain, raw: Bits) -> Bits:
    """
    Uniform over the real numbers of a domain; for integer types the same as `patterns`.
    """
    if dtype not in EXPONENT:
        return patterns(dtype, domain, raw)
    low, high = (_value(dtype, text) for text in (domain.low, domain.high))
    part = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    # Not low + part * (high - low): the difference of two finite bounds may be infinite.
    values = low * (1.0 - part) + high * part
    if dtype == "f32":
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    else:
        bits = values.view(np.uint64)
    first, last = interval(dtype, domain)
    # Rounding may step over a bound by one unit in the last place.
    return unorder(dtype, np.clip(order(dtype, bits), np.uint64(first), np.uint64(last)))


def spread(seed: int, name: str, population: int, count: int) -> Bits:
    """
    The first *count* members of a seeded order of 0 .. population - 1, spread evenly over it.

    The order is i -> (start + i * step) mod population with a step prime to the population near
    its golden section, so that every prefix leaves gaps of few different lengths.
    """
    if not 0 <= population <= MAX_SPREAD or not 0 <= count < 1 << 24:
        message = f"cannot spread {count} over {population}"
        raise ValueError(message)
    count = min(count, population)
    if count == 0:
        return np.zeros(0, np.uint64)
    step = max(1, round(population * 0.6180339887498949))
    while math.gcd(step, population) != 1:
        step += 1
    start = np.uint64(stream_key(seed, "spread", name) % population)
    places = np.arange(count, dtype=np.uint64) * np.uint64(step) + start
    return places % np.uint64(population)


def mixed(values: Bits) -> Bits:
    """
    A fixed bijection of 64-bit words that leaves no visible pattern: the finaliser of SplitMix64.
    """
    value = values + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _value(dtype: str, text: str) -> float:
    bits = parse_bits(text)[1]
    codes = ("<I", "<f") if dtype == "f32" else ("<Q", "<d")
    value: float = struct.unpack(codes[1], struct.pack(codes[0], bits))[0]
    return value


def choose(values: NDArray[np.uint64], raw: Bits) -> Bits:
    """
    Pick one of *values* for each word.
    """
    picked: Bits = values[scaled(raw, len(values)).astype(np.int64)]
    return picked
