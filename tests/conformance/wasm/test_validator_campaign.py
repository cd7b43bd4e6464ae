"""
The validator against wasmtime's on mutated modules, and on modules that are valid by construction.

`make nightly CAMPAIGN=validator-mutants` judges 200,000 mutants in chunks, each from its own seed;
what is done is kept, so an interrupted campaign goes on. The plain suite judges a share.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from validator_campaign import Tally, constructed, judged, mutants, ours, theirs

from conformance.generate.modules import generate
from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CAMPAIGN = ROOT / "build" / "campaigns" / "validator-mutants"
CHUNKS, MUTANTS, CONSTRUCTED = 50, 4000, 500


def _check(tally: Tally) -> None:
    """
    No verdict differs, and enough mutants are nearly valid.
    """
    assert tally.differing == []
    assert tally.decoded >= 0.3 * tally.modules
    assert tally.valid >= 0.2 * tally.modules


@pytest.mark.slow
def test_a_share_of_the_mutants_has_wasmtimes_verdicts() -> None:
    made = mutants(CHUNKS, 1500)
    tally = judged(made)
    _check(tally)
    assert max(map(len, made)) <= 2048
    rules = {pair.partition(" | ")[0] for pair in tally.pairs}
    assert len(rules) > 40, tally.report()


@pytest.mark.slow
def test_modules_made_valid_are_valid_to_both() -> None:
    tally = judged(constructed(CHUNKS, 400))
    assert dict(tally.pairs) == {"valid | valid": 400}


@pytest.mark.slow
def test_modules_of_the_generator_are_valid_to_both() -> None:
    tally = judged(generate(11, index).binary for index in range(60))
    assert dict(tally.pairs) == {"valid | valid": 60}


def test_mutants_are_seeded() -> None:
    assert mutants(3, 40) == mutants(3, 40) != mutants(4, 40)


def test_a_verdict_that_differs_is_kept_with_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import validator_campaign  # noqa: PLC0415 - the module under test is changed below

    def lenient(data: bytes) -> tuple[str, bool]:
        try:
            decode(data)
        except BadModuleError as error:
            return error.rule, False
        return "valid", True

    monkeypatch.setattr(validator_campaign, "ours", lenient)
    tally = judged(mutants(CHUNKS, 200))
    assert len(tally.differing) > 20
    first = tally.differing[0]
    assert first["ours"] == "valid"
    assert ours(bytes.fromhex(first["module"]))[0] != "valid"
    assert theirs(bytes.fromhex(first["module"])) == first["wasmtime"]


def test_limits_and_a_proposal_without_a_switch_are_counted_apart() -> None:
    header = b"\0asm\1\0\0\0"
    extended = header + b"\6\x09\1\x7f\0\x41\1\x41\2\x6a\x0b"
    many = header + b"\1\4\1\x60\0\0\3\2\1\0\x0a\x08\1\6\1\xd1\x86\3\x7f\x0b"
    tally = judged([extended, many])
    assert (tally.unswitched, tally.limits, tally.differing) == (1, 1, [])
    assert set(tally.pairs) == {
        "proposal-extended-const | valid",
        "limit-locals | too many locals",
    }


# ------------------------------------------------------------------------------------- nightly


@functools.cache
def _sources() -> str:
    """
    SHA-256 over what the campaign is about: other sources, another campaign.
    """
    total = hashlib.sha256()
    for path in [*sorted((ROOT / "conformance" / "wasm").glob("*.py")), *sorted(HERE.glob("*.py"))]:
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_validator_mutants(chunk: int, capfd: pytest.CaptureFixture[str]) -> None:
    folder = CAMPAIGN / _sources()
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"chunk-{chunk:02}.json"
    fresh = not done.exists()
    if fresh:
        found = {
            "mutants": judged(mutants(chunk, MUTANTS)).plain(),
            "constructed": judged(constructed(chunk, CONSTRUCTED)).plain(),
        }
        part = done.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(done)
    found = json.loads(done.read_text())
    assert found["mutants"]["differing"] == []
    assert set(found["constructed"]["pairs"]) == {"valid | valid"}
    whole = [json.loads(path.read_text()) for path in sorted(folder.glob("chunk-*.json"))]
    if len(whole) == CHUNKS and (fresh or chunk == CHUNKS - 1):
        _conclude(folder, whole, capfd)


def _conclude(folder: Path, whole: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]) -> None:
    """
    Write and print the counts of all chunks.
    """
    tallies = {"mutants": Tally(), "constructed": Tally()}
    for chunk in whole:
        for name, tally in tallies.items():
            tally.include(chunk[name])
    text = "\n\n".join(f"{name}: {tally.report()}" for name, tally in tallies.items())
    (folder / "summary.txt").write_text(text + "\n")
    plain = {name: tally.plain() for name, tally in tallies.items()}
    (folder / "summary.json").write_text(json.dumps(plain, indent=1) + "\n")
    with capfd.disabled():
        print(f"\n{text}", file=sys.stderr)  # noqa: T201 - the campaign's result
    _check(tallies["mutants"])
    assert tallies["mutants"].modules >= 100_000
