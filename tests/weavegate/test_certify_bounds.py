"""
Bounds in a certification: asked for, proved, held against what was measured, and red when broken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import wasmtime
from bad_subjects import complaint, weavegate
from witnesses import SMALL, options

from conformance.bounds.certificate import Bound, Certificate, read_certificate
from conformance.differential.records import FindingClass
from conformance.gas.load import gas_model
from conformance.manifest.read import read_manifest
from conformance.manifest.records import BoundsPart
from reports.model import FindingReport, PropertyVerdict, Report
from runners.catalog import Catalog
from runners.environments import Environments
from runners.launch import Launch
from runners.records import Call, Slot
from runners.status import Status
from tests.fakes.launches import overspending
from weavegate import bound_job
from weavegate.bound_counting import Rows
from weavegate.bound_job import Asked, BoundDone
from weavegate.bound_measuring import Measurements, own_meters
from weavegate.bound_proofs import Bounded, prove_all, write_certificates
from weavegate.bound_spans import Span, within
from weavegate.bound_verdicts import Judging
from weavegate.bounds_asked import BOUNDS, GAS, INDEPENDENT, bounds_asked
from weavegate.certify import certify
from weavegate.dry_run import dry_run
from weavegate.exits import Exit
from weavegate.findings_files import read_finding
from weavegate.opening import corpus_of
from weavegate.replay_job import replay
from weavegate.subject import load_subject
from weavegate.terminal import Output

pytestmark = pytest.mark.engines

FUEL = "wasmtime-fuel@50.0.1"
METER = "fuel:wasmtime@50.0.1"
VM = "cosmwasm-vm@3.0.4"
METERED = msgspec.structs.replace(SMALL, state_share=0.0, full_share=1.0)
"""Every case is put to the engines' own meters."""
ENGINES = ("wasmtime", "wasmtime/winch", "wasmer")
UP_TO = """(module (memory (export "memory") 1 3)
  (func (export "infer") (param $n i32) (result i32) (local $i i32)
    (loop $again
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                              (local.get $n))))
    (local.get $i)))"""
