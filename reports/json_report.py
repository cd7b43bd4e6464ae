"""
A report as canonical JSON, and back; the digest that names what it says.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from reports.escapes import without_surrogates
from reports.model import Report
from runners.records import canonical_json

SCHEMA = 1
"""The schema of reports that this code writes and reads."""


class BadReportError(ValueError):
    """
    A text is not a report of the schema that this weavegate reads.
    """


def _storable(value: Any) -> Any:
    """
    Return the same JSON value with undecodable bytes of file names written as codes.
    """
    match value:
        case str():
            return without_surrogates(value)
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case _:
            return value


def json_text(report: Report) -> str:
    """
    Write the report as canonical JSON: one line, keys sorted, equal for equal records.
    """
    return canonical_json(_storable(msgspec.to_builtins(report))).decode() + "\n"


def report_digest(report: Report) -> str:
    """
    SHA-256 of the canonical JSON without `run`: equal for two runs that found the same.
    """
    fields = _storable(msgspec.to_builtins(report))
    del fields["run"]
    return hashlib.sha256(canonical_json(fields)).hexdigest()


def json_schema() -> dict[str, Any]:
    """
    JSON Schema of the report, generated from the record.
    """
    return msgspec.json.schema(Report)


def _first_difference(given: Any, kept: Any, path: str) -> str:
    """
    Path of the first field that one side has and the other has not; empty if there is none.
    """
    if isinstance(given, dict) and isinstance(kept, dict):
        for key in sorted(given.keys() ^ kept.keys()):
            return f"{path}.{key}"
        pairs = [(key, given[key], kept[key]) for key in sorted(given)]
    elif isinstance(given, list) and isinstance(kept, list):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(given, kept, strict=True))]
    else:
        return ""
    for key, left, right in pairs:
        found = _first_difference(left, right, f"{path}.{key}")
        if found:
            return found
    return ""


def read_json(text: str | bytes) -> Report:
    """
    Read a report back, strictly: every field there, of its type, and none beside.

    Raises BadReportError with the path of what is wrong.
    """
    try:
        report = msgspec.json.decode(text, type=Report)
        given = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"not a weavegate report: {error}"
        raise BadReportError(message) from error
    if report.schema != SCHEMA:
        message = f"report has schema {report.schema}; this weavegate reads schema {SCHEMA}"
        raise BadReportError(message)
    stray = _first_difference(given, msgspec.json.decode(json_text(report)), "$")
    if stray:
        message = f"not a weavegate report: field {stray} is missing or not known"
        raise BadReportError(message)
    return report
