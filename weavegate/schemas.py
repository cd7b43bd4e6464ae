"""
Writes the JSON Schemas of all rooms: `python -m weavegate.schemas [--check]`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import conformance
import reports
from conformance.bounds.certificate import Certificate
from conformance.bounds.taint_run import TaintResult
from conformance.differential.records import Allowance, Finding
from conformance.evidence.export import ExportedBlock
from conformance.evidence.keys import BlockKey
from conformance.manifest.records import Judge, Manifest, RunPart, Semantics
from conformance.wasm.survey import Survey
from reports.acceptance import Validation
from reports.dry_run import DryRun
from reports.gas import GasReport
from reports.model import Report
from runners import schema

if TYPE_CHECKING:
    from msgspec import Struct


def _folder_of(room: str) -> Path:
    """
    Where the schemas of a room are checked in, given its `__init__` file.
    """
    return Path(room).parent / "schemas"


ROOMS: Final[dict[Path, tuple[type[Struct], ...]]] = {
    schema.FOLDER: schema.RECORDS,
    _folder_of(str(conformance.__file__)): (
        Allowance,
        BlockKey,
        Certificate,
        ExportedBlock,
        Finding,
        Judge,
        Manifest,
        RunPart,
        Semantics,
        Survey,
        TaintResult,
    ),
    _folder_of(str(reports.__file__)): (DryRun, GasReport, Report, Validation),
}
"""Folder of schemas -> the public records of that room."""


if __name__ == "__main__":
    sys.exit(schema.main(sys.argv[1:], ROOMS))
