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

_PREFIX: Final = struct.Struct("<I")

Header = dict[str, Any]
"""A frame's JSON object."""

Frame = tuple[Header, list[bytes]]
"""A header and its blobs."""


class ProtocolBreachError(Exception):
    """
    A worker broke a rule of PROTOCOL.md; `rule` is its name there.

    `row` is the row of the batch at fault, when what was seen tells it.
    """

    def __init__(self, rule: str, text: str = "", row: int | None = None) -> None:
        """
        Name the rule and say what was seen.
        """
        super().__init__(f"{rule}: {text}" if text else rule)
        self.rule = rule
        self.row = row


def encode_frame(header: Header, blobs: Sequence[bytes] = ()) -> bytes:
    """
    One frame as bytes; `blobs` are listed in the header.
    """
    if blobs:
        header = {**header, "blobs": [len(blob) for blob in blobs]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_PREFIX.pack(len(raw)), raw, *blobs])


class FrameReader:
    """
    Takes bytes as they come and gives whole frames, up to the first byte that breaks a rule.
    """

    def __init__(self) -> None:
        """
        Start with an empty buffer.
        """
        self.breach: ProtocolBreachError | None = None
        """What was wrong with the stream; nothing that comes after it is read."""
        self._buffer = bytearray()
        self._header: Header | None = None
        self._lengths: list[int] = []

    def feed(self, data: bytes) -> list[Frame]:
        """
        Add received bytes and return the frames that they complete, in order; see `breach` after.
        """
        frames: list[Frame] = []
        if self.breach is not None:
            return frames
        self._buffer += data
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except ProtocolBreachError as breach:
            self.breach = breach
            self._buffer.clear()
        return frames

    @property
    def inside_frame(self) -> bool:
        """
        Whether the stream stands in the middle of a frame.
        """
        return bool(self._buffer) or self._header is not None

    def _next(self) -> Frame | None:
        """
        Cut the first frame off the buffer, if it is whole.
        """
        if self._header is None:
            self._header = self._cut_header()
        header, size = self._header, sum(self._lengths)
        if header is None or len(self._buffer) < size:
            return None
        blobs, position = [], 0
        for length in self._lengths:
            blobs.append(bytes(self._buffer[position : position + length]))
            position += length
        del self._buffer[:size]
        self._header, self._lengths = None, []
        return header, blobs

    def _cut_header(self) -> Header | None:
        """
        Cut the next header off the buffer, if it is whole, and note the lengths of its blobs.
        """
        buffer = self._buffer
        if len(buffer) < _PREFIX.size:
            return None
        (length,) = _PREFIX.unpack_from(buffer)
        if length > MAX_HEADER_BYTES:
            rule = "frame-length"
            raise ProtocolBreachError(rule, f"header of {length} bytes")
        end = _PREFIX.size + length
        if len(buffer) < end:
            return None
        header = _parse(bytes(buffer[_PREFIX.size : end]))
        del buffer[:end]
        self._lengths = _blob_lengths(header)
        return header


def _blob_lengths(header: Header) -> list[int]:
    """
    The lengths of a frame's blobs; raises ProtocolBreachError unless they are within the limits.
    """
    lengths = header.get("blobs", [])
    if not isinstance(lengths, list) or not all(
        type(size) is int and size >= 0 for size in lengths
    ):
        rule = "reply-shape"
        raise ProtocolBreachError(rule, "blobs is not a list of lengths")
    if sum(lengths) > MAX_BLOB_BYTES:
        rule = "frame-length"
        raise ProtocolBreachError(rule, "blobs are longer than the limit together")
    return lengths


def _parse(raw: bytes) -> Header:
    """
    The header as an object; anything else breaks rule `frame-json`.
    """
    rule = "frame-json"
    try:
        header = json.loads(raw.decode("utf-8"))
        if b"\\u" in raw:
            # A lone surrogate is no text: whatever is made of it later could not be written.
            json.dumps(header, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolBreachError(rule, str(error)[:100]) from error
    if not isinstance(header, dict):
        raise ProtocolBreachError(rule, "not an object")
    return header
