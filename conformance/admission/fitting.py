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

ALLOCATE: Final = "allocate"
WRITE: Final = "write of the message"
READ: Final = "read of the answer"
DEALLOCATE: Final = "deallocate"
_BEFORE: Final = frozenset({ALLOCATE, WRITE})

OUTSIDE: Final = (
    "the ante handler (signatures, bytes of the transaction)",
    "submessages and their replies",
    "queries that the contract makes of the chain",
    "events and attributes",
    "storage that the chain bills itself",
)
"""What a transaction costs beside the call, and no bound of the call covers."""


class VmTerm(Struct, frozen=True):
    """
    One part of what the VM bills for a call, beside the module's entry.
    """

    name: str
    gas: int | None
    """The most, in the unit of the chain's gas model; None: not known."""
    sentence: str
    """What it is for; where it is not known, why."""


class ProvedCall(Struct, frozen=True):
    """
    What was proved of one call, for every input; None where nothing was.
    """

    vm_gas: int | None
    """Most gas of the VM, in the unit of the chain's gas model, whatever the outcome."""
    host_gas: int | None
    """Most gas of what the host bills for calls of the entry, in the same unit."""
    pages: int | None
    """Most pages of linear memory."""
    module_bytes: int
    message_bytes: int
    loading: Loading = "unpinned"
    moving: tuple[VmTerm, ...] = ()
    """Moving the message in and the answer out: `allocate`, writes, reads, `deallocate`."""


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


class Term(Struct, frozen=True):
    """
    One part of the whole call; None where it is unknown.
    """

    name: str
    vm_gas: int | None
    """None too where it is no gas of the VM."""
    sdk_gas: int | None
    """Of gas of the VM: rounded up for this part alone, so that parts may add up to more."""
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
    terms: tuple[Term, ...] = ()
    """All parts, in the order in which they are paid."""


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
        missing.append("the gas of host calls is unknown")
    missing += [f"{term.name}: {term.sentence}" for term in call.moving if term.gas is None]
    price, multiplier = register.message_byte.value, register.multiplier.value
    message = None if price is None else price * call.message_bytes
    billed = _billed(call)
    gases = [term.gas for term in billed if term.gas is not None]
    execution = None
    if len(gases) == len(billed) and multiplier:
        execution = -(-sum(gases) // multiplier)
    parts = (fee.value, message, execution)
    known = [part for part in parts if part is not None]
    total = sum(known) if len(known) == len(parts) else None
    terms = (
        Term("instance", None, fee.value, f"made of code that is {call.loading}"),
        Term(
            "message bytes", None, message, f"{call.message_bytes:,} bytes at {_shown(price)} each"
        ),
        *(
            Term(term.name, term.gas, _rounded(term.gas, multiplier), term.sentence)
            for term in billed
        ),
    )
    return SdkGas(total, fee.value, message, execution, tuple(missing), terms)


def _billed(call: ProvedCall) -> tuple[VmTerm, ...]:
    """
    All that the VM bills, in the order of a call.
    """
    before = [term for term in call.moving if term.name in _BEFORE]
    after = [term for term in call.moving if term.name not in _BEFORE]
    entry = VmTerm("entry", call.vm_gas, "operators of the entry and of all that it calls")
    host = VmTerm("host calls", call.host_gas, "what the host bills for calls of the entry")
    return (*before, entry, host, *after)


def _rounded(gas: int | None, multiplier: int | None) -> int | None:
    return None if gas is None or not multiplier else -(-gas // multiplier)


def _shown(number: int | None) -> str:
    return "an unknown price" if number is None else f"{number:,}"


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
