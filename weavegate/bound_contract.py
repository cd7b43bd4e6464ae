"""
Contracts of hosts: found by name or file, and held against the host that a manifest describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.bounds.certificate import Certificate, Input
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.contract import Contract, read_contract
from conformance.bounds.watched_host import Watch, WatchedHosts
from conformance.manifest.records import Manifest
from conformance.wasm.module import Module
from runners.hosts.host import HostMaker
from weavegate.exits import Exit, WeavegateError
from weavegate.shipped import shipped

WORLDS: Final = 3
"""Other validators whose hosts are asked too."""


@dataclass(frozen=True, slots=True)
class Kept:
    """
    What the host of a manifest showed of its contract.
    """

    hosts: int
    """That were asked: the manifest's own, and those of other validators."""
    inputs: int
    calls: int
    """That hosts answered, or ended."""
    broken: tuple[str, ...]
    """Promises that were broken, one sentence each that begins with the import."""
    count: int
    """Of times that one was."""
    unasked: tuple[str, ...]
    """Imports with a contract of which no answer was seen."""

    def sentence(self) -> str:
        """
        What was seen, in one line.
        """
        hosts = f"the hosts of {self.hosts} validators"
        said = f"{self.calls:,} calls on {self.inputs} inputs by {hosts}"
        if self.broken:
            return f"the contract is broken, {self.count:,} times in {said}"
        if self.unasked:
            return f"the contract is kept in {said}; never called: {', '.join(self.unasked)}"
        return f"the contract is kept in {said}"


def named_contract(name: str) -> Contract:
    """
    A contract file, or a shipped contract by its name; raises WeavegateError, BadManifestError.
    """
    return read_contract(shipped("contracts", name, "contract"))


def contract_of(manifest: Manifest | None) -> str | None:
    """
    The contract that `[bounds]` names, as `named_contract` takes it.
    """
    if manifest is None or manifest.bounds is None or not manifest.bounds.contract:
        return None
    named = manifest.bounds.contract
    return str(Path(manifest.path) / named) if named.endswith(".toml") else named


def hold(
    certificate: Certificate, manifest: Manifest, module: Module, engine: Engine,
    inputs: Sequence[Input], seed: int,
) -> Kept | None:  # fmt: skip
    """
    Run *inputs* on the module itself, with the manifest's host and those of other validators.

    None where the certificate assumes nothing of a host, or the manifest's host answers none of it.
    """
    setting = manifest.run.host
    keys = [host.key for host in certificate.hosts]
    answers = [key for key in keys if setting.scripted or setting.knows(key)]
    if not answers or not set(answers) & set(setting.imports):
        return None
    watch = Watch({host.key: host for host in certificate.hosts})
    makers: list[HostMaker] = [setting.maker()]
    if not setting.scripted:
        # What a script does not say nobody knows: other answers would be made up.
        makers += [setting.varied(seed + 1 + number) for number in range(WORLDS)]
    entry = certificate.precondition.entry
    for maker in makers:
        for given in inputs:
            try:
                with engine(module.binary, entry, given, (), WatchedHosts(maker, watch)):
                    pass
            except RefusedError as error:
                sentence = f"the manifest's host could not be asked: {error.refusal.sentence}"
                raise WeavegateError(sentence, Exit.UNDECIDED) from error
    unasked = tuple(key for key in keys if key not in watch.answered)
    calls = sum(watch.answered.values())
    return Kept(len(makers), len(inputs), calls, tuple(watch.broken), watch.count, unasked)
