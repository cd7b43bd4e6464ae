"""
Reads what a manifest says about its host: the ABI, `[abi] names`, and `[host]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from conformance.manifest.errors import BadManifestError
from conformance.manifest.section import Section
from runners.hosts.script import BadScriptError, parse_script
from runners.hosts.setting import ABIS, Abi, HostSetting

MAX_SCRIPT_BYTES: Final = 16 << 20
MAX_SEED: Final = (1 << 63) - 1


def read_host(top: Section, folder: str) -> HostSetting:
    """
    The host that a manifest in *folder* describes; raises BadManifestError.
    """
    abi, host = top.section("abi"), top.section("host")
    host.only(("imports", "script", "seed"))
    kind = cast("Abi", abi.choice("kind", ABIS, "plain"))
    imports = host.texts("imports", ())
    for place, name in enumerate(imports):
        _require_import(host, ("imports", place), name)
    names = abi.section("names")
    if names.table and kind == "plain":
        sentence = '`names` says what imports are in an ABI: it needs kind = "emscripten" or "wasi"'
        raise abi.refusal("names", sentence)
    for key in names.table:
        _require_import(names, (key,), key)
        _require_import(names, (key,), names.text(key))
        if key not in imports:
            sentence = f'`names` explains "{key}", which `imports` in [host] does not allow'
            raise names.refusal((key,), sentence)
    scripted = "script" in host.table
    if scripted and "seed" in host.table:
        raise host.refusal("seed", "`seed` draws answers, which `script` gives: keep one of them")
    return HostSetting(
        abi=kind,
        imports=imports,
        names=tuple((key, names.text(key)) for key in sorted(names.table)),
        script=_script(host, folder) if scripted else (),
        scripted=scripted,
        seed=host.integer("seed", 0, MAX_SEED, 0),
    )


def _require_import(section: Section, keys: tuple[str | int, ...], name: str) -> None:
    if not all(name.partition(".")):
        sentence = f'"{name}" must be MODULE.NAME, such as "env.abort"'
        raise section.refusal(keys, sentence)


def _script(host: Section, folder: str) -> tuple[str, ...]:
    """
    The lines of the script that say something; every line has been read as a call.
    """
    name = host.file("script")
    path = Path(folder) / name
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SCRIPT_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise host.refusal("script", f"`script`: there is no file {path}") from None
    except UnicodeDecodeError:
        raise host.refusal("script", f"`script`: {path} is not UTF-8 text") from None
    except OSError as error:
        sentence = f"`script`: {path} cannot be read: {error.strerror}"
        raise host.refusal("script", sentence) from error
    if len(data) > MAX_SCRIPT_BYTES:
        raise host.refusal("script", f"`script`: {path} is larger than {MAX_SCRIPT_BYTES} bytes")
    lines = text.split("\n")
    try:
        parse_script(lines)
    except BadScriptError as error:
        raise BadManifestError(str(path), error.line, "", str(error)) from None
    stripped = (line.strip() for line in lines)
    return tuple(line for line in stripped if line and not line.startswith("#"))
