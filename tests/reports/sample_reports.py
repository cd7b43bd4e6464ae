"""
Reports for the tests of this room, built from records by hand: each shows one kind of run.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from conformance.differential.bisection import FirstDifference
from conformance.differential.records import (
    Allowance,
    Blame,
    Differs,
    Finding,
    FindingClass,
    Observed,
)
from reports.model import (
    AllowanceReport,
    FindingReport,
    FirstOperator,
    Measured,
    NodeReport,
    Origin,
    PropertyVerdict,
    Report,
    Run,
    Sampling,
    Strength,
    Subject,
    Unobserved,
)
from runners.records import (
    Budget,
    Buffer,
    ByExport,
    Call,
    Crashed,
    EngineId,
    Families,
    Identity,
    InputPointer,
    Level,
    Node,
    NotObserved,
    Outcome,
    OutcomeKind,
    OutputPointer,
    Returned,
    Slot,
    Trapped,
)

MODULE: Final = "8c1f" + "0d4e5a6b7c8d9e0f" * 3 + "11223344556f"

ENGINES: Final = (
    ("wasmtime@50.0.1/cranelift", "50.0.1", "wasmtime 50.0.1", "cranelift", "wasmtime", 66.2),
    ("wasmer@1.1.0/singlepass", "1.1.0", "wasmer 2.1.1", "singlepass", "wasmer", 229.4),
    ("wasmtime@50.0.1/winch", "50.0.1", "wasmtime 50.0.1", "winch", "wasmtime", 137.0),
    ("pywasm@2.2.3", "2.2.3", "pywasm 2.2.3", "pywasm", "pywasm", 2_610_000.0),
)

MLP: Final = Call(
    entry="infer",
    arguments=(InputPointer(), OutputPointer()),
    input=Buffer(ByExport("input"), 128),
    output=Buffer(ByExport("output"), 24),
    memory="memory",
    globals=("__heap_base",),
    grows=False,
)

BINARY: Final = Call(
    entry="f64.min",
    arguments=(Slot(0, "f64"), Slot(1, "f64")),
    results=("f64",),
    memory="memory",
)


def doubles(*values: float) -> str:
    """
    Values as the bytes of a little-endian f64 buffer.
    """
    return "bytes:" + struct.pack(f"<{len(values)}d", *values).hex()


def words(*patterns: int) -> str:
    """
    64-bit patterns as the bytes of a little-endian buffer.
    """
    return "bytes:" + struct.pack(f"<{len(patterns)}Q", *patterns).hex()


def outcome(kind: OutcomeKind) -> Outcome:
    """
    Build an outcome with results only.
    """
    unasked = NotObserved("level result")
    return Outcome(
        kind=kind, memory_sha256=unasked, pages=unasked, globals=unasked, gas=unasked,
        host_calls=unasked,
    )  # fmt: skip


def node(place: int) -> Node:
    """
    Build the default node of engine number *place*.
    """
    return Node(EngineId.parse(ENGINES[place][0]))


def seen(place: int, kind: OutcomeKind) -> Observed:
    """
    Tell what node number *place* did.
    """
    return Observed(node(place), ENGINES[place][3], outcome(kind))


def node_report(place: int, *, differing: int = 0, broken: int = 0) -> NodeReport:
    """
    Report a node that took part; the last one, an interpreter, saw the sample only.
    """
    text, package, core, generator, runtime, _ = ENGINES[place]
    slow = text.startswith("pywasm")
    cases = 550 if slow else 12_550
    return NodeReport(
        node=node(place),
        label=text,
        families=Families(generator, runtime),
        identity=Identity(
            package_version=package,
            core_version=core,
            library_sha256=f"{place + 1:x}" * 64,
            worker_sha256=f"{place + 5:x}" * 64,
            artifact_sha256=f"{place + 9:x}" * 64,
            interpreter="CPython 3.11.7",
            cpu_features_sha256="0" * 64,
        ),
        role="sample" if slow else "all cases",
        reason="about 2.6 s per case" if slow else "",
        cases_result=cases - cases // 5 - cases // 10,
        cases_state=cases // 5,
        cases_full=cases // 10,
        agreeing=cases - differing - broken,
        differing=differing,
        broken=broken,
    )


def strengths(differing: dict[str, int] | None = None) -> tuple[Strength, ...]:
    """
    Strength per family; the bound is the rule of three where nothing differs.
    """
    found = []
    for text, _, _, generator, _, _ in ENGINES:
        cases = 550 if text.startswith("pywasm") else 12_550
        odd = (differing or {}).get(generator, 0)
        found.append(
            Strength(
                generator=generator,
                cases=cases,
                differing=odd,
                rate_below=3 / cases if not odd else (odd + 4) / cases,
            )
        )
    return tuple(found)


def run_block() -> Run:
    """
    Fix what cannot be reproduced, for the golden files.
    """
    return Run(
        started="2027-01-04T09:30:00Z",
        wall_ms=81_234.5,
        host="validator-a",
        weavegate="0.1.0",
        command="weavegate certify vectors/models/mlp --effort release --seed 7",
        engines=tuple(
            Measured(
                label=text,
                cases=150 if text.startswith("pywasm") else 12_550,
                served_from_evidence=400 if text.startswith("pywasm") else 0,
                busy_ms=us * (150 if text.startswith("pywasm") else 12_550) / 1000,
                us_per_case=us,
            )
            for text, _, _, _, _, us in ENGINES
        ),
    )


def all_green() -> Report:
    """
    Four nodes, nothing differs; also nothing observed of the gas of two of them.
    """
    return Report(
        subject=Subject(
            name="mlp-16-32-10",
            path="vectors/models/mlp/model.wasm",
            sha256=MODULE,
            size_bytes=18_422,
            imports=(),
            exports=("infer", "input", "memory", "output"),
            memory_pages=(2, 2),
            proposals=("mutable-global", "sign-extension"),
        ),
        verdicts=(
            PropertyVerdict(
                property="replicates",
                verdict="holds",
                sentence="All 4 nodes gave the same bits on every case that they saw.",
                strength=strengths(),
            ),
            PropertyVerdict(
                property="faithful",
                verdict="holds",
                sentence="The bits are those of model.program in strict order, on 12,550 cases.",
            ),
            PropertyVerdict(
                property="gas-bounded",
                verdict="not-asked",
                sentence="No [bounds] in the manifest, and no --chain or --require.",
            ),
        ),
        nodes=tuple(node_report(place) for place in range(4)),
        nan="exact",
        effort="release",
        sampling=Sampling(
            seed=7, edge=50, sample=500, bulk=12_000, full_share=0.1, sample_share=0.04
        ),
        origins=(
            Origin(origin="dataset", cases=2_000),
            Origin(origin="uniform", cases=10_500),
            Origin(origin="edge", cases=50),
        ),
        unobserved=(
            Unobserved(
                aspect="trap kind",
                nodes=("pywasm@2.2.3",),
                reason="the engine raises one error for most traps",
                nobody=False,
            ),
            Unobserved(
                aspect="unexported globals",
                nodes=tuple(e[0] for e in ENGINES),
                reason="no engine shows globals that the module does not export",
                nobody=True,
            ),
        ),
        findings=(),
        allowances=(),
        as_of="2027-01-04",
        accuracy="1,912 of 2,000 held-out rows right (95.60 %); the manifest asks for 0.95",
        evidence_sha256="e5" * 32,
        exit_code=0,
        run=run_block(),
    )


def finding_report(finding: Finding, allowed_by: str = "") -> FindingReport:
    """
    Wrap a finding with its file and its replay line.
    """
    file = f".weavegate/findings/{finding.id.removeprefix('finding:')}.json"
    return FindingReport(
        id=finding.id,
        finding=finding,
        file=file,
        replay=f"weavegate replay {file}",
        allowed_by=allowed_by,
    )


def value_finding() -> Finding:
    """
    Let pywasm stand alone by one ulp in one element of three.
    """
    right = Returned((), doubles(0.1, 0.2, 0.7))
    wrong = Returned((), words(0x3FB999999999999A, 0x3FC999999999999A, 0x3FE6666666666667))
    return Finding(
        property="replicates",
        kind=FindingClass.VALUE,
        blame=Blame("engine", ("pywasm@2.2.3",), "One of four families stands alone."),
        module_sha256=MODULE,
        call=MLP,
        budget=Budget(),
        level=Level.RESULT,
        policy="fresh",
        nan="exact",
        history=(doubles(0.0, 1.5, -2.0, *([0.0] * 13)),),
        observed=(seen(0, right), seen(1, right), seen(2, right), seen(3, wrong)),
        expected=doubles(0.1, 0.2, 0.7),
        count=3,
        shrunk=True,
        output_dtype="f64",
        input_dtype="f64",
    )


def nan_finding() -> Finding:
    """
    Three groups of NaN bits from one operator.
    """
    negative = Returned(("f64:fff8000000000000",), "bytes:")
    positive = Returned(("f64:7ff8000000000000",), "bytes:")
    payload = Returned(("f64:7ff8000000000bad",), "bytes:")
    return Finding(
        property="replicates",
        kind=FindingClass.NAN_BITS,
        blame=Blame("undecided", (), "Three ways to answer, none of them has a majority."),
        module_sha256=MODULE,
        call=BINARY,
        budget=Budget(),
        level=Level.RESULT,
        policy="fresh",
        nan="exact",
        history=(words(0, 0), words(0x3FF0000000000000, 0x7FF8000000000BAD)),
        observed=(seen(0, negative), seen(1, positive), seen(2, negative), seen(3, payload)),
        count=41,
    )


def crash_finding() -> Finding:
    """
    Tell of a worker that died of a signal, twice, on one case.
    """
    right = Returned((), doubles(0.1, 0.2, 0.7))
    return Finding(
        property="replicates",
        kind=FindingClass.BROKEN_WORKER,
        blame=Blame("engine", (ENGINES[1][0],), "Its worker died of SIGSEGV, twice."),
        module_sha256=MODULE,
        call=MLP,
        budget=Budget(),
        level=Level.RESULT,
        policy="fresh",
        nan="exact",
        history=(doubles(*([0.0] * 16)),),
        observed=(seen(0, right), seen(1, Crashed("SIGSEGV")), seen(2, right)),
        output_dtype="f64",
        input_dtype="f64",
    )


def kind_finding() -> Finding:
    """
    Let pywasm trap where three nodes return: the shipped allowance covers it.
    """
    right = Returned(("i64:ffffffffffffffff",), "bytes:")
    return msgspec.structs.replace(
        nan_finding(),
        kind=FindingClass.KIND,
        blame=Blame("engine", ("pywasm@2.2.3",), "One of four families stands alone."),
        call=msgspec.structs.replace(
            BINARY,
            entry="i64.div_u",
            arguments=(Slot(0, "i64"), Slot(1, "i64")),
            results=("i64",),
        ),
        history=(words(0xFFFFFFFFFFFFFFFF, 1),),
        observed=(
            seen(0, right),
            seen(1, right),
            seen(2, right),
            seen(3, Trapped("integer overflow")),
        ),
        count=2,
        expected=words(0xFFFFFFFFFFFFFFFF),
    )


def allowance(evidence: str) -> Allowance:
    """
    Build the allowance for the kind finding.
    """
    return Allowance(
        subject="*",
        nodes="pywasm@2.2.*",
        property="replicates",
        differs=Differs(kinds=(FindingClass.KIND,), entries=("i64.div_u",), bound="trap"),
        reason="pywasm divides unsigned 64-bit integers through a signed type",
        evidence=evidence,
        author="A. Reviewer",
        date="2026-12-01",
        expiry="2027-06-01",
    )


def _verdict(report: Report, verdict: PropertyVerdict) -> Report:
    rest = tuple(v for v in report.verdicts if v.property != verdict.property)
    return msgspec.structs.replace(report, verdicts=(verdict, *rest))


def value_red() -> Report:
    """
    One of four nodes gives another value.
    """
    verdict = PropertyVerdict(
        property="replicates",
        verdict="fails",
        sentence="pywasm@2.2.3 differs from three families that agree, on 3 of 550 cases.",
        strength=strengths({"pywasm": 3}),
    )
    report = _verdict(all_green(), verdict)
    item = finding_report(value_finding())
    first = FirstDifference(
        function=3, name="act", number=7, offset=1_234, operator="f64.ceil", hit=90, how="values",
        values=(("f64:8000000000000000",), ("f64:0000000000000000",)),
    )  # fmt: skip
    operator = FirstOperator(
        finding=item.id, nodes=("wasmtime@50.0.1/winch", "pywasm@2.2.3"), first=first
    )
    return msgspec.structs.replace(
        report,
        nodes=(*(node_report(place) for place in range(3)), node_report(3, differing=3)),
        findings=(item,),
        exit_code=1,
        run=msgspec.structs.replace(report.run, operators=(operator,)),
    )


def nan_red() -> Report:
    """
    NaN bits differ three ways, and nobody can be named.
    """
    verdict = PropertyVerdict(
        property="replicates",
        verdict="fails",
        sentence="NaN bits differ on 41 cases; the manifest does not say nan = free.",
        strength=strengths({"winch": 41, "pywasm": 41, "singlepass": 41, "cranelift": 41}),
    )
    return msgspec.structs.replace(
        _verdict(all_green(), verdict),
        nodes=tuple(node_report(place, differing=41) for place in range(4)),
        findings=(finding_report(nan_finding()),),
        accuracy="",
        exit_code=1,
    )


def broken_worker() -> Report:
    """
    One worker crashed, and another crash did not repeat.
    """
    verdict = PropertyVerdict(
        property="replicates",
        verdict="fails",
        sentence="wasmer@1.1.0/singlepass crashed on 1 case.",
        strength=strengths(),
    )
    return msgspec.structs.replace(
        _verdict(all_green(), verdict),
        nodes=(node_report(0), node_report(1, broken=1), node_report(2), node_report(3)),
        findings=(finding_report(crash_finding()),),
        run=msgspec.structs.replace(
            run_block(), unstable=("wasmtime@50.0.1/winch: SIGKILL on case 812, not repeated",)
        ),
        exit_code=1,
    )


def undecided() -> Report:
    """
    Two engines are missing: one family is no quorum.
    """
    verdict = PropertyVerdict(
        property="replicates",
        verdict="undecided",
        sentence="1 code-generator family took part, 2 are needed on every case.",
        strength=strengths()[:1],
    )
    absent = tuple(
        NodeReport(
            node=node(place),
            label=ENGINES[place][0],
            families=Families(ENGINES[place][3], ENGINES[place][4]),
            identity=None,
            role="not asked",
            reason="not installed: run `weavegate engines get " + ENGINES[place][0] + "`",
        )
        for place in (1, 3)
    )
    run = run_block()
    return msgspec.structs.replace(
        _verdict(all_green(), verdict),
        nodes=(node_report(0), *absent),
        run=msgspec.structs.replace(run, engines=run.engines[:1]),
        exit_code=3,
    )


def allowed() -> Report:
    """
    Cover a known defect by an allowance: pass, and named.
    """
    item = finding_report(kind_finding(), allowed_by=allowance("").reason)
    return msgspec.structs.replace(
        all_green(),
        nodes=(*(node_report(place) for place in range(3)), node_report(3, differing=2)),
        findings=(item,),
        allowances=(AllowanceReport(allowance=allowance(item.id), state="used"),),
    )


def stale() -> Report:
    """
    Show that the defect is gone but its allowance still stands, and another one has expired.
    """
    old = allowance("finding:0123456789abcdef")
    expired = msgspec.structs.replace(old, nodes="wasm3@*", expiry="2026-12-31")
    return msgspec.structs.replace(
        all_green(),
        allowances=(
            AllowanceReport(allowance=old, state="stale"),
            AllowanceReport(allowance=expired, state="expired"),
        ),
        exit_code=1,
    )


HOSTILE: Final = "<script>alert(1)</script>\x1b[31m\x00\u202e&\"'" + "n" * 10_000


def hostile() -> Report:
    """
    Every text that a module or a machine can choose is an attack on the page.
    """
    report = value_red()
    item = report.findings[0]
    blame = msgspec.structs.replace(item.finding.blame, reason=HOSTILE)
    finding = msgspec.structs.replace(item.finding, blame=blame)
    return msgspec.structs.replace(
        report,
        subject=msgspec.structs.replace(
            report.subject,
            name=HOSTILE,
            path=HOSTILE,
            imports=(HOSTILE,),
            exports=(HOSTILE,),
            proposals=(HOSTILE,),
        ),
        verdicts=tuple(msgspec.structs.replace(v, sentence=HOSTILE) for v in report.verdicts),
        findings=(msgspec.structs.replace(item, finding=finding, file=HOSTILE, replay=HOSTILE),),
        unobserved=(Unobserved(aspect=HOSTILE, nodes=(HOSTILE,), reason=HOSTILE, nobody=True),),
        accuracy=HOSTILE,
        run=msgspec.structs.replace(report.run, command=HOSTILE, host=HOSTILE, unstable=(HOSTILE,)),
    )


SAMPLES: Final = {
    "all_green": all_green,
    "value_red": value_red,
    "nan_red": nan_red,
    "broken_worker": broken_worker,
    "undecided": undecided,
    "allowed": allowed,
    "stale": stale,
}
"""Name -> builder of the reports that have golden files."""
