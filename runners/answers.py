"""
Checks what a worker answered, before anything of it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runners.arena import Arena
from runners.flight import Flight
from runners.frames import Header, ProtocolBreachError
from runners.job import TEXT_LIMIT
from runners.launch import Launch
from runners.records import Identity
from runners.status import BROKEN, Status

_DETAILS_LIMIT: Final = 64

_LEGAL: Final = np.zeros(256, bool)
for _status in Status:
    _LEGAL[_status] = _status not in BROKEN and _status != Status.PENDING


@dataclass(frozen=True, slots=True)
class BatchReply:
    """
    What a worker says about a batch as a whole.
    """

    not_observed: dict[str, str]
    meter: str
    details: dict[int, str]
    """Row of the batch -> the engine's own words."""


def check_hello(header: Header, launch: Launch) -> tuple[Identity, frozenset[str]]:
    """
    Who the worker says it is and what it claims; raises ProtocolBreachError.
    """
    rule = "reply-shape"
    texts = ("package_version", "core_version", "library_sha256", "interpreter",
             "cpu_features_sha256")  # fmt: skip
    if header.get("protocol") != 1 or not all(isinstance(header.get(t), str) for t in texts):
        raise ProtocolBreachError(rule, "hello lacks a field or speaks another protocol")
    claims = header.get("capabilities")
    if not isinstance(claims, list) or not all(isinstance(claim, str) for claim in claims):
        raise ProtocolBreachError(rule, "capabilities is not a list of names")
    identity = Identity(
        package_version=header["package_version"],
        core_version=header["core_version"] or launch.core_version,
        library_sha256=header["library_sha256"],
        worker_sha256=launch.worker_sha256,
        artifact_sha256=launch.artifact_sha256,
        interpreter=header["interpreter"],
        cpu_features_sha256=header["cpu_features_sha256"],
    )
    return identity, frozenset(claims)


def check_error(header: Header) -> dict[str, str] | None:
    """
    The error of a reply, None if it is ok; raises ProtocolBreachError if it is neither.
    """
    if header.get("ok") is True:
        return None
    error = header.get("error")
    if isinstance(error, dict) and all(
        isinstance(error.get(key), str) for key in ("stage", "rule", "text")
    ):
        return error
    rule = "reply-shape"
    raise ProtocolBreachError(rule, "neither ok nor a whole error")


def check_size(arena: Arena) -> None:
    """
    Raise ProtocolBreachError if the arena has another size than it was made with.
    """
    if arena.resized():
        rule = "arena-size"
        raise ProtocolBreachError(rule, "the worker changed the arena's size")


def check_batch(arena: Arena, flight: Flight, header: Header) -> BatchReply:
    """
    Check the reply to a finished batch and its progress; raises ProtocolBreachError.
    """
    check_size(arena)
    count, arrays = len(flight.span), flight.span.job.arrays
    reply = _check_shape(header, count)
    progress = arena.progress(flight.at["progress"])
    if progress != count + 1:
        rule = "progress"
        row = progress - 1 if 1 <= progress <= count else None
        raise ProtocolBreachError(rule, f"a reply while progress is {progress} of {count + 1}", row)
    missing = sorted(set(arrays) - set(header["filled"]) - set(reply.not_observed))
    if missing:
        rule = "reply-shape"
        raise ProtocolBreachError(rule, f"{missing} neither filled nor excused")
    excused = {name: why for name, why in reply.not_observed.items() if name in arrays}
    return BatchReply(excused, reply.meter, reply.details)


def _check_shape(header: Header, count: int) -> BatchReply:
    """
    Check the fields of a reply to `call`; raises ProtocolBreachError.
    """
    rule = "reply-shape"
    shapes = {"filled": list, "not_observed": dict, "meter": str, "details": dict}
    for name, kind in shapes.items():
        if not isinstance(header.get(name), kind):
            raise ProtocolBreachError(rule, f"{name} is missing or of another type")
    texts = [*header["filled"], *header["not_observed"].values(), *header["details"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise ProtocolBreachError(rule, "filled, not_observed or details holds what is no text")
    details = {}
    for row, text in header["details"].items():
        if not (row.isascii() and row.isdecimal() and len(row) < 12 and int(row) < count):  # noqa: PLR2004 - keeps int() cheap
            raise ProtocolBreachError(rule, "details name a row that the batch does not have")
        details[int(row)] = text[:TEXT_LIMIT]
    if len(details) > _DETAILS_LIMIT:
        raise ProtocolBreachError(rule, f"details of {len(details)} rows")
    excused = {name: why[:TEXT_LIMIT] for name, why in header["not_observed"].items()}
    return BatchReply(excused, header["meter"][:TEXT_LIMIT], details)


def check_statuses(arena: Arena, flight: Flight, count: int) -> NDArray[np.uint8]:
    """
    A copy of the first `count` status bytes; raises ProtocolBreachError for an illegal one.

    A copy, because the worker could still change what was checked.
    """
    statuses: NDArray[np.uint8] = arena.rows(flight.at["status"], count, 1)[:, 0].copy()
    illegal = np.flatnonzero(~_LEGAL[statuses])
    if len(illegal):
        row = int(illegal[0])
        rule = "status-byte"
        raise ProtocolBreachError(rule, f"{statuses[row]}", row)
    return statuses
