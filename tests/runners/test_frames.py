from __future__ import annotations

import json
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.frames import (
    MAX_BLOB_BYTES,
    MAX_HEADER_BYTES,
    Frame,
    FrameReader,
    ProtocolBreachError,
    encode_frame,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "blobs"), JSON, max_size=4)
FRAMES = st.lists(st.tuples(HEADERS, st.lists(st.binary(max_size=20), max_size=3)), max_size=4)


def raw_frame(header: bytes) -> bytes:
    return struct.pack("<I", len(header)) + header


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@settings(derandomize=True, deadline=None)
@given(FRAMES, st.lists(st.integers(0, 1000), max_size=6))
def test_frames_come_back_however_the_stream_is_cut(frames: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(header, blobs) for header, blobs in frames)
    reader = FrameReader()
    seen = [frame for piece in in_pieces(stream, cuts) for frame in reader.feed(piece)]
    for header, _ in seen:
        header.pop("blobs", None)
    assert seen == frames
    assert reader.breach is None
    assert not reader.inside_frame


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=4))
def test_any_bytes_give_frames_or_a_breach(noise: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    for piece in in_pieces(noise, cuts):
        for header, blobs in reader.feed(piece):
            assert isinstance(header, dict)
            assert all(isinstance(blob, bytes) for blob in blobs)
    assert reader.breach is None or reader.breach.rule in {
        "frame-length", "frame-json", "reply-shape",
    }  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_header_gives_an_object_or_a_breach(header: bytes) -> None:
    reader = FrameReader()
    frames = reader.feed(raw_frame(header))
    try:
        right = isinstance(json.loads(header.decode("utf-8")), dict)
    except ValueError:
        right = False
    if right:
        assert frames or reader.inside_frame or reader.breach is not None
    else:
        assert not frames
        assert reader.breach is not None
        assert reader.breach.rule == "frame-json"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (struct.pack("<I", MAX_HEADER_BYTES + 1), "frame-length"),
        (raw_frame(json.dumps({"blobs": [MAX_BLOB_BYTES, 1]}).encode()), "frame-length"),
        (raw_frame(json.dumps({"blobs": [1 << 200]}).encode()), "frame-length"),
        (raw_frame(b"{"), "frame-json"),
        (raw_frame(b"[]"), "frame-json"),
        (raw_frame(b""), "frame-json"),
        (raw_frame(b"\xff\xfe{\x00}\x00"), "frame-json"),
        (raw_frame(rb'{"text": "\udc00"}'), "frame-json"),
        (raw_frame(b"[" * 200_000), "frame-json"),
        (raw_frame(b'{"id": ' + b"9" * 5000 + b"}"), "frame-json"),
        (raw_frame(b'{"blobs": 3}'), "reply-shape"),
        (raw_frame(b'{"blobs": [true]}'), "reply-shape"),
        (raw_frame(b'{"blobs": [-1]}'), "reply-shape"),
        (raw_frame(b'{"blobs": [1.0]}'), "reply-shape"),
    ],
)
def test_a_wrong_frame_names_its_rule_and_ends_the_stream(data: bytes, rule: str) -> None:
    reader = FrameReader()
    good = encode_frame({"id": 1})
    assert reader.feed(good + data) == [({"id": 1}, [])]
    assert reader.breach is not None
    assert reader.breach.rule == rule
    assert reader.feed(good) == []


def test_the_largest_header_is_still_a_frame() -> None:
    header = b'{"x": "' + b"y" * (MAX_HEADER_BYTES - 9) + b'"}'
    assert len(header) == MAX_HEADER_BYTES
    assert len(FrameReader().feed(raw_frame(header))) == 1


def test_a_pair_of_surrogates_is_text() -> None:
    ((header, _),) = FrameReader().feed(raw_frame(rb'{"text": "\ud83d\ude00"}'))
    assert header == {"text": "\N{GRINNING FACE}"}


def test_a_header_is_read_once_however_slowly_its_blob_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[str] = []
    loads = json.loads

    def counted(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr("json.loads", counted)
    reader = FrameReader()
    frames = []
    for byte in encode_frame({"id": 1}, [bytes(100)]):
        frames += reader.feed(bytes([byte]))
        assert reader.inside_frame == (not frames)
    assert len(frames) == 1
    assert len(parsed) == 1


def test_a_breach_shows_its_rule() -> None:
    assert str(ProtocolBreachError("reply-id")) == "reply-id"
    assert str(ProtocolBreachError("reply-id", "3 instead of 2")) == "reply-id: 3 instead of 2"
