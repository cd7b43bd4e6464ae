"""
The subject of a run: module, manifest, and everything that is read with them, checked together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.differential.profiles import OutputShape
from conformance.fidelity.expectations import Expectations
from conformance.fidelity.oracle import Oracle
from conformance.manifest.calls import build_calls, input_columns, output_columns
from conformance.manifest.errors import BadTableError
from conformance.manifest.locate import locate
from conformance.manifest.npz import read_npz
from conformance.manifest.read import read_manifest
from conformance.manifest.records import Manifest
from conformance.manifest.tables import BitsTable, read_edges, read_tables, require_rows
from conformance.wasm.decode import validated
from conformance.wasm.imports import check_imports
from conformance.wasm.module import Module
from conformance.wasm.shape import check_call
from runners.records import Call
from weavegate.exits import Exit, WeavegateError


@dataclass(frozen=True, slots=True)
class Subject:
    """
    A module that may be run: decoded, its imports allowed, its calls fitting its exports.
    """

    path: Path
    data: bytes
    sha256: str
    module: Module
    manifest: Manifest
    calls: tuple[Call, ...]
    shapes: Mapping[str, OutputShape]
    """By entry."""
    rows: BitsTable | None
    labels: BitsTable | None
    expected: BitsTable | None
    """Output bits that the author expects of `rows`, row by row."""
    oracle: Oracle | None
    expectations: Expectations | None
    edges: Mapping[str, tuple[int, ...]] | None

    @property
    def needed_proposals(self) -> frozenset[str]:
        """
        Capabilities that an engine must claim to be asked.
        """
        return frozenset(f"proposal:{name}" for name in self.module.proposals)


def read_module(path: Path) -> tuple[bytes, str, Module]:
    """
    The bytes of a module file, their SHA-256, and what they decode to.
    """
    data = path.read_bytes()
    try:
        module = validated(data)
    except ValueError as error:
        sentence = f"{path}: {error}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    return data, hashlib.sha256(data).hexdigest(), module


def load_subject(
    argument: Path, manifest_path: Path | None = None, expect: Path | None = None
) -> Subject:
    """
    Read and check a subject; raises WeavegateError or an error that `plainly` knows.
    """
    located = locate(argument, manifest_path)
    if located.manifest_path is None:
        sentence = f"{argument}: there is no manifest"
        raise WeavegateError(sentence, Exit.USAGE)
    manifest = read_manifest(located.manifest_path)
    data, sha256, module = read_module(located.wasm_path)
    _check_policy(located.wasm_path, module, manifest)
    exported = [e.name for e in module.exports if str(e.kind) == "memory"]
    calls = build_calls(
        manifest,
        tuple(g.name for g in module.exported_globals),
        exported[0] if exported else None,
        grows=module.grows,
    )
    problems = [sentence for call in calls for sentence in check_call(module, call)]
    if problems:
        sentence = f"{located.wasm_path}: the manifest does not fit the module: {problems[0]}"
        raise WeavegateError(sentence, Exit.USAGE)
    tables = _tables(manifest, expect)
    return Subject(
        path=located.wasm_path,
        data=data,
        sha256=sha256,
        module=module,
        manifest=manifest,
        calls=calls,
        shapes={c.entry: OutputShape(output_columns(manifest, c.entry)) for c in calls},
        rows=tables.get("inputs"),
        labels=tables.get("labels"),
        expected=tables.get("expected"),
        oracle=Oracle.load(manifest) if manifest.semantics and manifest.semantics.program else None,
        expectations=_expectations(manifest),
        edges=read_edges(_beside(manifest, manifest.edges)) if manifest.edges else None,
    )


def _check_policy(path: Path, module: Module, manifest: Manifest) -> None:
    """
    The static part: imports, and the memory that the module asks for from the start.
    """
    refused = check_imports(module, manifest.run.imports)
    if refused:
        sentence = f"{path}: {refused[0].sentence}"
        raise WeavegateError(sentence, Exit.FINDINGS)
    limits, most = module.memory_limits, manifest.run.memory_pages
    if limits is not None and limits[0] > most:
        sentence = (
            f"{path}: the module asks for {limits[0]:,} pages of memory ({limits[0] // 16} MiB)"
            f" from the start, [limits] pages allows {most:,}"
        )
        raise WeavegateError(sentence, Exit.FINDINGS)
    if module.imports:
        first = module.imports[0]
        sentence = (
            f"{path}: imports {first.module}.{first.name}: the plain ABI has no host functions;"
            " build the module without imports"
        )
        raise WeavegateError(sentence, Exit.FINDINGS)


def _beside(manifest: Manifest, name: str) -> Path:
    """
    Path of a file that the manifest names.
    """
    return Path(manifest.path) / name


def _tables(manifest: Manifest, expect: Path | None) -> dict[str, BitsTable]:
    """
    Held-out rows, labels and expected bits: from `--expect`, else from the manifest's files.
    """
    tables: dict[str, BitsTable] = {}
    if expect is not None:
        tables = read_npz(expect)
    elif manifest.run.entry is not None:
        if manifest.rows:
            tables |= read_tables(_beside(manifest, manifest.rows))
        if manifest.expected:
            tables |= read_tables(_beside(manifest, manifest.expected))
    for name, tensor in (("inputs", manifest.run.input), ("expected", manifest.run.output)):
        if name in tables and tensor is not None and manifest.run.entry is not None:
            columns = (input_columns if name == "inputs" else output_columns)(
                manifest, manifest.run.entry
            )
            require_rows(
                expect or Path(manifest.path), name, tables[name], tensor.dtype, columns[-1][2]
            )
    if "labels" in tables and tables["labels"].count != 1:
        sentence = f'table "labels" has rows of {tables["labels"].count}, a label is one number'
        raise BadTableError(str(expect or manifest.path), sentence)
    return tables


def _expectations(manifest: Manifest) -> Expectations | None:
    """
    Expected outcomes of scalar calls, if the manifest names a file of them.
    """
    if manifest.run.entry is not None or not manifest.expected:
        return None
    return Expectations.load(_beside(manifest, manifest.expected))
