"""
What a gas model is made of: prices of operators, when they are paid, and what the host adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

ChargePoint = Literal["block-end", "block-start", "metered-block-start", "operator"]
"""
When the static price of an operator is paid.

`block-end`: just before the boundary operator that ends its run, which it includes; an operator
that traps in the middle is not paid. `block-start`: the same runs, paid just before their first
operator. `metered-block-start`: as `block-start`, but runs go on past blocks that nothing leaves
early. `operator`: each one just before itself.
"""

DynamicKind = Literal["bytes", "elements", "pages-granted", "elements-granted", "pages-requested"]
"""What a price is multiplied with that only the run knows."""


class DynamicTerm(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A price per unit on top of an operator's own.
    """

    operators: tuple[str, ...]
    kind: DynamicKind
    price: int | None
    """Gas for each unit; None: not known."""
    paid: Literal["before", "after"]
    """Whether an operator that traps has paid already."""
    even_refused: int = 0
    """
    A growth by at most so many units is paid although it is refused, if the compiler knows the
    number: surely for a literal, perhaps for a local that holds one.
    """
    drops_run: bool = False
    """
    Whether a refused growth takes back what its run was paid, up to itself: a run that ends in such
    an operator is paid only where it is granted.
    """
    folds_literal: bool = False
    """
    Whether units that are a literal are a part of the operator's static price; the operator then
    ends no run, although others of its kind do.
    """


class Linear(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A price with a part for each unit: `base + per_unit * units`.
    """

    base: int
    per_unit: int

    def of(self, units: int) -> int:
        """
        The price of *units*.
        """
        return self.base + self.per_unit * units


class ReadTerm(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What reading bytes out of the guest costs, by their number.
    """

    small: Linear
    large: Linear
    largest_small: int
    """Most bytes that are billed as `small`."""

    def of(self, count: int) -> int:
        """
        The price of *count* bytes.
        """
        return (self.small if count <= self.largest_small else self.large).of(count)


class HostTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What calls of the host cost beside the operators; None: not known.

    What the chain itself adds (storage, queries, addresses) is no part of it.
    """

    call: int | None
    """Each call."""
    read: ReadTerm | None
    """Each region that the host reads."""
    write: Linear | None
    """Each region that the host writes."""
    text: Linear | None
    """Each text that it decodes, by bytes."""
    functions: Mapping[str, int]
    """A further price of single functions, such as `env.secp256k1_verify`."""


class Locals(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A price at entry for a function with many locals; parameters do not count.
    """

    free: int
    """How many locals cost nothing."""
    price: int
    """Gas for each further one."""

    def of(self, count: int) -> int:
        """
        The price of *count* declared locals.
        """
        return max(0, count - self.free) * self.price


class GasModel(Struct, frozen=True):
    """
    One version of one meter.
    """

    name: str
    """`cosmwasm-vm`, `wasmtime-fuel`, ..."""
    version: str
    alike: tuple[str, ...]
    """All versions of this name with the same prices, oldest first, this one included."""
    unit: str
    point: ChargePoint
    boundaries: frozenset[str]
    """Operators that end a run."""
    weights: Mapping[str, int]
    """Price of each operator that the meter accepts; any other one it refuses."""
    refused: str
    """Why the operators without a weight are refused; empty if there are none."""
    entry: int
    """Paid whenever a function is entered."""
    header: int
    """Paid with each run that is paid for."""
    locals: Locals | None
    per_target: int
    """For each target of a `br_table`, the default not among them."""
    per_parameter: int
    """For each parameter of the type that a `call_indirect` names."""
    after_itself: frozenset[str]
    """Operators whose price is paid just after them: by a `loop` in every iteration."""
    commits: frozenset[str] | None
    """
    Operators before which, as when a function returns, what it has counted is written down.

    What a function has counted since is lost when it traps. None: every charge counts at once.
    """
    skips_dead_code: bool
    """Whether operators behind an unconditional branch add to no charge."""
    dynamic: tuple[DynamicTerm, ...]
    host: HostTerms | None
    """None: what host calls cost is not known."""
    sources: Mapping[str, str]
    """What was taken from where: name of a value -> citation."""
    unknown: tuple[str, ...]
    """Sentences about what no source gives."""

    @property
    def id(self) -> str:
        """
        `name@version`.
        """
        return f"{self.name}@{self.version}"

    @property
    def pays_ahead(self) -> bool:
        """
        Whether an operator may be paid that is never executed, because one before it traps.
        """
        return self.point in ("block-start", "metered-block-start")
