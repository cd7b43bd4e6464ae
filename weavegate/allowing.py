"""
Allowances of a run: which findings they cover, and whether their own evidence still differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from conformance.differential.allowances import covering, read_allowance_file, state
from conformance.differential.findings import RunFinding
from conformance.differential.records import Allowance
from reports.model import AllowanceReport
from weavegate.execution import Executor
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import find_module, read_finding
from weavegate.nodes import Participant
from weavegate.replaying import run_replay

SHIPPED: Final = Path(__file__).resolve().parent.parent / "vectors" / "allowances"
"""Folder of the reviewed allowances that ship, with their evidence in `findings/`."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """
    The allowances of a run and the folder of their evidence.
    """

    allowances: tuple[Allowance, ...]
    folder: Path

    @classmethod
    def read(cls, path: Path | None) -> Allowed:
        """
        The user's file, else the shipped one.
        """
        file = path or SHIPPED / "allowances.toml"
        if path is None and not file.exists():
            return cls((), SHIPPED)
        return cls(read_allowance_file(file), file.parent)

    def require_evidence(self, nodes: Sequence[Participant]) -> None:
        """
        Refuse allowances about *nodes* whose evidence is not there; raises WeavegateError.
        """
        for allowance in self.allowances:
            if any(fnmatchcase(item.node.label(), allowance.nodes) for item in nodes):
                path = self._evidence(allowance)
                if not path.is_file():
                    sentence = (
                        f"the allowance for {allowance.nodes} names {allowance.evidence} as its"
                        f" evidence, but there is no {path}: put the finding's file and its module"
                        " there"
                    )
                    raise WeavegateError(sentence, Exit.USAGE)
                read_finding(path)

    def _evidence(self, allowance: Allowance) -> Path:
        """
        Where the finding lies that an allowance gives as its evidence.
        """
        name = allowance.evidence.replace(":", "-") + ".json"
        return self.folder / "findings" / name

    def cover(self, findings: Sequence[RunFinding], as_of: date) -> list[Allowance | None]:
        """
        The allowance that covers each finding, if any.
        """
        return [covering(self.allowances, f.finding, f.deviants, as_of) for f in findings]

    def states(
        self,
        used: Sequence[Allowance | None],
        nodes: Sequence[Participant],
        executor: Executor,
        as_of: date,
        seen_modules: list[Path],
    ) -> list[AllowanceReport]:
        """
        Replay each allowance's evidence on the nodes it is about, and judge the allowance itself.
        """
        reports = []
        for allowance in self.allowances:
            about = [
                seat
                for seat, item in enumerate(nodes)
                if fnmatchcase(item.node.label(), allowance.nodes)
            ]
            if not about:
                continue
            others = [seat for seat in range(len(nodes)) if seat not in about]
            differs = None
            if others:
                differs = self._differs(allowance, nodes, executor, about + others, seen_modules)
            told = state(allowance, used=allowance in used, evidence_differs=differs, as_of=as_of)
            reports.append(AllowanceReport(allowance=allowance, state=told))
        return reports

    def _differs(
        self,
        allowance: Allowance,
        nodes: Sequence[Participant],
        executor: Executor,
        seats: Sequence[int],
        seen_modules: list[Path],
    ) -> bool:
        """
        Whether the evidence finding still shows.
        """
        finding = read_finding(self._evidence(allowance))
        data = find_module(finding.module_sha256, [self.folder / "findings", *seen_modules])
        executor.pool.add_module(finding.module_sha256, data)
        pairs = [(nodes[seat].node, nodes[seat].launch) for seat in sorted(seats)]
        return run_replay(finding, pairs, executor, sorted(seats)).differs
