"""
Bounds of modules that call their host: what the contract gives, and every way to lie about it.
"""

from __future__ import annotations

import hashlib

import pytest
from calls_in_process import InProcess
from certificates_by_hand import assembled
from hosted_modules import (
    ALLOCATES,
    COUNTED,
    FUEL,
    LOGGED,
    REGION,
    VM,
    certified,
    contract_of,
    part,
    proved,
)
from msgspec.structs import replace

from conformance.bounds.certificate import Certificate
from conformance.bounds.check.confirm import confirm
from conformance.bounds.contract import parse_contract, read_contract
from conformance.manifest.errors import BadManifestError
from vectors.contracts import shipped_contracts

FLAT = "least = 100\nmost = 300"
UP_TO_NINE = 'writes = "nothing"\nresults = [{ high = 9 }]'


def refused(certificate: Certificate, text: str) -> list[str]:
    return [r.reason for r in confirm(certificate, assembled(text), InProcess()).refusals]


def counted_fuel(times: int) -> int:
    """
    By the fuel table: entry, call, local.set; two tests more than repetitions, five others each.
    """
    return 1 + 2 + times * (3 + 4 + 1) + 3


def test_a_loop_that_the_host_counts_is_bounded_by_the_contract() -> None:
    report = proved(COUNTED, contract_of("env.count", FLAT, UP_TO_NINE))
    assert part(report, FUEL).lo == counted_fuel(0)
    assert part(report, FUEL).hi == counted_fuel(9)
    measured = {answer.model: set(answer.measured) for answer in report.gas}
    assert {counted_fuel(0), counted_fuel(9)} <= measured[FUEL]
    assert (part(report, f"host:{FUEL}").lo, part(report, f"host:{FUEL}").hi) == (100, 300)
    assert report.whole_gas(FUEL) == counted_fuel(9) + 300
    (assumption,) = report.assumptions
    assert assumption.startswith("the host keeps the contract test@1, SHA-256 ")


def test_runs_that_suggest_candidates_have_a_host_too() -> None:
    report = proved(COUNTED, contract_of("env.count", FLAT, UP_TO_NINE), guided=True)
    assert part(report, FUEL).hi == counted_fuel(9)


def test_without_a_contract_the_import_is_named_and_nothing_is_told() -> None:
    other = contract_of("env.other", FLAT)
    for contract in (None, other):
        report = proved(COUNTED, contract)
        assert [answer.bound for answer in report.gas] == [None]
        (obstacle,) = report.obstacles
        assert obstacle.reason == "missing contract"
        assert "env.count" in obstacle.sentence


def test_a_model_without_a_price_leaves_the_host_part_unknown_never_0() -> None:
    text = contract_of("env.count", FLAT, UP_TO_NINE).text.text
    report = proved(COUNTED, parse_contract(text.replace('"cosmwasm-vm@*"', '"near@*"')),
                    models=(FUEL, VM))  # fmt: skip
    assert part(report, VM).hi > 0
    (host,) = [answer for answer in report.gas if answer.model == f"host:{VM}"]
    assert host.bound is None
    assert report.whole_gas(VM) is None
    assert report.whole_gas(FUEL) == counted_fuel(9) + 300
    assert [o.reason for o in report.obstacles] == ["missing contract"]


def test_without_the_range_of_its_result_the_loop_is_long() -> None:
    report = proved(COUNTED, contract_of("env.count", FLAT))
    assert report.certificate is None or part(report, FUEL).hi >= counted_fuel((1 << 32) - 1)


@pytest.mark.parametrize(
    ("gas", "rest"),
    [
        ('most = 1\nlengths = [{ of = "argument 5", per = 1 }]', UP_TO_NINE),
        (FLAT, 'writes = [{ at = "argument 2", bytes = 4 }]'),
        (FLAT, 'writes = "nothing"\nresults = [{}, { high = 3 }]'),
        (FLAT, 'writes = "nothing"\nresults = [{ type = "i64", high = 3 }]'),
    ],
)
def test_a_contract_that_does_not_fit_the_import_is_refused(gas: str, rest: str) -> None:
    report = proved(COUNTED, contract_of("env.count", gas, rest))
    assert report.certificate is None
    (obstacle,) = report.obstacles
    assert "the contract does not fit an import" in obstacle.sentence


BY_LENGTH = 'least = 7\nmost = 7\nlengths = [{ of = "argument 1", per = 3 }]'


def test_gas_by_length_follows_the_argument() -> None:
    report = proved(LOGGED, contract_of("env.log", BY_LENGTH), [(2, 100)])
    found = part(report, f"host:{FUEL}")
    assert (found.lo, found.hi) == (7 + 2 * 3, 7 + 100 * 3)
    (host,) = [answer for answer in report.gas if answer.model == f"host:{FUEL}"]
    assert max(host.measured) == 7 + 100 * 3


