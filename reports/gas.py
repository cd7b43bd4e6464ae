"""
What `weavegate gas` says of one call: a bill for each gas model, beside the engine's own meter.
"""

from __future__ import annotations

from msgspec import Struct

from runners.records import GasReading, NotObserved


class Share(Struct, frozen=True):
    """
    What one function paid.
    """

    function: str
    gas: int


class Bill(Struct, frozen=True):
    """
    What one model bills for the call.
    """

    model: str
    rewrite: str
    """Id of the instrument that counted; empty if the model refuses the module."""
    unit: str
    vm_part: int | NotObserved
    """At least this, where `unknown` is not empty."""
    host_part: int | NotObserved
    functions: tuple[Share, ...]
    """Those that paid anything, dearest first; they add up to the VM part."""
    refused: str
    """Why the meter does not take the module; empty if it does."""
    unknown: tuple[str, ...]
    """Charges that the module can meet and no source prices."""
    outcome: str
    """How the metered call ended, if not as the plain one; empty if alike."""


class GasReport(Struct, frozen=True):
    """
    One call, billed.
    """

    module_sha256: str
    entry: str
    node: str
    outcome: str
    host_error: str
    """Why the host ended the call; empty if it did not."""
    meters: tuple[GasReading, ...] | NotObserved
    """The engine's own."""
    bills: tuple[Bill, ...]

    @property
    def contradictions(self) -> tuple[str, ...]:
        """
        Sentences about what should be equal and is not.
        """
        found = [
            f"{bill.model}: the metered module ended otherwise: {bill.outcome}"
            for bill in self.bills
            if bill.outcome
        ]
        for reading in () if isinstance(self.meters, NotObserved) else self.meters:
            own = reading.meter.replace("fuel:wasmtime@", "wasmtime-fuel@")
            found += [
                f"{bill.model}: the model counts {bill.vm_part:,}, the engine {reading.vm_part:,}"
                for bill in self.bills
                if bill.model == own
                and "/winch" not in self.node
                and isinstance(bill.vm_part, int)
                and bill.vm_part != reading.vm_part
            ]
        return tuple(found)
