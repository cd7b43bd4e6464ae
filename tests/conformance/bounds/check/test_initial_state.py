"""
Bounds of modules that initialise before their entry is called: by a start function, or by exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from calls_in_process import InProcess, InProcessRun
from certificates_by_hand import assembled
from hosted_modules import FUEL, contract_of
from msgspec.structs import replace

from conformance.bounds.bound import BoundReport, bound
from conformance.bounds.certificate import Certificate, Input
from conformance.bounds.check.confirm import confirm
from conformance.bounds.check.semantics.initial import initialised, snapshot
from conformance.bounds.precondition import state_bare
from conformance.gas.load import gas_model
from runners.hosts.host import HostMaker

SETUP = """(module (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 1000000))
  (data (i32.const 200) "\\ff")
  (func $setup (export "setup")
    (i32.store (i32.const 64) (i32.const {times}))
    (global.set $count (i32.const 5)))
  (func (export "infer") (local i32)
    (local.set 0 ({source}))
    (block (loop
      (br_if 1 (i32.eqz (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br 0)))) {start})"""
GLOBAL, MEMORY = "global.get $count", "i32.load (i32.const 64)"
START = "(start $setup)"


def text(source: str, *, start: bool = False, times: int = 5) -> str:
    return SETUP.format(source=source, start=START if start else "", times=times)


def fuel(times: int, *, loads: bool) -> int:
    """
    By the fuel table: 1 for the call, 2 or 3 to begin, 8 each time round, 3 for the last test.
    """
    return 1 + (3 if loads else 2) + 8 * times + 3


def proved(wat: str, initialize: Sequence[str] = ()) -> BoundReport:
    module = assembled(wat)
    stated = state_bare(module, "infer")
    given = replace(stated.precondition, initialize=tuple(initialize))
    models = [gas_model(FUEL)]
    return bound(module, given, stated.inputs, models, InProcess(), guided=False)


def most(report: BoundReport) -> int:
    """
    The greatest gas, which the one call that there is costs.
    """
    (answer,) = report.gas
    assert answer.bound is not None, report.obstacles
    assert answer.measured == (answer.bound.hi,)
    return answer.bound.hi


@pytest.mark.parametrize("source", [GLOBAL, MEMORY])
@pytest.mark.parametrize("start", [False, True])
def test_the_entry_starts_from_what_was_initialised(source: str, *, start: bool) -> None:
    report = proved(text(source, start=start), () if start else ("setup",))
    assert most(report) == fuel(5, loads=source == MEMORY)


def test_without_the_initialisation_the_entry_starts_from_the_segments() -> None:
    assert most(proved(text(MEMORY))) == fuel(0, loads=True)


def certificate_of(report: BoundReport) -> Certificate:
    assert report.certificate is not None
    return report.certificate


def test_a_certificate_that_forgets_the_initialisation_is_refused() -> None:
    wat = text(GLOBAL).replace("1000000", "3")
    module = assembled(wat)
    for initialize, other in ((("setup",), ()), ((), ("setup",))):
        certificate = certificate_of(proved(wat, initialize))
        assert confirm(certificate, module, InProcess()).confirmed
        given = replace(certificate.precondition, initialize=other)
        false = replace(certificate, precondition=given)
        assert confirm(false, module, InProcess()).refusals


class Forgetful(InProcess):
    """
    An engine that never calls the initialisers.
    """

    @contextmanager
    def __call__(
        self, binary: bytes, entry: str, given: Input, watched: Sequence[str],
        host: HostMaker | None = None, initialize: Sequence[str] = (),
    ) -> Iterator[InProcessRun]:  # fmt: skip
        del initialize
        with super().__call__(binary, entry, given, watched, host) as run:
            yield run


def test_an_engine_that_initialises_otherwise_is_seen() -> None:
    wat = text(MEMORY)
    certificate = certificate_of(proved(wat, ("setup",)))
    found = confirm(certificate, assembled(wat), Forgetful())
    sentences = [refusal.sentence for refusal in found.refusals]
    assert any("does not end as from the initial state" in sentence for sentence in sentences)


def test_the_snapshot_is_the_initialised_module() -> None:
    module = assembled(text(MEMORY, start=True))
    found = initialised(module, ())
    assert found.memory[64:68] == bytes([5, 0, 0, 0])
    assert found.memory[200] == 0xFF
    assert found.globals == (5,)
    made = snapshot(module, found)
    assert made.start is None
    assert initialised(made, ()) == found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("(drop (memory.grow (i32.const 1)))", "memory.grow while a module initialises"),
        ("(call $host)", "a host that is called"),
        ("(unreachable)", "an initialisation that traps"),
        ("(loop (br 0))", "an initialisation that long"),
        ("(f64.store (i32.const 0) (f64.div (f64.const 0) (f64.const 0)))", "f64.div while"),
    ],
)
def test_what_has_no_one_outcome_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setattr("conformance.bounds.check.semantics.initial.MOST_EXECUTED", 10_000)
    wat = f"""(module (import "env" "host" (func $host)) (memory (export "memory") 1)
      (func (export "setup") {body}) (func (export "infer")))"""
    report = proved(wat, ("setup",))
    assert report.certificate is None
    (obstacle,) = report.obstacles
    assert obstacle.reason == "not modelled"
    assert words in obstacle.sentence
    assert [answer.kind for answer in report.gas] == ["unknown"]


def test_an_initialiser_that_is_none_is_refused() -> None:
    (obstacle,) = proved(text(MEMORY), ("nothing",)).obstacles
    assert "no function without parameters" in obstacle.sentence


def test_initialisation_and_a_host_go_together() -> None:
    wat = text(GLOBAL).replace("(module ", '(module (import "env" "host" (func $host)) ')
    wat = wat.replace("(local.set 0 (global", "(call $host) (local.set 0 (global")
    module = assembled(wat)
    stated = state_bare(module, "infer")
    given = replace(stated.precondition, initialize=("setup",))
    report = bound(
        module, given, stated.inputs, [gas_model(FUEL)], InProcess(), guided=False,
        contract=contract_of("env.host", "most = 9"),
    )  # fmt: skip
    assert report.whole_gas(FUEL) == fuel(5, loads=False) + 1 + 9
