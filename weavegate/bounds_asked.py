"""
Whether a certification is asked for bounds, and for which: by the manifest or the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.admission.chains import Chain
from conformance.admission.fitting import Loading
from conformance.gas.load import gas_model
from conformance.gas.records import GasModel
from conformance.manifest.calls import UnknownEntryError
from conformance.manifest.records import BoundsPart, ChainPart, Manifest
from weavegate.bound_job import asked_models, named_chain
from weavegate.options import Options

GAS: Final = "gas-bounded"
INDEPENDENT: Final = "gas-independent"
MEMORY: Final = "memory-bounded"
STACK: Final = "stack-bounded"
BOUNDS: Final = (GAS, INDEPENDENT, MEMORY, STACK)
REQUIRABLE: Final = ("replicates", "faithful", "no-residue", "imports-deterministic", *BOUNDS)
"""What `--require` takes: properties that must be decided."""


@dataclass(frozen=True, slots=True)
class BoundsAsked:
    """
    What is to be proved, and the limits that it is held to.
    """

    entries: tuple[str, ...]
    models: tuple[GasModel, ...]
    limits: BoundsPart
    terms: ChainPart
    """Loading, bytes of the message, the author's own limit; its chain is overruled by `chain`."""
    chain: Chain | None
    chain_name: str | None
    """As `bound_job` takes it: the name of a shipped chain, or a path."""
    independent: bool
    """Whether gas that depends on the input is red."""

    @property
    def loading(self) -> Loading:
        """
        How the chain finds the code.
        """
        return self.terms.loading


def bounds_asked(options: Options, manifest: Manifest) -> BoundsAsked | None:
    """
    None unless `[bounds]`, `[chain]`, `--chain` or a property of bounds in `--require` asks.

    Raises WeavegateError for an unknown chain, BadManifestError for a bad chain file,
    UnknownEntryError for an entry that the manifest does not call.
    """
    required = set(options.require) & set(BOUNDS)
    chain_name = options.chain or _chain_of(manifest)
    if manifest.bounds is None and chain_name is None and not required:
        return None
    limits = manifest.bounds or BoundsPart()
    chain = None if chain_name is None else named_chain(chain_name)
    names = (*limits.models, *(model for model, _ in limits.max_gas))
    run = manifest.run
    known = (run.entry,) if run.entry is not None else tuple(call.entry for call in run.calls)
    for entry in limits.entries:
        if entry not in known:
            message = f"[bounds] entries names {entry!r}, which the manifest does not call"
            raise UnknownEntryError(message)
    return BoundsAsked(
        entries=limits.entries or tuple(name for name in known if name),
        models=tuple(asked_models(names, chain)),
        limits=limits,
        terms=manifest.chain or ChainPart(),
        chain=chain,
        chain_name=chain_name,
        independent=limits.independent or INDEPENDENT in required,
    )


def own_model(asked: BoundsAsked) -> str | None:
    """
    Id of the chain's gas model, None where no source gives it.
    """
    if asked.chain is None or asked.chain.gas_model.value is None:
        return None
    return gas_model(asked.chain.gas_model.value).id


def _chain_of(manifest: Manifest) -> str | None:
    """
    What `[chain]` names.
    """
    if manifest.chain is None:
        return None
    return manifest.chain.name or str(Path(manifest.path) / manifest.chain.file)
