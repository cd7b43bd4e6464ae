"""
What a vote can find, as data.
"""

from __future__ import annotations

import builtins
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from runners.hosts.setting import HostSetting
from runners.records import Budget, Call, Level, Node, Outcome, digest_of

Party = Literal["engine", "module", "host", "harness", "undecided"]


class FindingClass(StrEnum):
    """
    In which way nodes differ.
    """

    VALUE = "value"
    """Result bits differ in more than the bits of NaNs."""
    NAN_BITS = "nan-bits"
    """Result bits differ in the bits of NaNs alone."""
    KIND = "kind"
    """One returned where another trapped, or they trapped for different reasons."""
    STATE = "state"
    """Same results, but memory, pages or exported globals differ."""
    GAS = "gas"
    """Equal meters read differently."""
    HOST_CALLS = "host-calls"
    LIMIT = "limit"
    """The case meets a limit that differs between engines."""
    BROKEN_WORKER = "broken-worker"
    """Crashed, timed out, or broke the protocol: named by the pool, no vote."""
    REFUSED = "refused"
    """A feature that an engine claims to have was refused."""
    FLAKY = "flaky"
    """The same key gave two outcomes."""
    UNFAITHFUL = "unfaithful"
    """Nodes agree on bits that are not those of the declared semantics."""
    FPU_MODE = "fpu-mode"
    """Known subnormal products came out wrong beside a batch."""
    RESIDUE = "residue"
    """A call depends on, or can see, what another caller's call left behind."""
    IMPORTS = "imports"
    """A call depends on what its host answers, which may differ between validators."""
    BOUND = "bound"
    """A meter, or the pages of memory, showed what a proved bound rules out."""


class Blame(Struct, frozen=True):
    """
    Who is named. With two voices nobody is: the party is then `undecided`.
    """

    party: Party
    nodes: tuple[str, ...]
    """Labels of the nodes named, sorted; empty unless the party is `engine`."""
    reason: str
    """One sentence."""


class Observed(Struct, frozen=True):
    """
    One node's outcome in a finding.
    """

    node: Node
    generator: str
    """Code-generator family."""
    outcome: Outcome


class Claim(Struct, frozen=True):
    """
    What was proved of every call, and one call contradicts.
    """

    what: str
    """`fuel:wasmtime@50.0.1`, an engine's own meter; `model:cosmwasm-vm@3.0.4`, a rewrite that
    counts; or `pages`."""
    lo: int
    hi: int


class Finding(Struct, frozen=True, kw_only=True):
    """
    A verdict that fails, with its smallest reproduction.
    """

    schema: int = 1
    property: str
    """`replicates`, `faithful`, `no-residue`, `imports-deterministic`, or one of bounds."""
    kind: FindingClass
    blame: Blame
    module_sha256: str
    call: Call
    budget: Budget
    level: Level
    policy: str
    nan: str
    """NaN profile it was judged under."""
    history: tuple[str, ...]
    """Input rows (`bytes:...`) since the instance was opened; the last is the failing case."""
    observed: tuple[Observed, ...]
    expected: str = ""
    """Output row that the oracle gives (`bytes:...`); empty when it was not asked."""
    count: int = 1
    """Cases of this run that failed in this way; not part of the id."""
    shrunk: bool = False
    output_dtype: str = ""
    """Element type of the output buffer; empty: shown as bytes. Not part of the id."""
    result_dtypes: tuple[str, ...] = ()
    """What each result means where that is not its core type; empty: as typed. Not in the id."""
    input_dtype: str = ""
    """Element type of the input buffer; empty: shown as bytes. Not part of the id."""
    slot_dtypes: tuple[str, ...] = ()
    """What each scalar slot means where that is not its core type. Not part of the id."""
    reset: str = ""
    """Export called between the cases of `history`, of a finding of residue. Not part of the id."""
    host: HostSetting | None = None
    """What answers the module's imports; None if it has none. Its digest is in `observed`."""
    claim: Claim | None = None
    """Of a finding of class `bound`: what was proved. Not part of the id, which has the reason."""

    @builtins.property
    def id(self) -> str:
        """
        `finding:` and 16 digits of the SHA-256 of all but the count and the reading aids.
        """
        fields = [
            self.property, self.kind, self.blame, self.module_sha256, self.call, self.budget,
            self.level, self.policy, self.nan, self.history, self.observed, self.expected,
        ]  # fmt: skip
        return "finding:" + digest_of(fields)[:16]


class Differs(Struct, frozen=True, kw_only=True):
    """
    What an allowance lets differ, and how far.
    """

    kinds: tuple[FindingClass, ...]
    entries: tuple[str, ...] = ()
    """Exports, as shell patterns; empty: all."""
    bound: Literal["sign-of-zero", "nan-bits", "trap", "any"] = "any"


class Allowance(Struct, frozen=True, kw_only=True):
    """
    A reviewed, dated, reasoned exception; a stale one is red.
    """

    subject: str
    """Module digest, or a shell pattern over digests (`*`)."""
    nodes: str
    """Shell pattern over node labels."""
    property: str
    differs: Differs
    reason: str
    evidence: str
    """Id of the finding that shows the defect; its file ships beside the allowances."""
    author: str
    date: str
    """ISO date of the review."""
    expiry: str
    activation_height: int | None = None
