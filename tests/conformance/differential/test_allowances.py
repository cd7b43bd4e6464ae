"""
Allowances: what is read, what is refused and where, what is covered and what just is not.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace
from voting_samples import (
    MINUS_NAN,
    MINUS_ZERO,
    NAN,
    ONE,
    SCALAR_SHAPE,
    TWO,
    ZERO,
    block_of,
    ending,
    voice_of,
)

from conformance.differential.allowances import (
    BadAllowanceError,
    covering,
    match,
    read_allowance_file,
    read_allowances,
    state,
)
from conformance.differential.findings import JudgedBlock, RunFinding, collect_findings
from conformance.differential.records import Allowance, Differs, FindingClass
from conformance.differential.vote import vote
from runners.status import Status

TODAY = date(2026, 12, 24)

TEXT = '''
# The reason stands above.
[[allowance]]
subject = "*"
nodes = "pywasm@2.2.3*"
property = "replicates"
differs = { kinds = ["value"], entries = ["f64_ceil", "f32_*"], bound = "sign-of-zero" }
reason = "ceil loses the sign of a zero result"
evidence = "finding:0123456789abcdef"
author = "A. Reviewer"
date = 2026-12-01
expiry = 2027-06-01

[[allowance]]
subject = "ab*"
nodes = "pywasm@*"
property = "replicates"
reason = """
[[allowance]]
looks = "like a table"
"""
evidence = "finding:fedcba9876543210"
author = "A. Reviewer"
date = "2026-12-01"
expiry = "2026-12-31"
activation_height = 12
[allowance.differs]
kinds = ["kind", "limit"]
bound = "trap"
'''


def test_reading() -> None:
    first, second = read_allowances(TEXT)
    assert first == Allowance(
        subject="*",
        nodes="pywasm@2.2.3*",
        property="replicates",
        differs=Differs(
            kinds=(FindingClass.VALUE,), entries=("f64_ceil", "f32_*"), bound="sign-of-zero"
        ),
        reason="ceil loses the sign of a zero result",
        evidence="finding:0123456789abcdef",
        author="A. Reviewer",
        date="2026-12-01",
        expiry="2027-06-01",
    )
    assert second.differs.kinds == (FindingClass.KIND, FindingClass.LIMIT)
    assert (second.expiry, second.activation_height) == ("2026-12-31", 12)
    assert read_allowances("") == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('author = "A', 'auhtor = "A', 10, "unknown key `auhtor`: did you mean `author`?"),
        ('evidence = "finding:0123456789abcdef"\n', "", 3, "lacks `evidence`"),
        ("finding:0123456789abcdef", "finding:", 9, "16 hexadecimal digits"),
        ("date = 2026-12-01", "date = 2026-13-01", 11, "not TOML"),
        ("date = 2026-12-01", 'date = "2026-13-01"', 11, "must be a date such as"),
        ("date = 2026-12-01", "date = 2026-12-01T00:00:00", 11, "must be a date such as"),
        ("date = 2026-12-01", "date = 3", 11, "must be a date such as"),
        ("expiry = 2027-06-01", "expiry = 2026-06-01", 12, "must not be before `date`"),
        ('["value"]', '["values"]', 7, "did you mean `value`?"),
        ('["value"]', "[]", 7, "must name a class"),
        ('["value"]', '"value"', 7, "must be a list of texts"),
        ("entries =", "entires =", 7, "unknown key `entires` in `differs`"),
        ('"sign-of-zero"', '"signs"', 7, "must be one of sign-of-zero, nan-bits, trap, any"),
        ('"replicates"', '"replicate"', 6, "did you mean `replicates`?"),
        ('"ceil loses the sign of a zero result"', '" "', 8, "`reason` must be a text"),
        ('subject = "*"', "subject = 1", 4, "`subject` must be a text"),
        ("activation_height = 12", "activation_height = true", 26, "number of a block"),
        ("[allowance.differs]", "[allowance.difers]", 27, "did you mean `differs`?"),
        ("\n# The", "\n[other]\n# The", 2, "unknown key `other`"),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, line: int, words: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    with pytest.raises(BadAllowanceError) as caught:
        read_allowances(text, "own.toml")
    assert str(caught.value).startswith(f"own.toml:{line}: ")
    assert words in str(caught.value)


def test_one_table_instead_of_a_list_is_refused() -> None:
    with pytest.raises(BadAllowanceError, match="write each entry as"):
        read_allowances('[allowance]\nsubject = "*"\n')
    with pytest.raises(BadAllowanceError, match="write each entry as"):
        read_allowances("allowance = 3\n")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(TEXT)
    assert len(read_allowance_file(good)) == 2
    with pytest.raises(BadAllowanceError, match="cannot be read"):
        read_allowance_file(tmp_path / "none.toml")
    with pytest.raises(BadAllowanceError, match="cannot be read"):
        read_allowance_file(tmp_path)
    good.write_bytes(b"\xff\xfe")
    with pytest.raises(BadAllowanceError, match="not UTF-8"):
        read_allowance_file(good)


def finding(*ends: Status | int, sha: str = "ab" * 32) -> RunFinding:
    """
    The first finding of one case that wasmtime, wasmer, ... and last pywasm ended so.
    """
    names = [*["wasmtime", "wasmer", "wasm3", "wazero"][: len(ends) - 1], "pywasm"]
    voices = [voice_of(name, ending(end)) for name, end in zip(names, ends, strict=True)]
    block = block_of(1)
    verdict = vote(block, SCALAR_SHAPE, voices, "exact", 2)
    judged = JudgedBlock(block, SCALAR_SHAPE, voices, verdict)
    return collect_findings([judged], module_sha256=sha, nan="exact")[0]


def allowance(bound: str = "any", *kinds: str, **changes: object) -> Allowance:
    base = Allowance(
        subject="*",
        nodes="pywasm@1.0*",
        property="replicates",
        differs=Differs(
            kinds=tuple(FindingClass(k) for k in kinds or ("value", "kind", "nan-bits")),
            bound=bound,  # type: ignore[arg-type]
        ),
        reason="r",
        evidence="finding:0123456789abcdef",
        author="a",
        date="2026-12-01",
        expiry="2026-12-31",
    )
    return replace(base, **changes)


def covers(made: RunFinding, of: Allowance, as_of: date = TODAY) -> bool:
    return match(of, made.finding, made.deviants, as_of)


def test_what_is_covered_and_what_just_is_not() -> None:
    made = finding(ZERO, ZERO, MINUS_ZERO)
    assert made.deviants == ("pywasm@1.0",)
    assert covers(made, allowance())
    for changes in (
        {"subject": "cd*"},
        {"nodes": "pywasm@1.1*"},
        {"property": "faithful"},
        {"differs": Differs(kinds=(FindingClass.KIND,))},
        {"differs": Differs(kinds=(FindingClass.VALUE,), entries=("f64_max", "f32_min"))},
        {"expiry": "2026-12-23"},
    ):
        assert not covers(made, replace(allowance(), **changes))
    assert covers(made, replace(allowance(), subject="abab*", expiry="2026-12-24"))
    entries = Differs(kinds=(FindingClass.VALUE,), entries=("f64_max", "*_min"))
    assert covers(made, replace(allowance(), differs=entries))


def test_every_deviating_node_must_be_covered() -> None:
    # With two voices both deviate, and an allowance for one does not do.
    two = finding(ZERO, MINUS_ZERO)
    assert two.deviants == ("pywasm@1.0", "wasmtime@1.0")
    assert not covers(two, allowance())
    assert covers(two, allowance(nodes="*"))
    assert not match(allowance(nodes="*"), two.finding, (), TODAY)


@pytest.mark.parametrize(
    ("bound", "ends", "expected"),
    [
        ("sign-of-zero", (ZERO, ZERO, MINUS_ZERO), True),
        ("sign-of-zero", (MINUS_ZERO, MINUS_ZERO, ZERO), True),
        ("sign-of-zero", (ZERO, ZERO, ONE), False),
        ("sign-of-zero", (ZERO, ZERO, 1), False),
        ("sign-of-zero", (NAN, NAN, MINUS_NAN), False),
        ("sign-of-zero", (ONE, ONE, Status.TRAP_UNKNOWN), False),
        ("nan-bits", (NAN, NAN, MINUS_NAN), True),
        ("nan-bits", (NAN, NAN, ONE), False),
        ("nan-bits", (ZERO, ZERO, MINUS_ZERO), False),
        ("trap", (ONE, ONE, Status.TRAP_UNKNOWN), True),
        ("trap", (ONE, ONE, TWO), False),
        ("any", (ONE, ONE, TWO), True),
        # A node that met a limit measures nothing.
        ("sign-of-zero", (ZERO, ZERO, ZERO, Status.EXHAUSTED_STACK, MINUS_ZERO), True),
    ],
)
def test_bounds_hold_on_the_bits_seen(
    bound: str, ends: tuple[Status | int, ...], *, expected: bool
) -> None:
    if Status.EXHAUSTED_STACK in ends:
        names = [voice_of(f"n{i}", ending(end)) for i, end in enumerate(ends[:-1])]
        voices = [*names, voice_of("pywasm", ending(ends[-1]))]
        block = block_of(1)
        verdict = vote(block, SCALAR_SHAPE, voices, "exact", 2)
        judged = JudgedBlock(block, SCALAR_SHAPE, voices, verdict)
        made = collect_findings([judged], module_sha256="ab" * 32, nan="exact")[0]
    else:
        made = finding(*ends)
    assert covers(made, allowance(bound)) is expected


def test_bound_of_a_trap_needs_the_others_to_have_returned() -> None:
    made = finding(ONE, ONE, Status.TRAP_UNKNOWN)
    everybody = tuple(o.node.label() for o in made.finding.observed)
    assert not match(allowance("trap", nodes="*"), made.finding, everybody, TODAY)


def test_bound_of_a_trap_is_no_bound_on_which_trap() -> None:
    div0, overflow = Status.TRAP_INTEGER_DIVIDE_BY_ZERO, Status.TRAP_INTEGER_OVERFLOW
    made = finding(div0, div0, overflow)
    assert covers(made, allowance("any"))
    assert not covers(made, allowance("trap"))


def test_bound_on_bits_does_not_cover_what_has_equal_bits() -> None:
    made = finding(ZERO, ZERO, MINUS_ZERO)
    same = replace(made.finding.observed[0].outcome)
    observed = tuple(replace(o, outcome=same) for o in made.finding.observed)
    state_only = replace(made.finding, kind=FindingClass.STATE, observed=observed)
    assert match(allowance("any", "state"), state_only, made.deviants, TODAY)
    assert not match(allowance("sign-of-zero", "state"), state_only, made.deviants, TODAY)


def test_bound_against_the_oracle() -> None:
    made = finding(ZERO, ZERO, MINUS_ZERO)
    unfaithful = replace(
        made.finding,
        property="faithful",
        kind=FindingClass.UNFAITHFUL,
        expected="bytes:0000000000000000",
    )
    of = allowance("sign-of-zero", "unfaithful", property="faithful")
    assert match(of, unfaithful, made.deviants, TODAY)
    other = replace(unfaithful, expected="bytes:000000000000f03f")
    assert not match(of, other, made.deviants, TODAY)


def test_a_node_that_the_finding_does_not_show_is_not_within_a_bound() -> None:
    made = finding(ZERO, ZERO, MINUS_ZERO)
    nodes = (*made.deviants, "pywasm@1.0[cpu=baseline]")
    assert match(allowance(), made.finding, nodes, TODAY)
    assert not match(allowance("sign-of-zero"), made.finding, nodes, TODAY)


def test_first_covering_allowance_is_given() -> None:
    made = finding(ZERO, ZERO, MINUS_ZERO)
    tight, wide = allowance("sign-of-zero", reason="tight"), allowance(reason="wide")
    assert covering([tight, wide], made.finding, made.deviants, TODAY) is tight
    assert covering([replace(tight, nodes="x"), wide], made.finding, made.deviants, TODAY) is wide
    assert covering([], made.finding, made.deviants, TODAY) is None


@pytest.mark.parametrize(
    ("used", "differs", "as_of", "expected"),
    [
        (True, True, "2026-12-31", "used"),
        (False, True, "2026-12-31", "not met"),
        (False, None, "2026-12-31", "not met"),
        (True, None, "2026-12-31", "used"),
        (True, False, "2026-12-31", "stale"),
        (False, False, "2026-12-31", "stale"),
        (True, True, "2027-01-01", "expired"),
        (False, False, "2027-01-01", "expired"),
    ],
)
def test_states(*, used: bool, differs: bool | None, as_of: str, expected: str) -> None:
    day = date.fromisoformat(as_of)
    assert state(allowance(), used=used, evidence_differs=differs, as_of=day) == expected
