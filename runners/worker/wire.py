"""
Frames over a pair of file descriptors (PROTOCOL.md, "Frames"), from the worker's side.
"""

import json
import os
import struct


def read_exactly(descriptor, size):
    """
    Read `size` bytes, or return None at the end of the stream.
    """
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def read_frame(descriptor):
    """
    Read one frame: (header, blobs), or None when the controller has gone.
    """
    prefix = read_exactly(descriptor, 4)
    if prefix is None:
        return None
    raw = read_exactly(descriptor, struct.unpack("<I", prefix)[0])
    if raw is None:
        return None
    header = json.loads(raw.decode("utf-8"))
    blobs = []
    for length in header.get("blobs", ()):
        blob = read_exactly(descriptor, length)
        if blob is None:
            return None
        blobs.append(blob)
    return header, blobs


def write_frame(descriptor, header, blobs=()):
    """
    Write one frame.
    """
    if blobs:
        header = dict(header, blobs=[len(blob) for blob in blobs])
    raw = json.dumps(header).encode("utf-8")
    data = memoryview(b"".join([struct.pack("<I", len(raw)), raw] + list(blobs)))
    while data:
        data = data[os.write(descriptor, data) :]
