"""
The shape of a call of a contract: what the VM does around the entry, and bills for it at most.

The VM calls `allocate` for each argument, writes it, calls the entry, reads the answer, and calls
`deallocate` for it. Source: CosmWasm/cosmwasm:packages/vm/src/calls.rs (call_raw) at v2.2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from conformance.admission.chains import Chain
from conformance.admission.fitting import (
    ALLOCATE,
    DEALLOCATE,
    READ,
    WRITE,
    Fit,
    Loading,
    ProvedCall,
    SdkGas,
    VmTerm,
    fits,
    sdk_gas,
)
from conformance.bounds.bound import BoundReport
from conformance.bounds.certificate import Range
from conformance.bounds.precondition import Stated
from conformance.gas.load import HOST_PART, gas_model
from conformance.gas.records import GasModel
from conformance.wasm.module import Module

ENTRIES: Final = {
    "instantiate": ("env", "info", "message"),
    "execute": ("env", "info", "message"),
    "query": ("env", "message"),
    "migrate": ("env", "message"),
    "sudo": ("env", "message"),
    "reply": ("env", "message"),
}
"""Entries of a contract, and what the VM passes to them, each in a region of its own."""
_ANY: Final = (1 << 32) - 1
_CONTRACT_PAGES: Final = 512
"""What wasmd grants a contract where the chain file gives no limit of its own."""
_MARK: Final = "interface_version_"
Prove = Callable[[str, Range], BoundReport]
"""Export, range of its only argument -> bound of such a call on an instance in any state."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    Most bytes of what is moved; None: nobody said.
    """

    message: int = 0
    context: int | None = None
    """Of env and info, each."""
    answer: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What the VM bills around the entry.
    """

    contract: bool
    """Whether the entry is one of a contract; otherwise it is called bare."""
    terms: tuple[VmTerm, ...]
    reports: dict[str, BoundReport]
    """Of `allocate` and `deallocate`."""


def is_contract(module: Module, entry: str) -> bool:
    """
    Whether *entry* is one that the VM calls, of a module that says it is a contract.
    """
    names = {export.name for export in module.exports if export.kind == "function"}
    return entry in ENTRIES and {"allocate", "deallocate"} <= names and any(
        name.startswith(_MARK) for name in names
    )  # fmt: skip


def shape(module: Module, entry: str, model: GasModel, sizes: Sizes, prove: Prove) -> Shape:
    """
    The terms around *entry* under the chain's *model*; *prove* bounds `allocate` and `deallocate`.
    """
    if not is_contract(module, entry):
        if not sizes.message:
            return Shape(False, (), {})
        why = f"{entry} is no entry of a contract with allocate, so no message can be passed to it"
        return Shape(False, (VmTerm(WRITE, None, why),), {})
    regions = [sizes.message if what == "message" else sizes.context for what in ENTRIES[entry]]
    most = max((size for size in regions if size is not None), default=0)
    allocated = prove("allocate", Range(0, _ANY if None in regions else most))
    freed = prove("deallocate", Range(0, _ANY))
    terms = (
        _called(ALLOCATE, allocated, model, len(regions)),
        _written(model, regions),
        _read(model, sizes.answer),
        _called(DEALLOCATE, freed, model, 1),
    )
    return Shape(True, terms, {"allocate": allocated, "deallocate": freed})


def called_by_vm(stated: Stated, chain: Chain) -> Stated:
    """
    The calls of a contract's entry: `allocate` has run on the instance before, so its memory and
    globals may hold anything, and memory any number of pages that the chain grants.
    """
    pages = chain.limits.memory_pages.value or _CONTRACT_PAGES
    given = msgspec.structs.replace(stated.precondition, fresh=False, most_pages=pages)
    return replace(stated, precondition=given)


def fitting(
    chain: Chain, report: BoundReport, around: Shape | None, module_bytes: int,
    message_bytes: int, loading: Loading, most: int | None,
) -> tuple[tuple[Fit, ...], SdkGas]:  # fmt: skip
    """
    The whole call against a chain's limits, and against *most* SDK gas if that is asked.
    """
    own = None if chain.gas_model.value is None else gas_model(chain.gas_model.value).id
    bounds = [a.bound for a in report.gas if a.model == own and a.bound is not None]
    host: int | None = 0
    for answer in report.gas:
        # A call that can reach no import has no such answer.
        if own is not None and answer.model == HOST_PART + own:
            host = None if answer.bound is None else answer.bound.any_hi
    call = ProvedCall(
        vm_gas=bounds[0].any_hi if bounds else None,
        host_gas=host if bounds else None,
        pages=report.pages,
        module_bytes=module_bytes,
        message_bytes=message_bytes,
        loading=loading,
        moving=() if around is None else around.terms,
    )
    return fits(call, chain, most), sdk_gas(call, chain)


def _called(name: str, report: BoundReport, model: GasModel, times: int) -> VmTerm:
    gas = report.whole_gas(model.id)
    if gas is None:
        why = report.obstacles[0].sentence if report.obstacles else "it has no bound"
        return VmTerm(name, None, why)
    calls = f"{times} calls, each" if times > 1 else "one call,"
    return VmTerm(name, times * gas, f"{calls} at most {gas:,}")


def _written(model: GasModel, regions: list[int | None]) -> VmTerm:
    price = None if model.host is None else model.host.write
    if price is None:
        return VmTerm(WRITE, None, f"{model.id} has no price of writing a region")
    known = [size for size in regions if size is not None]
    if len(known) < len(regions) and price.per_unit:
        return VmTerm(WRITE, None, "the most bytes of env and info are not said (--context-bytes)")
    gas = sum(price.of(size) for size in known) + price.base * (len(regions) - len(known))
    return VmTerm(WRITE, gas, f"{len(regions)} regions")


def _read(model: GasModel, answer: int | None) -> VmTerm:
    price = None if model.host is None else model.host.read
    if price is None:
        return VmTerm(READ, None, f"{model.id} has no price of reading a region")
    if answer is not None:
        # Beyond the largest small region another price applies, which may be less for fewer bytes.
        tops = {answer, min(answer, price.largest_small)}
        return VmTerm(READ, max(price.of(size) for size in tops), f"at most {answer:,} bytes")
    if price.small == price.large and not price.small.per_unit:
        return VmTerm(READ, price.small.base, "whatever its length")
    return VmTerm(READ, None, "the most bytes of the answer are not said (--answer-bytes)")
