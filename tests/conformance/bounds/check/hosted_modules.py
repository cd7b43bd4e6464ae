"""
Small modules that call their host, and proofs of them under a contract, checked in this process.
"""

from __future__ import annotations

from collections.abc import Sequence

from calls_in_process import InProcess
from certificates_by_hand import assembled

from conformance.bounds.bound import BoundReport, bound
from conformance.bounds.certificate import Bound, Certificate, Range
from conformance.bounds.contract import Contract, parse_contract
from conformance.bounds.precondition import state_bare
from conformance.gas.load import gas_model

FUEL = "wasmtime-fuel@50.0.1"
VM = "cosmwasm-vm@3.0.9"

COUNTED = """(module (import "env" "count" (func (result i32)))
  (func (export "infer") (local i32)
    (local.set 0 (call 0))
    (block (loop
      (br_if 1 (i32.eqz (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br 0)))))"""
"""Its host says how often a loop repeats."""

LOGGED = """(module (import "env" "log" (func (param i32 i32))) (memory (export "memory") 1)
  (func (export "infer") (param i32) (call 0 (i32.const 64) (local.get 0))))"""
"""Passes an address and a length."""

REGION = """(module (import "env" "log" (func (param i32))) (memory (export "memory") 1)
  (data (i32.const 72) "\\05\\00\\00\\00")
  (func (export "infer") (call 0 (i32.const 64))))"""
"""Passes the address of a region, whose length, 5, stands 8 bytes further on."""

ALLOCATES = """(module (import "env" "read" (func (result i32))) (memory (export "memory") 1 8)
  (global $top (mut i32) (i32.const 1024))
  (func (export "allocate") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 16))))
  (func (export "infer") (result i32) (call 0)))"""
"""Its host calls `allocate`."""


def contract_of(name: str, gas: str, rest: str = 'writes = "nothing"') -> Contract:
    """
    A contract of one import; *gas* is what stands below each model.
    """
    return parse_contract(
        f'schema = 1\nid = "test@1"\n[[import]]\nname = "{name}"\n{rest}\n'
        f'[[import.gas]]\nmodels = ["wasmtime-fuel@*", "cosmwasm-vm@*"]\n{gas}\n'
    )


def proved(
    text: str, contract: Contract | None, arguments: Sequence[tuple[int, int]] = (),
    models: Sequence[str] = (FUEL,), pages: int = 8, *, guided: bool = False,
) -> BoundReport:  # fmt: skip
    """
    The bound of `infer`.
    """
    module = assembled(text)
    ranges = tuple(Range(low, high) for low, high in arguments)
    stated = state_bare(module, "infer", ranges, pages, contract)
    return bound(
        module, stated.precondition, stated.inputs, [gas_model(name) for name in models],
        InProcess(), contract=contract, guided=guided,
    )  # fmt: skip


def certified(report: BoundReport) -> Certificate:
    """
    Its certificate.
    """
    assert report.certificate is not None, report.obstacles
    return report.certificate


def part(report: BoundReport, model: str) -> Bound:
    """
    What was proved under one meter.
    """
    (found,) = [answer.bound for answer in report.gas if answer.model == model]
    assert found is not None
    return found
