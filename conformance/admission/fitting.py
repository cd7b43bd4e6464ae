"""
Whether one call of a module fits a chain: what was proved of it against each of the chain's limits.

SDK gas of a call, as wasmd bills it: instance fee + message bytes x price + ceil(VM gas /
multiplier). Source: CosmWasm/wasmd:x/wasm/types/gas_register.go (SetupContractCost, FromWasmVMGas).
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from conformance.admission.chains import Chain, SourcedNumber

Loading = Literal["unpinned", "pinned", "seen"]
"""How the code is found: not pinned, pinned, or loaded earlier in the same transaction."""

Answer = Literal["fits", "exceeds", "unknown"]

OUTSIDE: Final = (
    "the ante handler (signatures, bytes of the transaction)",
    "submessages and their replies",
    "queries that the contract makes of the chain",
    "events and attributes",
    "storage that the chain bills itself",
)
"""What a transaction costs beside the call, and no bound of the call covers."""


class ProvedCall(Struct, frozen=True):
    """
    What was proved of one call, for every input; None where nothing was.
    """

    vm_gas: int | None
    """Most gas of the VM, in the unit of the chain's gas model, whatever the outcome."""
    host_gas: int | None
    """Most gas of host calls and of moving the message and the answer, in the same unit."""
    pages: int | None
    """Most pages of linear memory."""
    module_bytes: int
    message_bytes: int
    loading: Loading = "unpinned"


class Fit(Struct, frozen=True):
    """
    One limit, and whether the call stays within it.
    """

    limit: str
    allowed: int | None
    """None: unknown, or no limit; the sentence says which."""
    needed: int | None
    answer: Answer
    sentence: str


class SdkGas(Struct, frozen=True):
    """
    The call in SDK gas.
    """

    total: int | None
    """None where a part is unknown."""
    instance: int | None
    message: int | None
    execution: int | None
    missing: tuple[str, ...]
    """What is unknown, one clause each."""


def sdk_gas(call: ProvedCall, chain: Chain) -> SdkGas:
    """
    The most SDK gas that *call* can cost on *chain*.
    """
    register = chain.register
    fee = {
        "unpinned": register.instance_unpinned,
        "pinned": register.instance_pinned,
        "seen": register.instance_seen,
    }[call.loading]
    missing = []
    if fee.value is None:
        missing.append(f"{chain.name}'s instance fee ({call.loading}) is unknown")
    if register.message_byte.value is None:
        missing.append(f"{chain.name}'s price of a message byte is unknown")
    if register.multiplier.value is None:
        missing.append(f"{chain.name}'s gas multiplier is unknown")
    if call.vm_gas is None:
        missing.append("the gas of the module itself is not bounded")
    if call.host_gas is None:
        missing.append("the gas of host calls and of the message's bytes is unknown")
    price, multiplier = register.message_byte.value, register.multiplier.value
    message = None if price is None else price * call.message_bytes
    execution = None
    if call.vm_gas is not None and call.host_gas is not None and multiplier:
        execution = -(-(call.vm_gas + call.host_gas) // multiplier)
    parts = (fee.value, message, execution)
    known = [part for part in parts if part is not None]
    total = sum(known) if len(known) == len(parts) else None
    return SdkGas(total, fee.value, message, execution, tuple(missing))


def fits(call: ProvedCall, chain: Chain, asked: int | None = None) -> tuple[Fit, ...]:
    """
    Each limit of *chain*, and *asked* (SDK gas) first if the caller set one of his own.
    """
    gas = sdk_gas(call, chain)
    why = "; ".join(gas.missing)
    limits = chain.limits
    found = []
    if asked is not None:
        found.append(_judge("asked SDK gas", asked, gas.total, why))
    found += [
        _against("SDK gas of a smart query (per node)", limits.query_gas, gas.total, why),
        _against("SDK gas of a transaction", limits.transaction_gas, gas.total, why),
        _block(limits.block_gas, gas.total, why),
        _against("memory pages", limits.memory_pages, call.pages, "pages are not bounded"),
        _against("module bytes", limits.module_bytes, call.module_bytes, ""),
    ]
    return tuple(found)


def _block(limit: SourcedNumber, needed: int | None, why: str) -> Fit:
    name = "SDK gas of a block (consensus)"
    if limit.value == -1:
        return Fit(name, None, needed, "fits", "the chain sets no limit (-1)")
    return _against(name, limit, needed, why)


def _against(name: str, limit: SourcedNumber, needed: int | None, why: str) -> Fit:
    if limit.value is None:
        return Fit(name, None, needed, "unknown", f"the limit is unknown: {limit.source}")
    return _judge(name, limit.value, needed, why)


def _judge(name: str, allowed: int, needed: int | None, why: str) -> Fit:
    if needed is None:
        return Fit(name, allowed, None, "unknown", why)
    if needed <= allowed:
        return Fit(name, allowed, needed, "fits", f"at most {needed:,} of {allowed:,}")
    sentence = f"up to {needed:,} where {allowed:,} are allowed"
    return Fit(name, allowed, needed, "exceeds", sentence)
