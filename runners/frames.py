"""
Frames of the worker protocol, from the controller's side (PROTOCOL.md, "Frames").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Final

MAX_HEADER_BYTES: Final = 1 << 20
MAX_BLOB_BYTES: Final = 1 << 28


class ProtocolBreachError(Exception):
    """
    A worker broke a rule of PROTOCOL.md; `rule` is its name there.
    """

    def __init__(self, rule: str, text: str = "") -> None:
        """
        Name the rule and say what was seen.
        """
        super().__init__(f"{rule}: {text}" if text else rule)
        self.rule = rule


def encode_frame(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """
    One frame as bytes; `blobs` are listed in the header.
    """
    if blobs:
        header = {**header, "blobs": [len(blob) for blob in blobs]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([struct.pack("<I", len(raw)), raw, *blobs])


class FrameReader:
    """
    Takes bytes as they come and gives whole frames; raises ProtocolBreachError at the first wrong byte.
    """

    def __init__(self) -> None:
        """
        Start with an empty buffer.
        """
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], list[bytes]]]:
        """
        Add received bytes and return the frames that they complete, in order.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    @property
    def inside_frame(self) -> bool:
        """
        Whether the stream stands in the middle of a frame.
        """
        return bool(self._buffer)

    def _next(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """
        Cut the first frame off the buffer, if it is whole.
        """
        buffer = self._buffer
        if len(buffer) < 4:  # noqa: PLR2004 - size of the length itself
            return None
        (length,) = struct.unpack_from("<I", buffer)
        if length > MAX_HEADER_BYTES:
            rule = "frame-length"
            raise ProtocolBreachError(rule, f"header of {length} bytes")
        if len(buffer) < 4 + length:
            return None
        header = _parse(bytes(buffer[4 : 4 + length]))
        lengths = header.get("blobs", [])
        if not isinstance(lengths, list) or not all(
            isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in lengths
        ):
            rule = "reply-shape"
            raise ProtocolBreachError(rule, "blobs is not a list of lengths")
        if sum(lengths) > MAX_BLOB_BYTES:
            rule = "frame-length"
            raise ProtocolBreachError(rule, f"blobs of {sum(lengths)} bytes")
        end = 4 + length + sum(lengths)
        if len(buffer) < end:
            return None
        blobs, position = [], 4 + length
        for size in lengths:
            blobs.append(bytes(buffer[position : position + size]))
            position += size
        del buffer[:end]
        return header, blobs


def _parse(raw: bytes) -> dict[str, Any]:
    """
    The header as an object; anything else breaks rule `frame-json`.
    """
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        rule = "frame-json"
        raise ProtocolBreachError(rule, str(error)[:100]) from error
    if not isinstance(header, dict):
        rule = "frame-json"
        raise ProtocolBreachError(rule, "not an object")
    return header