"""7 fuel each time round (local.get, i32.const, i32.add, local.tee, local.get, i32.lt_u, br_if), 1
for the call, 1 for the last local.get."""
TURN, REST = 7, 2
LOW, HIGH = TURN + REST, 48 * TURN + REST
GROWS = UP_TO.replace("(local.get $i)))", "(drop (memory.grow (i32.const 1))) (local.get $i)))")
assert GROWS != UP_TO
MANIFEST = f"""\
schema = 1
[module]
name = "up-to"
[[call]]
entry = "infer"
parameters = ["i32"]
results = ["i32"]
domains = [{{ low = 1, high = 48 }}]
[limits]
pages = 3
[bounds]
models = ["{FUEL}", "{VM}"]
"""
BYTES = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (result i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.load8_u (local.get $i))))
    (local.get $i)))"""
"""Ends at the first byte that is zero: nothing bounds that but the size of memory."""


def subject(folder: Path, more: str = "", old: str = "", new: str = "", wat: str = UP_TO) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    assert not old or MANIFEST.count(old) == 1
    text = (MANIFEST.replace(old, new) if old else MANIFEST) + more
    (folder / "model.toml").write_text(text, "utf-8")
    (folder / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(wat)))
    return folder


def run(tmp_path: Path, place: Path, **given: object) -> Report:
    given = {"engines": ENGINES, "size": METERED} | given
    return certify(options(place, tmp_path / "out", (), **given))


def verdict(report: Report, name: str) -> PropertyVerdict:
    return next(v for v in report.verdicts if v.property == name)


def bound_findings(report: Report) -> list[FindingReport]:
    return [f for f in report.findings if f.finding.kind is FindingClass.BOUND]


def launches(liar: str = "") -> tuple[tuple[Launch, bool], ...]:
    """
    Real compilers; the meter of *liar* shows one unit too many.
    """
    catalog = Catalog.load()
    environments = Environments(catalog)
    made = []
    for name in ENGINES:
        launch = environments.launch(catalog.resolve(name))
        made.append((overspending(launch) if name == liar else launch, False))
    return tuple(made)


def doctored(
    monkeypatch: pytest.MonkeyPatch, model: str, low: int = 0, high: int = 0, pages: int = 0
) -> None:
    """
    A proof whose confirmed certificate is then altered, as if the checker had let it pass.
    """

    def prove(asked: Asked, tell: Callable[[str], None]) -> BoundDone:
        done = bound_job.prove_bound(asked, tell)
        certificate = done.report.certificate
        assert certificate is not None
        bounds = tuple(
            msgspec.structs.replace(b, lo=b.lo + low, hi=b.hi + high, any_hi=b.any_hi + high)
            if b.model == model
            else b
            for b in certificate.bounds
        )
        altered = msgspec.structs.replace(
            certificate, bounds=bounds, pages=certificate.pages + pages
        )
        return replace(done, report=replace(done.report, certificate=altered))

    monkeypatch.setattr("weavegate.bound_proofs.prove_bound", prove)


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Bounded:
    """
    The proof of the growing module, for verdicts about limits.
    """
    place = subject(tmp_path_factory.mktemp("proved") / "s", wat=GROWS)
    given = options(place, place.parent / "out", ())
    asked = bounds_asked(given, read_manifest(place / "model.toml"))
    assert asked is not None
    return prove_all(asked, given, lambda _: None)


def told_of(bounded: Bounded, limits: BoundsPart, name: str, **given: object) -> PropertyVerdict:
    """
    One verdict under limits of the manifest.
    """
    asked = replace(bounded.asked, limits=limits, **given)  # type: ignore[arg-type]
    verdicts = Judging(replace(bounded, asked=asked), Measurements(), ()).verdicts()
    return next(v for v in verdicts if v.property == name)


# ------------------------------------------------------------------------------ asked, and proved


def test_nothing_is_said_of_bounds_unless_they_are_asked_for(tmp_path: Path) -> None:
    text = MANIFEST[: MANIFEST.index("[bounds]")]
    place = subject(tmp_path / "s")
    (place / "model.toml").write_text(text, "utf-8")
    report = run(tmp_path, place, require=("replicates",))
    assert not {v.property for v in report.verdicts} & set(BOUNDS)
    assert not (tmp_path / "out" / "bound.json").exists()
    assert report.exit_code == Exit.PASS


def test_bounds_of_a_manifest_hold_and_are_measured(tmp_path: Path) -> None:
    report = run(tmp_path, subject(tmp_path / "s"))
    gas = verdict(report, "gas-bounded")
    assert gas.verdict == "holds", gas
    shown = f"{LOW}..{HIGH} by meter fuel:wasmtime@50.0.1 on"
    assert f"{FUEL} proved {LOW}..{HIGH} (measured {shown}" in gas.sentence
    cases = report.sampling.edge + report.sampling.sample + report.sampling.bulk
    assert f"{cases:,} of {cases:,} cases of infer" in gas.sentence
    assert VM in gas.sentence
    memory = verdict(report, "memory-bounded")
    assert "at most 1 page (measured: at most 1 on 3 nodes" in memory.sentence
    assert "1 activation" in verdict(report, "stack-bounded").sentence
    assert report.exit_code == Exit.PASS
    certificate = read_certificate((tmp_path / "out" / "bound.json").read_bytes())
    assert next((b.model, b.lo, b.hi) for b in certificate.bounds) == (FUEL, LOW, HIGH)


def test_gas_that_depends_on_the_input_is_red_only_where_that_is_asked(bounded: Bounded) -> None:
    left = told_of(bounded, BoundsPart(), "gas-independent")
    assert left.verdict == "not-asked"
    assert "two inputs cost" in left.sentence
    asked = told_of(bounded, BoundsPart(), "gas-independent", independent=True)
    assert asked.verdict == "fails"


@pytest.mark.parametrize(("more", "given"), [("independent = true\n", ()), ("", (INDEPENDENT,))])
def test_independence_is_asked_by_the_manifest_or_the_command_line(
    tmp_path: Path, more: str, given: tuple[str, ...]
) -> None:
    place = subject(tmp_path / "s", more)
    manifest = read_manifest(place / "model.toml")
    asked = bounds_asked(options(place, tmp_path / "out", (), require=given), manifest)
    assert asked is not None
    assert asked.independent


@pytest.mark.parametrize(
    ("key", "least", "name"),
    [
        ("max_pages", 2, "memory-bounded"),
        ("max_depth", 1, "stack-bounded"),
        ("max_frame_words", 4, "stack-bounded"),
    ],
)
def test_a_limit_of_the_manifest_that_is_exceeded_is_red(
    bounded: Bounded, key: str, least: int, name: str
) -> None:
    loose = told_of(bounded, msgspec.structs.replace(BoundsPart(), **{key: least}), name)
    assert loose.verdict == "holds"
    assert f"within {key} {least}" in loose.sentence
    tight = told_of(bounded, msgspec.structs.replace(BoundsPart(), **{key: least - 1}), name)
    assert tight.verdict == "fails"
    assert f"{key} allows {least - 1}, up to {least} are proved" in tight.sentence


def test_a_limit_of_gas_is_held_against_the_greatest_of_any_outcome(bounded: Bounded) -> None:
    certificate = bounded.proofs[0].certificate
    assert certificate is not None
    most = next(b.any_hi for b in certificate.bounds if b.model == FUEL)
    for limit, word in ((most, "holds"), (most - 1, "fails")):
        assert told_of(bounded, BoundsPart(max_gas=((FUEL, limit),)), GAS).verdict == word


def test_what_is_required_and_not_bounded_is_undecided(tmp_path: Path) -> None:
    place = subject(tmp_path / "s", wat=BYTES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bound.json").write_text("of an earlier run")
    report = run(tmp_path, place, require=("gas-bounded",))
    told = verdict(report, "gas-bounded")
    assert told.verdict == "undecided"
    assert "exit depends on input bytes" in told.sentence
    assert report.exit_code == Exit.UNDECIDED
    assert not (tmp_path / "out" / "bound.json").exists()


def test_a_property_that_is_required_and_not_asked_is_undecided(tmp_path: Path) -> None:
    place = subject(tmp_path / "s", old='[bounds]\nmodels = ["' + FUEL + f'", "{VM}"]\n', new="")
    assert run(tmp_path, place).exit_code == Exit.PASS
    report = run(tmp_path, place, require=("faithful",))
    assert verdict(report, "faithful").sentence.startswith("required, but not asked: ")
    assert report.exit_code == Exit.UNDECIDED


def test_an_initialisation_without_one_outcome_is_undecided(tmp_path: Path) -> None:
    grows = '(func (export "start") (drop (memory.grow (i32.const 1))))\n  (func (export'
    wat = UP_TO.replace("(func (export", grows, 1)
    start = '[abi]\ninitialize = ["start"]\n'
    report = run(tmp_path, subject(tmp_path / "s", start, wat=wat))
    assert verdict(report, "stack-bounded").verdict == "undecided"
    assert "memory.grow while a module initialises" in verdict(report, "gas-bounded").sentence


def test_every_entry_has_a_proof_and_a_file_of_its_own(tmp_path: Path) -> None:
    more = '[[call]]\nentry = "other"\nparameters = ["i32"]\nresults = ["i32"]\n'
    other = '(func (export "other") (param i32) (result i32) (local.get 0)))'
    place = subject(tmp_path / "s", more, wat=UP_TO[:-1] + other)
    given = options(place, tmp_path / "out", ())
    asked = bounds_asked(given, read_manifest(place / "model.toml"))
    assert asked is not None
    assert asked.entries == ("infer", "other")
    write_certificates(prove_all(asked, given, lambda _: None), given)
    entries = [
        read_certificate((tmp_path / "out" / f"bound-{n}.json").read_bytes()).precondition.entry
        for n in (1, 2)
    ]
    assert entries == ["infer", "other"]
    assert not (tmp_path / "out" / "bound.json").exists()


def test_bounds_of_a_module_with_refused_imports_are_not_asked(tmp_path: Path) -> None:
    wat = UP_TO.replace("(module", '(module (import "env" "now" (func (result i64)))', 1)
    report = run(tmp_path, subject(tmp_path / "s", wat=wat))
    assert {verdict(report, name).verdict for name in BOUNDS} == {"not-asked"}
    assert report.exit_code == Exit.FINDINGS


# ------------------------------------------------------------------------------------- chains


def proved_with(place: Path, more: str = "", **given: object) -> Bounded:
    """
    The proofs of a subject whose manifest says *more*.
    """
    (place / "model.toml").write_text(MANIFEST + more, "utf-8")
    asked_for = options(place, place.parent / "out", (), **given)
    asked = bounds_asked(asked_for, read_manifest(place / "model.toml"))
    assert asked is not None
    return prove_all(asked, asked_for, lambda _: None)


def test_limits_of_a_chain(tmp_path: Path) -> None:
    place = subject(tmp_path / "s")
    proved = proved_with(place, '[chain]\nname = "juno"\nmax_sdk_gas = 60000\n')
    gas = told_of(proved, BoundsPart(), GAS)
    assert gas.verdict == "fails"
    assert "juno: asked SDK gas: up to 60,0" in gas.sentence
    memory = told_of(proved, BoundsPart(), "memory-bounded")
    assert memory.verdict == "holds"
    assert "fits juno: memory pages 1 of 512" in memory.sentence
    chain = Path(bound_job.__file__).parents[1] / "vectors" / "chains" / "juno.toml"
    shutil.copy(chain, place / "own.toml")
    proved = proved_with(place, '[chain]\nfile = "own.toml"\nloading = "pinned"\n')
    told = told_of(proved, BoundsPart(), GAS)
    assert told.verdict == "holds"
    assert "SDK gas of a smart query (per node) 2,0" in told.sentence


def test_a_chain_whose_first_limit_is_unknown_is_undecided(tmp_path: Path) -> None:
    told = told_of(proved_with(subject(tmp_path / "s"), chain="neutron"), BoundsPart(), GAS)
    assert told.verdict == "undecided"
    assert "unknown on neutron: SDK gas of a smart query" in told.sentence


def test_the_command_line_asks_for_a_chain(tmp_path: Path) -> None:
    place = subject(tmp_path / "s", old='[bounds]\nmodels = ["' + FUEL + f'", "{VM}"]\n', new="")
    out = tmp_path / "o"
    asked = ("certify", str(place), "--chain", "juno", "--require", "gas-bounded", "--json")
    done = weavegate(*asked, "--out", str(out))
    assert done.exit_code == Exit.PASS, done.output
    told = {v["property"]: v for v in json.loads(done.stdout)["verdicts"]}
    assert "fits juno" in told["gas-bounded"]["sentence"]
    assert (out / "bound.json").is_file()
    assert "gas-bounded" in (out / "junit.xml").read_text("utf-8")
    assert "stack-bounded" in (out / "report.html").read_text("utf-8")


def test_an_unknown_chain_and_an_unknown_property_are_wrong_usage(tmp_path: Path) -> None:
    place = str(subject(tmp_path / "s"))
    said = complaint(Exit.USAGE, "certify", place, "--chain", "nowhere", "--out", str(tmp_path))
    assert "there is no chain file 'nowhere'" in said
    said = complaint(Exit.USAGE, "certify", place, "--require", "gas", "--out", str(tmp_path))
    assert "'gas' is not one of" in said
    entries = subject(tmp_path / "t", 'entries = ["other"]\n')
    said = complaint(Exit.USAGE, "certify", str(entries), "--out", str(tmp_path))
    assert "entries names 'other'" in said


def test_a_dry_run_says_what_would_be_proved(tmp_path: Path) -> None:
    place = subject(tmp_path / "s")
    asked = options(place, tmp_path / "out", (), engines=ENGINES, chain="juno")
    plan = dry_run(asked)
    assert plan.bounds is not None
    assert plan.bounds.entries == ("infer",)
    assert plan.bounds.models[:2] == (FUEL, VM)
    said = weavegate("certify", str(place), "--dry-run", "--out", str(tmp_path / "o")).output
    assert f"gas, memory and stack of infer, under {FUEL}, {VM}" in said
    (place / "model.toml").write_text(MANIFEST[: MANIFEST.index("[bounds]")], "utf-8")
    assert dry_run(replace(asked, chain=None)).bounds is None


# ------------------------------------------------------------------- measured against the bound


def test_a_meter_that_overspends_is_red_and_named(tmp_path: Path) -> None:
    place = subject(tmp_path / "s")
    honest = certify(options(place, tmp_path / "honest", launches(), size=METERED))
    assert honest.exit_code == Exit.PASS
    report = certify(options(place, tmp_path / "liar", launches("wasmtime"), size=METERED))
    (found,) = bound_findings(report)
    assert found.finding.property == "gas-bounded"
    assert found.finding.claim is not None
    assert found.finding.claim.what == "fuel:wasmtime@50.0.1"
    assert found.finding.blame.party == "engine"
    assert found.finding.blame.nodes == ("wasmtime@50.0.1/cranelift",)
    assert "showed 339 by fuel:wasmtime@50.0.1, where 9..338 is proved" in (
        found.finding.blame.reason
    )
    assert verdict(report, "gas-bounded").verdict == "fails"
    assert report.exit_code == Exit.FINDINGS


def test_a_doctored_bound_is_red_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctored(monkeypatch, FUEL, high=-1, pages=-1)
    report = run(tmp_path, subject(tmp_path / "s"))
    found = {f.finding.claim.what: f for f in bound_findings(report) if f.finding.claim}
    assert set(found) == {"pages", METER, f"model:{FUEL}"}
    assert {f.finding.blame.party for f in bound_findings(report)} == {"harness"}
    for what in (METER, f"model:{FUEL}"):
        assert f"showed {HIGH} by {what}" in found[what].finding.blame.reason
    assert "had 1 pages, where at most 0 are proved" in found["pages"].finding.blame.reason
    assert verdict(report, GAS).verdict == verdict(report, "memory-bounded").verdict == "fails"
    assert verdict(report, "stack-bounded").verdict == "holds"
    assert report.exit_code == Exit.FINDINGS
    for item in found.values():
        path = Path(item.file)
        assert replay(Output(), path, None, ("wasmtime",)) == Exit.FINDINGS
        record = read_finding(path)
        assert record.claim is not None
        true = msgspec.structs.replace(record.claim, hi=record.claim.hi + 1)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, claim=true)))
        assert replay(Output(), path, None, ("wasmtime",)) == Exit.PASS


def test_a_doctored_least_bound_of_another_model_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctored(monkeypatch, VM, low=1)
    report = run(tmp_path, subject(tmp_path / "s"))
    (found,) = bound_findings(report)
    assert found.finding.claim is not None
    assert found.finding.claim.what == f"model:{VM}"
    assert found.finding.property == GAS
    assert found.finding.blame.party == "harness"
    assert report.exit_code == Exit.FINDINGS


@pytest.mark.parametrize(
    ("status", "value", "red"),
    [
        (Status.RETURNED, 10, False), (Status.RETURNED, 9, True), (Status.RETURNED, 20, False),
        (Status.RETURNED, 21, True), (Status.TRAP_UNREACHABLE, 5, False),
        (Status.TRAP_UNREACHABLE, 4, True), (Status.TRAP_UNREACHABLE, 30, False),
        (Status.TRAP_UNREACHABLE, 31, True), (Status.EXHAUSTED_STACK, 0, False),
        (Status.EXHAUSTED_STACK, 31, True), (Status.CRASHED, 99, False),
        (Status.PENDING, 99, False),
    ],
)  # fmt: skip
def test_which_readings_a_bound_rules_out(status: Status, value: int, *, red: bool) -> None:
    span = Span("f", METER, "node", Bound(FUEL, 10, 20, 5, 30))
    beyond = span.add(np.array([status], np.uint8), np.array([value], np.uint64), np.ones(1, bool))
    assert beyond.tolist() == [red]
    assert span.cases == (status not in (Status.CRASHED, Status.PENDING))
    unasked = span.add(
        np.array([status], np.uint8), np.array([value], np.uint64), np.zeros(1, bool)
    )
    assert unasked.tolist() == [False]


def test_calls_that_no_bound_is_about_are_left_out(tmp_path: Path) -> None:
    # Without a reset export a reused instance keeps its grown memory: the third call has 3 pages.
    place = subject(tmp_path / "s", '[abi]\ninstances = "reuse(3)"\n', wat=GROWS)
    report = run(tmp_path, place)
    assert not bound_findings(report)
    told = verdict(report, "memory-bounded")
    assert "measured: at most 2" in told.sentence
    certificate = read_certificate((tmp_path / "out" / "bound.json").read_bytes())
    assert rows_within(certificate) == [False, True, True, False]


def test_a_large_corpus_is_counted_on_a_seeded_share(tmp_path: Path, bounded: Bounded) -> None:
    read = load_subject(subject(tmp_path / "s", wat=GROWS))
    size = msgspec.structs.replace(SMALL, uniform=2_000)
    corpus, (call,) = corpus_of(read, size, 0), read.calls
    certificate = bounded.proofs[0].certificate
    assert certificate is not None
    own = len(certificate.inputs)
    ids = {int(case) for part in corpus.blocks for case in part.block.ids}

    def taken(most: int, seed: int, disputed: set[int]) -> list[int]:
        rows = Rows.of(certificate, call, corpus, seed, most, disputed)
        assert (rows.own, rows.of_all) == (own, len(ids))
        assert len(rows.inputs) == len(rows.ids)
        return [int(case) for case in rows.ids[own:]]

    assert set(taken(len(ids), 0, set())) == ids
    share = taken(len(ids) // 8, 0, set())
    assert 0 < len(share) < len(ids) // 4
    assert taken(len(ids) // 8, 0, set()) == share != taken(len(ids) // 8, 1, set())
    missed = min(ids - set(share))
    assert set(taken(len(ids) // 8, 0, {missed})) == {*share, missed}


def rows_within(certificate: Certificate) -> list[bool]:
    """
    Which of the arguments 0, 1, 48, 49 the bound is about.
    """
    call = Call("infer", (Slot(0, "i32"),), ("i32",))
    rows = np.array([[0], [1], [48], [49]], "<u8").view(np.uint8)
    return [bool(flag) for flag in within(certificate.precondition, call, rows)]


def test_which_meters_a_model_describes() -> None:
    # The wheels of one generation bill alike.
    assert own_meters(gas_model(FUEL)) == ("fuel:wasmtime@49.0.0", METER)
    assert own_meters(gas_model(VM)) == ()
