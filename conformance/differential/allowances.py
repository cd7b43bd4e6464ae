"""
Reviewed exceptions: read from TOML, matched against findings, judged for their own age.

Each `[[allowance]]` has the fields of `conformance.differential.records.Allowance`:

    [[allowance]]
    subject = "*"
    nodes = "pywasm@2.2.3*"
    property = "replicates"
    differs = { kinds = ["value"], entries = ["f64_ceil"], bound = "sign-of-zero" }
    reason = "..."
    evidence = "finding:0123456789abcdef"
    author = "..."
    date = 2026-12-01
    expiry = 2027-06-01
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_type_hints

import numpy as np

from conformance.differential.findings import shape_of
from conformance.differential.profiles import Rows, nan_bits_only, zero_signs_only
from conformance.differential.records import Allowance, Differs, Finding, FindingClass
from runners.bits import parse_bits, parse_bytes
from runners.records import Outcome, Returned, Trapped

PROPERTIES: Final = (
    "replicates",
    "faithful",
    "gas-bounded",
    "gas-independent",
    "memory-bounded",
    "stack-bounded",
    "no-residue",
    "imports-deterministic",
    "admissible",
)
"""What a certificate claims, and so what an allowance may be about."""

State = Literal["used", "not met", "stale", "expired"]

_REQUIRED: Final = tuple(f for f in Allowance.__struct_fields__ if f != "activation_height")
_BOUNDS: Final[tuple[str, ...]] = get_args(get_type_hints(Differs)["bound"])
_EVIDENCE = re.compile(r"finding:[0-9a-f]{16}\Z")
_KEY = re.compile(
    r"""\s*(?:["']?([A-Za-z0-9_-]+)["']?\s*[=.]|\[\s*allowance\s*\.\s*([A-Za-z0-9_-]+)\s*\])"""
)
"""A key at the start of a line, or the header of a table inside an allowance."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


class BadAllowanceError(ValueError):
    """
    A file of allowances cannot be read; the message names the line and what to write there.
    """


class _Lines:
    """
    Line numbers of tables and keys in a TOML text, for messages.
    """

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.tables: list[int] = []
        self.keys: dict[tuple[int, str], int] = {}
        fence = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if fence:
                fence = "" if fence in line else fence
                continue
            if re.match(r"\s*\[\[\s*allowance\s*\]\]", line):
                self.tables.append(number)
            elif found := _KEY.match(line):
                self.keys.setdefault((len(self.tables) - 1, found[1] or found[2]), number)
            elif found := re.match(r"\s*\[+\s*([A-Za-z0-9_-]+)", line):
                self.keys.setdefault((-1, found[1]), number)
            for quotes in ('"""', "'''"):
                if line.count(quotes) % 2:
                    fence = quotes

    def error(self, table: int, key: str, sentence: str) -> BadAllowanceError:
        """
        Make the error for a key of a table, both counted from 0; without key: for the table.
        """
        start = self.tables[table] if 0 <= table < len(self.tables) else 1
        line = self.keys.get((table, key), start)
        return BadAllowanceError(f"{self.source}:{line}: {sentence}")


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}"


def _check_keys(
    lines: _Lines, table: int, given: Mapping[str, Any], known: Sequence[str], within: str
) -> None:
    for key in given:
        if key not in known:
            at = within or key
            place = f" in `{within}`" if within else ""
            raise lines.error(
                table, at, f"unknown key `{key}`{place}: {_nearest(key, tuple(known))}"
            )


def _text(lines: _Lines, table: int, given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str) or not value.strip():
        raise lines.error(table, key, f"`{key}` must be a text that is not empty")
    return value


def _date(lines: _Lines, table: int, given: Mapping[str, Any], key: str) -> date:
    value = given[key]
    if isinstance(value, str) and _DATE.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise lines.error(table, key, f"`{key}` must be a date such as 2026-12-01")


