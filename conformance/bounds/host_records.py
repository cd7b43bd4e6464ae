"""
What a certificate assumes of the host's functions: the records of a contract.

Expressions are over `(param k)` of the call and, where so said, over its results; see
`conformance.bounds.expressions`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_Natural = Annotated[int, Meta(ge=0)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
_Pages = Annotated[int, Meta(ge=0, le=65536)]


class Written(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Addresses that a function may write: from term `start` up to, not including, term `end`.

    Terms of 32 bits over `param`, `entry-global` and constants, of the call's own entry.
    """

    start: str
    end: str


class HostLength(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A part of a bill that grows with a length: *per* times the value of *of*.
    """

    per: _Natural
    of: str
    """Term of 32 bits over `param`; it may load a word of memory as the call finds it."""
    most: Annotated[int, Meta(ge=0)] | None = None
    """A greater length ends the call before it is billed; None: any length is billed."""


class HostCost(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Gas that a host function bills under a model, beside the parts by length.
    """

    model: str
    """Id of a host part, `host:cosmwasm-vm@3.0.4`."""
    lo: _Natural
    """Of calls that return."""
    hi: _Natural
    """Of every call."""
    lengths: tuple[HostLength, ...] = ()


class Reentry(Struct, frozen=True, forbid_unknown_fields=True):
    """
    An exported function that a host function may call while it is called itself.
    """

    export: str
    times: _Natural
    """The most calls of it in one call of the host function, with any arguments."""


class HostContract(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is assumed of an imported function; the verdict names it as an assumption.

    That it may end the call in a trap is never excluded by a proof.
    """

    key: str
    """`module.name`."""
    costs: tuple[HostCost, ...]
    ensures: tuple[str, ...] = ()
    """Over `param` and `result`."""
    writes: tuple[Written, ...] | None = None
    """None: anywhere."""
    reenters: tuple[Reentry, ...] = ()
    grows: _Pages = 0
    """The most pages by which one call makes memory larger, within what may be granted at all."""
    traps: bool = True
    """Whether it may end the call; runs are held against it, no proof uses it."""


class ContractText(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The contract file that the records of hosts were read from, whole.
    """

    id: str
    sha256: _Sha256
    """Of `text` in UTF-8."""
    text: str

    @property
    def assumption(self) -> str:
        """
        What a bound rests on that uses it.
        """
        return f"the host keeps the contract {self.id}, SHA-256 {self.sha256}"


class HostAmount(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Limits of a length, by which a host function bills, at one call of it.
    """

    at: _Natural
    """The call instruction."""
    key: str
    of: str
    """The term of the contract."""
    least: _Natural
    most: _Natural
