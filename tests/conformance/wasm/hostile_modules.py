"""
Modules that are hostile by their size or by what they claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from wasm_samples import HEADER, body_module, leb, section

_TYPE = section(1, b"\1\x60\0\0")


def nested(opener: bytes, depth: int) -> bytes:
    """
    *depth* blocks, each directly in the one before; an `if` has its condition.
    """
    return body_module(opener * depth + b"\x0b" * (depth + 1))


def branch_table(targets: int) -> bytes:
    """
    One `br_table` of so many targets, alternately two blocks.
    """
    table = b"\x0e" + leb(targets) + b"\0\1" * (targets // 2) + b"\0"
    return body_module(b"\2\x40\2\x40\x41\0" + table + b"\x0b\x0b\x0b")


def many_functions(count: int) -> bytes:
    """
    *count* functions, each of which calls the next one.
    """
    declared = section(3, leb(count) + b"\0" * count)
    bodies = b"".join(
        leb(len(entry)) + entry
        for entry in (b"\0\x10" + leb(min(i + 1, count - 1)) + b"\x0b" for i in range(count))
    )
    return HEADER + _TYPE + declared + section(10, leb(count) + bodies)


def much_data(size: int) -> bytes:
    """
    A valid module with a passive segment of *size* bytes.
    """
    memory = section(5, b"\1\0\1")
    return HEADER + memory + section(11, b"\1\1" + leb(size) + b"\x5a" * size)


def much_code(size: int) -> bytes:
    """
    A valid module of about *size* bytes of code in functions of a mebibyte.
    """
    unit = b"\x44" + b"\0" * 8 + b"\x44" + b"\1" * 8 + b"\xa2\x1a"
    entry = b"\0" + unit * ((1 << 20) // len(unit)) + b"\x0b"
    count = max(size // len(entry), 1)
    declared = section(3, leb(count) + b"\0" * count)
    return HEADER + _TYPE + declared + section(10, leb(count) + (leb(len(entry)) + entry) * count)


_EXPORT = b"\1f\0\0"

REFUSED: Final[dict[str, tuple[Callable[[], bytes], str, int]]] = {
    "a section that claims 4 GiB": (
        lambda: HEADER + b"\1" + leb(2**32 - 1) + b"\1\x60\0\0", "truncated", 18,
    ),
    "a section longer than its content": (
        lambda: HEADER + b"\1\5\1\x60\0\0\0", "section-size", 14,
    ),
    "a section shorter than its content": (
        lambda: HEADER + b"\1\3\1\x60\0\0", "truncated", 13,
    ),
    "a size that never ends": (lambda: HEADER + b"\1" + b"\x80" * 1_000_000, "leb-too-long", 9),
    "a constant that never ends": (
        lambda: body_module(b"\x41" + b"\x80" * 1_000_000), "leb-too-long", 28,
    ),
    "a count of 2^32-1 functions": (
        lambda: HEADER + _TYPE + section(3, leb(2**32 - 1)), "count-too-large", 16,
    ),
    "a body that claims 2^31 bytes": (
        lambda: HEADER + _TYPE + section(3, b"\1\0") + section(10, b"\1" + leb(2**31) + b"\0\x0b"),
        "unexpected-end", 21,
    ),
    "2^32-1 locals": (
        lambda: body_module(b"\x0b", b"\1" + leb(2**32 - 1) + b"\x7c"), "limit-locals", 22,
    ),
    "a name that is no UTF-8": (
        lambda: HEADER + _TYPE + section(2, b"\1\2\xff\xfe\1f\0\0"), "invalid-utf8", 18,
    ),
    "a name of a lone surrogate": (
        lambda: HEADER + _TYPE + section(2, b"\1\3\xed\xa0\x80\1f\0\0"), "invalid-utf8", 18,
    ),
    "two exports of one name": (
        lambda: HEADER + _TYPE + section(3, b"\1\0") + section(7, b"\2" + _EXPORT * 2)
        + section(10, b"\1\2\0\x0b"), "duplicate-export", 25,
    ),
    "a data segment longer than its section": (
        lambda: HEADER + section(5, b"\1\0\1") + section(11, b"\1\1" + leb(1 << 20) + b"x"),
        "count-too-large", 17,
    ),
    "a br_table that claims 10^9 targets": (
        lambda: body_module(b"\x41\0\x0e" + leb(10**9) + b"\0\x0b"), "count-too-large", 26,
    ),
    "blocks that are never closed": (
        lambda: body_module(b"\2\x40" * 100_000), "missing-end", 200_027,
    ),
}  # fmt: skip
"""Name -> bytes, the rule they break, the byte offset that must be named."""

ACCEPTED: Final[dict[str, Callable[[], bytes]]] = {
    "10^5 nested blocks": lambda: nested(b"\2\x40", 100_000),
    "10^5 nested loops": lambda: nested(b"\3\x40", 100_000),
    "10^5 nested ifs": lambda: nested(b"\x41\0\4\x40", 100_000),
    "a br_table of 10^6 targets": lambda: branch_table(1_000_000),
    "20,000 functions": lambda: many_functions(20_000),
    "a data segment past memory": lambda: (
        HEADER + section(5, b"\1\0\1") + section(11, b"\1\0\x41\xff\xff\xff\xff\7\x0b\1x")
    ),
}
"""Valid modules, however strange; a segment past memory traps at instantiation."""


def every() -> Iterator[tuple[str, bytes]]:
    """
    All of them, made.
    """
    for name, (make, _, _) in REFUSED.items():
        yield name, make()
    for name, found in ACCEPTED.items():
        yield name, found()
