"""
Which imports of a module cannot be answered: the static half of `imports-deterministic`.
"""

from __future__ import annotations

from conformance.wasm.imports import check_imports
from conformance.wasm.module import Module
from runners.hosts.setting import HostSetting


def import_refusals(module: Module, host: HostSetting) -> tuple[str, ...]:
    """
    One sentence for each import that *host* does not allow or has no answer for.
    """
    problems = check_imports(module, host.imports)
    refused = {p.key: p.sentence for p in problems if p.rule != "import-allowance-unused"}
    for item in module.imports:
        if item.key in refused:
            continue
        if item.kind != "function":
            refused[item.key] = (
                f"the module imports the {item.kind} {item.key!r}: a host offers functions alone"
            )
        elif not host.scripted and not host.knows(item.key):
            meant = host.meant(item.key)
            known = f" as {meant!r}" if meant != item.key else ""
            refused[item.key] = (
                f"the module imports {item.key!r}, which the {host.abi} ABI does not know{known}:"
                " [abi] kind, [abi] names or [host] script must say what answers it"
            )
    order = dict.fromkeys(item.key for item in module.imports)
    return tuple(refused[key] for key in order if key in refused)