def test_a_length_without_limits_is_unknown() -> None:
    report = proved(LOGGED, contract_of("env.log", BY_LENGTH), [(0, (1 << 32) - 1)])
    assert report.certificate is None
    assert any("no limit" in obstacle.sentence for obstacle in report.obstacles)
    limited = BY_LENGTH.replace("per = 3", "per = 3, most = 50")
    report = proved(LOGGED, contract_of("env.log", limited), [(0, (1 << 32) - 1)])
    assert part(report, f"host:{FUEL}").hi == 7 + 50 * 3


def test_a_claimed_length_must_follow_from_the_arguments() -> None:
    certificate = certified(proved(LOGGED, contract_of("env.log", BY_LENGTH), [(2, 100)]))
    assert refused(certificate, LOGGED) == []
    (summary,) = certificate.summaries
    (amount,) = summary.host_amounts
    for altered in (replace(amount, most=99), replace(amount, least=3)):
        false = replace(summary, host_amounts=(altered,))
        assert "obligation" in refused(replace(certificate, summaries=(false,)), LOGGED)
    none = replace(summary, host_amounts=())
    assert "form" in refused(replace(certificate, summaries=(none,)), LOGGED)


def test_a_word_of_memory_is_a_length_too() -> None:
    word = 'most = 7\nlengths = [{ of = "word at argument 0 + 8", per = 3, most = 20 }]'
    report = proved(REGION, contract_of("env.log", word))
    found = part(report, f"host:{FUEL}")
    assert found.hi == 7 + 20 * 3
    (host,) = [answer for answer in report.gas if answer.model == f"host:{FUEL}"]
    assert max(host.measured) == 7 + 5 * 3


def test_prices_of_the_gas_model_itself() -> None:
    shipped = read_contract(shipped_contracts()["cosmwasm-env"])
    module = REGION.replace('"log"', '"db_remove"')
    for version, high in (("3.0.4", 18_000 + 200_000 + 115 * 65_536), ("2.1.0", 0)):
        report = proved(module, shipped, models=(f"cosmwasm-vm@{version}",))
        assert part(report, f"host:cosmwasm-vm@{version}").hi == high
    report = proved(module.replace('"db_remove"', '"query_chain"'), shipped, models=(VM,))
    assert [obstacle.reason for obstacle in report.obstacles] == ["missing contract"]
    debug = parse_contract(
        'schema = 1\nid = "vm@1"\n[[import]]\nname = "env.debug"\nwrites = "nothing"\n'
        '[[import.gas]]\nmodels = ["cosmwasm-vm@*"]\nby_model = true\n'
    )
    report = proved(module.replace('"db_remove"', '"debug"'), debug, models=(VM,))
    # Its price depends on a setting of the node, so the model has none.
    assert [a.bound for a in report.gas if a.model.startswith("host:")] == [None]


REENTERS = 'writes = "nothing"\nre_enters = [{ export = "allocate", times = 2 }]'


def test_what_a_host_calls_is_paid_for() -> None:
    plain = proved(ALLOCATES, contract_of("env.read", FLAT))
    report = proved(ALLOCATES, contract_of("env.read", FLAT, REENTERS))
    # Entry, two global.get, const, add, global.set: 6 units of fuel.
    assert part(report, FUEL).hi == part(plain, FUEL).hi + 2 * 6
    assert part(report, FUEL).lo == part(plain, FUEL).lo
    (answer,) = [answer for answer in report.gas if answer.model == FUEL]
    assert max(answer.measured) == part(report, FUEL).hi
    assert certified(report).stack.depth == certified(plain).stack.depth + 1


def test_a_re_entry_that_is_kept_quiet_is_refused() -> None:
    certificate = certified(proved(ALLOCATES, contract_of("env.read", FLAT, REENTERS)))
    (host,) = certificate.hosts
    quiet = replace(certificate, hosts=(replace(host, reenters=()),))
    assert refused(quiet, ALLOCATES) == ["claim"]
    cheaper = tuple(replace(b, hi=b.hi - 1, any_hi=b.any_hi - 1) for b in certificate.bounds)
    assert "claim" in refused(replace(certificate, bounds=cheaper), ALLOCATES)


def test_a_host_that_calls_what_waits_for_it_is_not_modelled() -> None:
    again = 'writes = "nothing"\nre_enters = [{ export = "infer" }]'
    report = proved(ALLOCATES, contract_of("env.read", FLAT, again))
    assert report.certificate is None
    assert any("waiting for it" in obstacle.sentence for obstacle in report.obstacles)


def test_a_host_that_grows_memory_is_in_the_pages() -> None:
    grows = 'writes = "nothing"\ngrows_pages = 3'
    report = proved(ALLOCATES, contract_of("env.read", FLAT, grows))
    assert report.pages == 1 + 3
    assert refused(replace(certified(report), pages=3), ALLOCATES)
    limited = proved(ALLOCATES, contract_of("env.read", FLAT, grows), pages=2)
    assert limited.pages == 2


