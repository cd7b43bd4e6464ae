"""
What a manifest says about its host, and the makers of hosts that follow from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from runners.hosts import emscripten, wasi_abi
from runners.hosts.deny import DenyingHost
from runners.hosts.emscripten import answer_emscripten
from runners.hosts.host import Answer, Host, HostCall, HostMaker, HostStopError
from runners.hosts.script import ScriptHost, parse_script
from runners.hosts.variation import Variation
from runners.hosts.wasi import answer_wasi
from runners.hosts.world import PLAIN_SEED, Readings, World, Worlds
from runners.records import digest_of

Abi = Literal["plain", "emscripten", "wasi"]
ABIS: Final[tuple[Abi, ...]] = ("plain", "emscripten", "wasi")


class HostSetting(Struct, frozen=True, kw_only=True):
    """
    A host: its ABI, what it may be asked, and what it answers.
    """

    abi: Abi = "plain"
    imports: tuple[str, ...] = ()
    """Allowed imports, `module.name` as the module says them."""
    names: tuple[tuple[str, str], ...] = ()
    """(`module.name` as the module says it, what it is in the ABI), for minified imports."""
    script: tuple[str, ...] = ()
    """Lines of a host script; empty: the ABI answers from the world of `seed`."""
    scripted: bool = False
    """Whether the script answers, also an empty one."""
    seed: int = PLAIN_SEED

    def meant(self, key: str) -> str:
        """
        What an import is in the ABI.
        """
        return dict(self.names).get(key, key)

    def knows(self, key: str) -> bool:
        """
        Whether an import has an answer, without a script.
        """
        return self._kind(key) is not None

    def is_varying(self, key: str) -> bool:
        """
        Whether validators may answer an import differently: one that no ABI knows may be anything.
        """
        kind = self._kind(key)
        name = self.meant(key).partition(".")[2]
        if kind == "wasi":
            return name in wasi_abi.VARYING
        return kind is None or emscripten.is_varying(name)

    @property
    def needs(self) -> frozenset[str]:
        """
        Capabilities that an engine must have to be asked with this host.
        """
        if self.scripted:
            grows = any("grow " in line for line in self.script)
        else:
            named = [self.meant(key).partition(".") for key in self.imports]
            grows = self.abi == "emscripten" and any(
                module == emscripten.MODULE and emscripten.grows(name) for module, _, name in named
            )
        return frozenset({"hosts", "hosts:grow"} if grows else {"hosts"})

    def maker(self) -> HostMaker:
        """
        The hosts that every node of a run has.
        """
        return SettingMaker(self, None, None)

    def varied(self, seed: int, only: str | None = None) -> HostMaker:
        """
        The hosts of another validator, which answer *only* one import, or all, from another world.
        """
        return SettingMaker(self, World(seed), only)

    def _kind(self, key: str) -> Literal["wasi", "emscripten"] | None:
        """
        Whose function an import is.
        """
        module, _, name = self.meant(key).partition(".")
        if self.abi != "plain" and module in wasi_abi.MODULES and name in wasi_abi.FUNCTIONS:
            return "wasi"
        if self.abi == "emscripten" and module == emscripten.MODULE and emscripten.is_known(name):
            return "emscripten"
        return None


@dataclass(frozen=True, slots=True)
class SettingMaker:
    """
    Makes hosts of a setting, with another world for some of their answers.
    """

    setting: HostSetting
    varied: World | None
    only: str | None

    def digest(self) -> str:
        """
        Over the setting, the worlds, and the sources that answer.
        """
        seed = None if self.varied is None else self.varied.seed
        return digest_of(["host", 1, self.setting, seed, self.only, _sources()])

    def host(self) -> Host:
        """
        A host for one case.
        """
        setting = self.setting
        if setting.scripted:
            variation = None
            if self.varied is not None:
                variation = Variation(self.varied, _varies(setting), _named(setting), self.only)
            return _Allowing(setting, ScriptHost(_parsed(setting.script), variation))
        worlds = Worlds(World(setting.seed), self.varied, self.only)
        return _Allowing(setting, AbiHost(setting, worlds))


def _varies(setting: HostSetting) -> Callable[[str], tuple[bool, bool]]:
    """
    Of an import: whether its results and the bytes that it writes may differ.
    """

    def varies(key: str) -> tuple[bool, bool]:
        varying = setting.is_varying(key)
        # WASI gives an errno and writes its answer into memory.
        module = setting.meant(key).partition(".")[0]
        return varying and module not in wasi_abi.MODULES, varying

    return varies


def _named(setting: HostSetting) -> Callable[[str], str]:
    """
    Of an import: its name in the ABI, without its module.
    """
    return lambda key: setting.meant(key).partition(".")[2]


class _Allowing:
    """
    Lets through what the setting allows, by exact name.
    """

    def __init__(self, setting: HostSetting, inner: Host) -> None:
        self._setting, self._inner = setting, inner

    def answer(self, call: HostCall) -> Answer:
        """
        Ask the host within; raises HostStopError for what is not allowed.
        """
        allowed = f"{call.module}.{call.name}" in self._setting.imports
        return (yield from (self._inner if allowed else DenyingHost()).answer(call))

    def ended(self) -> str | None:
        """
        What the host within says.
        """
        return self._inner.ended()


class AbiHost:
    """
    Answers a case from a world, as the ABI has it.
    """

    def __init__(self, setting: HostSetting, worlds: Worlds) -> None:
        """
        Nothing has been read yet.
        """
        self._setting, self._readings = setting, Readings(worlds)

    def answer(self, call: HostCall) -> Answer:
        """
        Raise HostStopError for what the ABI has not.
        """
        key = f"{call.module}.{call.name}"
        module, _, name = self._setting.meant(key).partition(".")
        meant = call._replace(module=module, name=name)
        world = self._readings.worlds.world(key)
        if self._setting.abi != "plain" and module in wasi_abi.MODULES:
            return (yield from answer_wasi(meant, world, self._readings))
        if self._setting.abi == "emscripten" and module == emscripten.MODULE:
            return (yield from answer_emscripten(meant, world, self._readings))
        message = f"the {self._setting.abi} ABI has no answer for {key}: [host] script can give one"
        raise HostStopError(message)

    def ended(self) -> str | None:
        """
        A world never complains.
        """
        return None


_parsed: Final = cache(parse_script)


@cache
def _sources() -> str:
    """
    SHA-256 over the sources of the hosts.
    """
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
