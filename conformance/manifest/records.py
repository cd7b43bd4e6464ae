"""
A manifest as data: the run part enters cases, the judge part only judges stored outcomes.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from runners.bits import ValueType
from runners.hosts.setting import Abi, HostSetting
from runners.records import Argument, Place

DType = Literal["i32", "i64", "f32", "f64"]
"""Element type of an input or output: the type that a value *means*."""


class Domain(Struct, frozen=True, kw_only=True):
    """
    Which values an element may take: an interval of reals, or of integers for integer types.
    """

    low: str
    """Typed bits of the least value."""
    high: str
    """Typed bits of the greatest value."""
    special: bool = False
    """Whether NaNs and infinities are legal inputs as well."""


class Tensor(Struct, frozen=True, kw_only=True):
    """
    An input or output buffer: row-major, little-endian.
    """

    dtype: DType
    shape: tuple[int, ...]
    place: Place
    domain: Domain | None = None
    """Inputs only."""


class ScalarCall(Struct, frozen=True, kw_only=True):
    """
    One export called with scalars: `[[call]]`. Floats may be carried as integers of their width.
    """

    entry: str
    parameters: tuple[DType, ...]
    """What each parameter means; its core type is i32 or i64 when `carried` is true."""
    results: tuple[DType, ...]
    carried: bool = False
    """Floats travel as integers of equal width (the export reinterprets them itself)."""
    domains: tuple[Domain, ...] = ()
    """One per parameter; empty: every bit pattern of the type is legal."""


class RunPart(Struct, frozen=True, kw_only=True):
    """
    All that can change what a module does: it enters the digest of every case.
    """

    abi: Abi = "plain"
    entry: str | None = None
    """The export called with an input and an output buffer; None when `calls` are given."""
    arguments: tuple[Argument, ...] = ()
    entry_results: tuple[ValueType, ...] = ()
    input: Tensor | None = None
    output: Tensor | None = None
    calls: tuple[ScalarCall, ...] = ()
    initialize: tuple[str, ...] = ()
    memory_pages: int = 512
    deadline_ms: int = 10_000
    compile_deadline_ms: int = 60_000
    fuel: int | None = None
    imports: tuple[str, ...] = ()
    """Allowed imports, `module.name` as the module says them."""
    names: tuple[tuple[str, str], ...] = ()
    """(`module.name` as the module says it, what it is in the ABI), for minified imports."""
    script: tuple[str, ...] = ()
    """Lines of the host script."""
    scripted: bool = False
    """Whether a host script answers, not a world."""
    seed: int = 0
    """The world that answers is drawn from it."""
    policy: str = "fresh"
    reset: str | None = None

    @property
    def host(self) -> HostSetting:
        """
        What answers the module's imports.
        """
        return HostSetting(
            abi=self.abi,
            imports=self.imports,
            names=self.names,
            script=self.script,
            scripted=self.scripted,
            seed=self.seed,
        )


class Semantics(Struct, frozen=True, kw_only=True):
    """
    What the module claims to compute.
    """

    function_class: Literal["program", "correctly-rounded", "libm", "tree", "integer"]
    program: str = ""
    """File with the formula, in the strict-order language of `conformance/fidelity`."""
    weights: str = ""
    """File with the named tensors that the program reads, as bits."""
    functions: tuple[tuple[str, str], ...] = ()
    """(function of the program, true function it approximates), reported in ulp."""


class Judge(Struct, frozen=True, kw_only=True):
    """
    How outcomes are judged; changing it re-judges without running anything.
    """

    nan: Literal["exact", "canonical", "cosmwasm", "deterministic", "free"] = "exact"
    """NaN profile; `free`: only NaN bits may differ between nodes."""
    tolerance_ulp: int = 0
    """Against the author's own expected rows."""
    accuracy_floor: float | None = None
    """Least share of held-out rows whose label the module's output must hit."""
    decision: Literal["argmax", "threshold", "rmse", "none"] = "none"
    """How an output becomes a label; `rmse`: the floor is a ceiling of the error instead."""


class BoundsPart(Struct, frozen=True, kw_only=True):
    """
    Which bounds are to be proved, and limits that they are held to: `[bounds]`, which may be empty.
    """

    entries: tuple[str, ...] = ()
    """Empty: all entries that the manifest calls."""
    models: tuple[str, ...] = ()
    """Ids of gas models, `cosmwasm-vm@3.0.4`; empty: the chain's, else the newest cosmwasm-vm."""
    max_gas: tuple[tuple[str, int], ...] = ()
    """(gas model, most gas that any call may cost under it)."""
    max_pages: int | None = None
    """Most pages of linear memory that a call may reach."""
    max_depth: int | None = None
    """Most activations of the module's own functions at once."""
    max_frame_words: int | None = None
    """Most words of locals and operands of all activations at once."""
    independent: bool = False
    """Whether every input must cost the same gas."""
    contract: str = ""
    """What is assumed of the host: a contract file in the manifest's folder, or a shipped one."""


class ChainPart(Struct, frozen=True, kw_only=True):
    """
    The chain whose limits a call is held to: `[chain]`.
    """

    name: str = ""
    """A shipped chain; empty where `file` is given."""
    file: str = ""
    """A chain file in the manifest's folder."""
    loading: Literal["unpinned", "pinned", "seen"] = "unpinned"
    """How the code is found: not pinned, pinned, or loaded earlier in the same transaction."""
    message_bytes: int = 0
    context_bytes: int | None = None
    """Most bytes of each of env and info, as JSON; None: not said."""
    answer_bytes: int | None = None
    """Most bytes of the answer; None: not said."""
    max_sdk_gas: int | None = None
    """A limit of the author's own on the whole call, in SDK gas."""


class Manifest(Struct, frozen=True, kw_only=True):
    """
    `model.toml`, read and checked.
    """

    name: str
    path: str
    """Folder of the manifest, for the files it names; not part of any digest."""
    module_file: str = "model.wasm"
    description: str = ""
    module_sha256: str = ""
    rows: str = ""
    """Held-out rows: a bits table (`conformance/manifest/tables.py`)."""
    expected: str = ""
    """Expected output bits of those rows, or of the calls: a bits table."""
    edges: str = ""
    """Edge values of the calls' parameters, per type."""
    run: RunPart
    judge: Judge
    semantics: Semantics | None = None
    bounds: BoundsPart | None = None
    """Judge part: None where no bounds are asked for."""
    chain: ChainPart | None = None