def _texts(lines: _Lines, table: int, given: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise lines.error(table, "differs", f"`differs.{key}` must be a list of texts")
    return tuple(value)


def _differs(lines: _Lines, table: int, value: object) -> Differs:
    if not isinstance(value, dict):
        raise lines.error(table, "differs", "`differs` must be a table with `kinds`")
    _check_keys(lines, table, value, Differs.__struct_fields__, "differs")
    kinds = _texts(lines, table, value, "kinds")
    if not kinds:
        raise lines.error(table, "differs", "`differs.kinds` must name a class of finding")
    classes = [kind.value for kind in FindingClass]
    for kind in kinds:
        if kind not in classes:
            raise lines.error(
                table, "differs", f"`{kind}` is no class of finding: {_nearest(kind, classes)}"
            )
    bound = value.get("bound", "any")
    if bound not in _BOUNDS:
        sentence = f"`differs.bound` must be one of {', '.join(_BOUNDS)}"
        raise lines.error(table, "differs", sentence)
    return Differs(
        kinds=tuple(FindingClass(kind) for kind in kinds),
        entries=_texts(lines, table, value, "entries"),
        bound=bound,
    )


def _allowance(lines: _Lines, table: int, given: Mapping[str, Any]) -> Allowance:
    _check_keys(lines, table, given, Allowance.__struct_fields__, "")
    for key in _REQUIRED:
        if key not in given:
            raise lines.error(table, "", f"this allowance lacks `{key}`: add it")
    evidence = _text(lines, table, given, "evidence")
    if not _EVIDENCE.match(evidence):
        sentence = "`evidence` must be the id of a finding, `finding:` and 16 hexadecimal digits"
        raise lines.error(table, "evidence", sentence)
    claim = _text(lines, table, given, "property")
    if claim not in PROPERTIES:
        sentence = f"`{claim}` is no property: {_nearest(claim, PROPERTIES)}"
        raise lines.error(table, "property", sentence)
    reviewed, expiry = (_date(lines, table, given, key) for key in ("date", "expiry"))
    if expiry < reviewed:
        raise lines.error(table, "expiry", "`expiry` must not be before `date`")
    height = given.get("activation_height")
    if height is not None and (not isinstance(height, int) or isinstance(height, bool)):
        sentence = "`activation_height` must be the number of a block"
        raise lines.error(table, "activation_height", sentence)
    return Allowance(
        subject=_text(lines, table, given, "subject"),
        nodes=_text(lines, table, given, "nodes"),
        property=claim,
        differs=_differs(lines, table, given["differs"]),
        reason=_text(lines, table, given, "reason"),
        evidence=evidence,
        author=_text(lines, table, given, "author"),
        date=reviewed.isoformat(),
        expiry=expiry.isoformat(),
        activation_height=height,
    )


def read_allowances(text: str, source: str = "allowances.toml") -> tuple[Allowance, ...]:
    """
    Read a TOML text of allowances, in its order.

    *source* names it in messages. Raises BadAllowanceError with `source:line: ...`.
    """
    lines = _Lines(text, source)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else max(1, len(text.splitlines()))
        message = f"{source}:{line}: not TOML: {error}"
        raise BadAllowanceError(message) from None
    for key in document:
        if key != "allowance":
            raise lines.error(-1, key, f"unknown key `{key}`: write each entry as [[allowance]]")
    entries = document.get("allowance", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise lines.error(-1, "allowance", "write each entry as [[allowance]]")
    return tuple(_allowance(lines, table, entry) for table, entry in enumerate(entries))


def read_allowance_file(path: Path) -> tuple[Allowance, ...]:
    """
    Read a file of allowances; raises BadAllowanceError when it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}): give a file of allowances"
        raise BadAllowanceError(message) from None
    except UnicodeDecodeError:
        message = f"{path}: is not UTF-8 text: give a file of allowances"
        raise BadAllowanceError(message) from None
    return read_allowances(text, str(path))


def expired(allowance: Allowance, as_of: date) -> bool:
    """
    Tell whether the last day of *allowance* is before *as_of*.
    """
    return date.fromisoformat(allowance.expiry) < as_of


def match(allowance: Allowance, finding: Finding, nodes: Sequence[str], as_of: date) -> bool:
    """
    Tell whether *allowance* covers *finding* on the day *as_of*.

    *nodes*: labels of the nodes that stand apart (`findings.RunFinding.deviants`); all of them
    must match, and there must be one. The bound is checked on the bits that the finding shows; a
    run's findings are gathered so that all cases of one differ in the same manner.
    """
    differs = allowance.differs
    return (
        not expired(allowance, as_of)
        and bool(nodes)
        and allowance.property == finding.property
        and finding.kind in differs.kinds
        and fnmatchcase(finding.module_sha256, allowance.subject)
        and all(fnmatchcase(label, allowance.nodes) for label in nodes)
        and (
            not differs.entries
            or any(fnmatchcase(finding.call.entry, entry) for entry in differs.entries)
        )
        and _within(differs.bound, finding, nodes)
    )


def covering(
    allowances: Sequence[Allowance], finding: Finding, nodes: Sequence[str], as_of: date
) -> Allowance | None:
    """
    Give the first allowance that covers *finding*, or None.
    """
    return next((a for a in allowances if match(a, finding, nodes, as_of)), None)


def state(allowance: Allowance, *, used: bool, evidence_differs: bool | None, as_of: date) -> State:
    """
    Judge an allowance itself; `stale` and `expired` are red.

    *used*: it covers a finding of this run. *evidence_differs*: whether its evidence finding, when
    replayed on its nodes in this run, still differs; None if none of its nodes took part.
    """
    if expired(allowance, as_of):
        return "expired"
    if evidence_differs is False:
        return "stale"
    return "used" if used else "not met"


def _row(outcome: Outcome) -> Rows | None:
    """
    Give the output row of an outcome, shape (1, bytes); None if it did not return.
    """
    if not isinstance(outcome.kind, Returned):
        return None
    results = (parse_bits(text)[1].to_bytes(8, "little") for text in outcome.kind.results)
    data = b"".join(results) + parse_bytes(outcome.kind.output)
    return np.frombuffer(data, dtype=np.uint8)[None, :]


def _within(bound: str, finding: Finding, nodes: Sequence[str]) -> bool:
    """
    Check *bound* on what the deviating nodes and all others are seen to have done.
    """
    if bound == "any":
        return True
    apart = [o.outcome for o in finding.observed if o.node.label() in nodes]
    others = [
        o.outcome
        for o in finding.observed
        # Who met a limit or broke has no vote, so it is no measure for those who have.
        if o.node.label() not in nodes and isinstance(o.outcome.kind, Returned | Trapped)
    ]
    if len(apart) != len(set(nodes)):
        return False
    if bound == "trap":
        return (
            bool(others)
            and all(isinstance(outcome.kind, Trapped) for outcome in apart)
            and all(isinstance(outcome.kind, Returned) for outcome in others)
        )
    rows = [_row(outcome) for outcome in apart]
    if finding.kind is FindingClass.UNFAITHFUL:
        references = [np.frombuffer(parse_bytes(finding.expected), dtype=np.uint8)[None, :]]
    else:
        voiced = [_row(outcome) for outcome in others] or rows[:1]
        references = [row for row in voiced if row is not None]
    only = zero_signs_only if bound == "sign-of-zero" else nan_bits_only
    shape = shape_of(finding)
    differing = 0
    for row in rows:
        for reference in references:
            if row is None or row.shape != reference.shape:
                return False
            if (row != reference).any():
                differing += 1
                if not only(row, reference, shape)[0]:
                    return False
    return differing > 0
