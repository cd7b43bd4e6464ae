"""
Certificates and modules that are made to hurt: a refusal or a verdict, never anything else.
"""

from __future__ import annotations

import random

import pytest
from certificates_by_hand import ENTRY, FUEL, Function, assembled, certify
from msgspec.structs import replace

from conformance.bounds.certificate import (
    BadCertificateError,
    Bytes,
    Certificate,
    Cut,
    Input,
    Stack,
    read_certificate,
    write_certificate,
)
from conformance.bounds.check.judge import judge
from conformance.bounds.check.semantics import memory
from conformance.bounds.host_records import HostContract
from conformance.wasm.decode import decode, validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import Labels, MemArg
from conformance.wasm.module import Module

EMPTY = assembled('(module (memory 1) (func (export "infer") (param i32)))')


def with_body(parts: list[bytes]) -> Module:
    rewrite = Rewrite(decode(EMPTY.binary))
    rewrite.replace_body(0, parts)
    return validated(rewrite.binary())


def plain(module: Module) -> Certificate:
    return certify(module, [Function(0)], arguments=[(0, 10)], models=(FUEL,),
                   inputs=(Input((0,)),))  # fmt: skip


def reasons(certificate: Certificate, module: Module) -> list[str]:
    return [refusal.reason for refusal in judge(certificate, module).refusals]


def test_a_deep_nest_of_blocks() -> None:
    count = 20_000
    module = with_body([op("block", "empty") * count, op("end") * count, END])
    assert reasons(plain(module), module) == []


def test_nested_loops_beyond_the_limit_are_refused_by_name() -> None:
    count = 400
    module = with_body([op("loop", "empty") * count, op("end") * count, END])
    certificate = replace(plain(EMPTY), module=module.sha256)
    assert reasons(certificate, module) == ["not-modelled"]


def test_a_long_table_of_branches() -> None:
    long = Labels((0,) * 100_000 + (1,) * 100_000, 0)
    body = [op("block", "empty"), op("block", "empty"), op("local.get", 0)]
    module = with_body([*body, op("br_table", long), op("end"), op("end"), END])
    assert reasons(plain(module), module) == []
    mixed = Labels((0, 1) * 10_000, 0)
    module = with_body([*body, op("br_table", mixed), op("end"), op("end"), END])
    assert reasons(plain(module), module) == ["not-modelled"]


def test_long_chains_of_branches() -> None:
    one = op("block", "empty") + op("local.get", 0) + op("br_if", 0)
    one += op("i32.const", 1) + op("local.set", 0) + op("end")
    module = with_body([one * 2_000, END])
    assert reasons(plain(module), module) == []


def test_a_long_history_of_memory_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_READ", 1_000)
    store = op("local.get", 0) + op("i32.load", MemArg(2, 0)) + op("local.tee", 0)
    store += op("local.get", 0) + op("i32.store8", MemArg(0, 0))
    module = with_body([store * 60, END])
    certificate = plain(module)
    assert reasons(certificate, module) == []
    followed = replace(certificate.summaries[0], memory=True)
    assert reasons(replace(certificate, summaries=(followed,)), module) == ["not-modelled"]


@pytest.mark.parametrize(
    "text",
    [
        "(func (drop (v128.const i32x4 0 0 0 0)))",
        "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))",
        "(func $s) (start $s)",
        "(func (local v128))",
    ],
)
def test_what_is_not_modelled_is_refused_by_name(text: str) -> None:
    module = assembled(f'(module (memory 1) {text} (func (export "infer") (call 0)))')
    certificate = replace(plain(EMPTY), module=module.sha256)
    verdict = judge(certificate, module)
    assert verdict.refusals
    assert {r.reason for r in verdict.refusals} <= {"not-modelled", "form"}


def test_an_import_without_a_contract_is_refused_by_name() -> None:
    module = assembled('(module (import "env" "f" (func)) (func (export "infer") (call 0)))')
    assert reasons(replace(plain(EMPTY), module=module.sha256), module) == ["form"]
    empty = plain(EMPTY)
    summary = replace(empty.summaries[0], function=1)
    given = replace(empty.precondition, arguments=())
    certificate = replace(empty, module=module.sha256, summaries=(summary,), precondition=given)
    assert reasons(certificate, module) == ["not-modelled"]


def test_a_host_that_writes_anywhere_and_constants_do_not_go_together() -> None:
    module = assembled(
        '(module (import "env" "f" (func)) (memory 1) (func (export "infer") (param i32)))'
    )
    certificate = certify(module, [Function(1)], arguments=[(0, 1)], models=(FUEL,))
    host = HostContract("env.f", ())
    stated = replace(certificate, hosts=(host,), assumptions=("host env.f keeps its contract",))
    assert reasons(stated, module) == []
    assert reasons(replace(stated, assumptions=()), module) == ["claim"]
    called = assembled("""(module (import "env" "f" (func)) (memory 1)
        (func (export "infer") (param i32) (call 0)))""")
    other = replace(stated, module=called.sha256, regions=(Bytes(0, 4),))
    assert reasons(other, called) == ["form"]


def test_numbers_beyond_all_bounds() -> None:
    true = plain(EMPTY)
    huge = 1 << 80
    for altered in (
        replace(true, pages=huge),
        replace(true, regions=(Bytes(0, huge),)),
        replace(true, regions=(Bytes(9, 3),)),
        replace(true, stack=Stack(1, 1, huge, 0)),
        replace(true, summaries=(replace(true.summaries[0], function=huge),)),
        replace(true, summaries=(replace(true.summaries[0], cuts=(Cut(huge),)),)),
        replace(true, summaries=()),
        replace(true, summaries=true.summaries * 2),
        replace(true, models=("wasmtime-fuel@0.0.0",)),
        replace(true, entry="nobody"),
        replace(true, bounds=()),
    ):
        assert reasons(altered, EMPTY), altered
    deep = "(no " * 200 + "(all)" + ")" * 200
    summary = true.summaries[0]
    for text in (deep, "(ule (param 0)", "(param 0)", "", "(ule (param 0) (i64 3))", "(all) (all)"):
        altered = replace(true, summaries=(replace(summary, cuts=(Cut(ENTRY, (text,)),)),))
        assert reasons(altered, EMPTY) == ["form"], text


def test_bytes_that_are_no_certificate() -> None:
    whole = write_certificate(plain(EMPTY))
    assert read_certificate(whole) == plain(EMPTY)
    rng = random.Random(4)  # noqa: S311 - a sample, not a secret
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            altered = read_certificate(bytes(data))
        except BadCertificateError:
            continue
        verdict = judge(altered, EMPTY)
        assert verdict.confirmed or verdict.refusals
    with pytest.raises(BadCertificateError):
        read_certificate(b"[" * 100_000)