CONSTANTS = """(module (import "env" "fill" (func (param i32))) (memory (export "memory") 1)
  (data (i32.const 64) "\\03\\00\\00\\00")
  (func (export "infer") (local i32)
    (call 0 (i32.const {at}))
    (local.set 0 (i32.load (i32.const 64)))
    (block (loop
      (br_if 1 (i32.eqz (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br 0)))))"""


def test_constants_survive_only_a_host_that_spares_them() -> None:
    spares = 'writes = [{ at = "argument 0", bytes = 4 }]'
    report = proved(CONSTANTS.format(at=128), contract_of("env.fill", FLAT, spares))
    assert part(report, FUEL).hi < 100
    report = proved(CONSTANTS.format(at=64), contract_of("env.fill", FLAT, spares))
    assert report.certificate is None or part(report, FUEL).hi > 1 << 32
    report = proved(CONSTANTS.format(at=128), contract_of("env.fill", FLAT, 'writes = "anything"'))
    assert report.certificate is None or part(report, FUEL).hi > 1 << 32


def test_a_contract_that_was_altered_is_refused() -> None:
    certificate = certified(proved(COUNTED, contract_of("env.count", FLAT, UP_TO_NINE)))
    given = certificate.contract
    assert given is not None
    other = given.text.replace("high = 9", "high = 8")
    assert refused(replace(certificate, contract=replace(given, text=other)), COUNTED) == ["claim"]
    digest = hashlib.sha256(other.encode()).hexdigest()
    lied = replace(certificate, contract=replace(given, text=other, sha256=digest))
    assert refused(lied, COUNTED) == ["claim"]
    nonsense = replace(given, text="schema = 1", sha256=hashlib.sha256(b"schema = 1").hexdigest())
    assert refused(replace(certificate, contract=nonsense), COUNTED) == ["form"]
    assert refused(replace(certificate, contract=replace(given, id="other@1")), COUNTED) == [
        "claim"
    ]
    assert "claim" in refused(replace(certificate, assumptions=()), COUNTED)


def test_a_host_record_that_promises_more_than_its_contract_is_refused() -> None:
    certificate = certified(proved(COUNTED, contract_of("env.count", FLAT, UP_TO_NINE)))
    (host,) = certificate.hosts
    (cost,) = host.costs
    for altered in (
        replace(host, ensures=("(ule (result 0) (i32 1))",)),
        replace(host, costs=(replace(cost, hi=100),)),
        replace(host, costs=(replace(cost, lo=200),)),
        replace(host, writes=None),
        replace(host, traps=False),
    ):
        assert refused(replace(certificate, hosts=(altered,)), COUNTED) == ["claim"], altered
    assert refused(replace(certificate, hosts=()), COUNTED) == ["not-modelled"]


def test_a_false_range_shows_in_the_runs_too() -> None:
    """
    The proof believes the record of the host; a host that breaks it is seen by the replay.
    """
    certificate = certified(proved(COUNTED, contract_of("env.count", FLAT, UP_TO_NINE)))
    (host,) = certificate.hosts
    wider = replace(host, ensures=("(ule (result 0) (i32 10))",))
    lied = replace(certificate, hosts=(wider,), contract=None,
                   assumptions=("host env.count keeps its contract",))  # fmt: skip
    found = confirm(lied, assembled(COUNTED), InProcess(), always_run=True)
    assert {"obligation", "replay"} <= {refusal.reason for refusal in found.refusals}


HEAD = 'schema = 1\nid = "a"\n[[import]]\nname = "e.f"\n'
QUIET = HEAD + 'writes = "nothing"\n'
GAS = QUIET + '[[import.gas]]\nmodels = ["m"]\n'


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (QUIET + "traps = true", 6, "may_trap"),
        (QUIET.replace("e.f", "f"), 4, "module.name"),
        (QUIET.replace('"a"', '"A b"'), 2, "letters"),
        (HEAD + 'writes = "some"', 5, "nothing"),
        (HEAD, 3, "writes"),
        ('schema = 1\nid = "a"\n', None, "[[import]]"),
        (QUIET + "results = [{ low = 9, high = 3 }]", 6, "high"),
        (GAS + 'most = 3\nlengths = [{ of = "arg 1", per = 1 }]', 9, "argument 1"),
        (GAS + "by_model = true\nmost = 3", 9, "by_model"),
        (GAS + "least = 4\nmost = 3", 8, "least"),
    ],
)
def test_what_is_wrong_with_a_contract_is_told_with_its_line(
    text: str, line: int | None, word: str
) -> None:
    with pytest.raises(BadManifestError) as caught:
        parse_contract(text, "host.toml")
    assert caught.value.line == line
    assert word in str(caught.value)
