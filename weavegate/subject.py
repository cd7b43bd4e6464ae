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
from runners.hosts.setting import HostSetting
from runners.records import Call
from weavegate.exits import Exit, WeavegateError
from weavegate.import_policy import import_refusals


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
    refusals: tuple[str, ...] = ()
    """One sentence for each import that is not allowed or has no answer: then it is never run."""

    @property
    def imports(self) -> tuple[str, ...]:
        """
        Functions that it asks its host for, `module.name`, each once.
        """
        return tuple(dict.fromkeys(i.key for i in self.module.imports if i.kind == "function"))

    @property
    def host(self) -> HostSetting | None:
        """
        What answers its imports; None if it has none.
        """
        return self.manifest.run.host if self.imports else None

    @property
    def needed_proposals(self) -> frozenset[str]:
        """
        Capabilities that an engine must claim to be asked.
        """
        needed = frozenset(f"proposal:{name}" for name in self.module.proposals)
        return needed if self.host is None else needed | self.host.needs


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
    argument: Path,
    manifest_path: Path | None = None,
    expect: Path | None = None,
    *,
    runs: bool = True,
) -> Subject:
    """
    Read and check a subject; raises WeavegateError or an error that `plainly` knows.

    *runs*: a module whose imports are refused is an error, because nothing can be done with it.
    """
    located = locate(argument, manifest_path)
    if located.manifest_path is None:
        sentence = f"{argument}: there is no manifest"
        raise WeavegateError(sentence, Exit.USAGE)
    manifest = read_manifest(located.manifest_path)
    data, sha256, module = read_module(located.wasm_path)
    refusals = import_refusals(module, manifest.run.host)
    if refusals and runs:
        sentence = f"{located.wasm_path}: {refusals[0]}"
        raise WeavegateError(sentence, Exit.FINDINGS)
    _check_policy(located.wasm_path, module, manifest)
    exported = [e.name for e in module.exports if str(e.kind) == "memory"]
    calls = build_calls(
        manifest,
        tuple(g.name for g in module.exported_globals),
        exported[0] if exported else None,
        grows=module.grows,
        global_types=tuple(g.type for g in module.exported_globals),
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
        refusals=refusals,
    )


def _check_policy(path: Path, module: Module, manifest: Manifest) -> None:
    """
    The static part: what the manifest says of imports, initialisers, and memory from the start.
    """
    run = manifest.run
    unused = [p for p in check_imports(module, run.imports) if p.rule == "import-allowance-unused"]
    if unused:
        raise WeavegateError(f"{path}: {unused[0].sentence}", Exit.USAGE)
    limits, most = module.memory_limits, run.memory_pages
    if limits is not None and limits[0] > most:
        sentence = (
            f"{path}: the module asks for {limits[0]:,} pages of memory ({limits[0] // 16} MiB)"
            f" from the start, [limits] pages allows {most:,}"
        )
        raise WeavegateError(sentence, Exit.FINDINGS)
    exported = {e.name for e in module.exports if str(e.kind) == "function"}
    if run.abi != "plain" and "_initialize" in exported - set(run.initialize):
        sentence = (
            f"{path}: the module is a reactor, which wants its export _initialize called first:"
            ' write initialize = ["_initialize"] in [abi]'
        )
        raise WeavegateError(sentence, Exit.USAGE)
    if run.abi == "wasi" and "_start" in exported:
        sentence = (
            f"{path}: the module exports _start: it is a WASI command, which runs once and ends,"
            " and no reactor: build it with -mexec-model=reactor"
        )
        raise WeavegateError(sentence, Exit.USAGE)


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
