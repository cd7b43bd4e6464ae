"""
Finds the module and the manifest that the MODULE of a command line means.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.manifest.errors import BadSubjectError
from conformance.manifest.read import read_manifest

MANIFEST_NAME: Final = "model.toml"
MAX_MODULE_BYTES: Final = 256 << 20

_MAGIC: Final = b"\0asm"


@dataclass(frozen=True, slots=True)
class Located:
    """
    Where a subject lies.
    """

    wasm_path: Path
    manifest_path: Path | None
    """None only where a command can do without a manifest."""


def locate(argument: Path, manifest: Path | None = None, *, need_manifest: bool = True) -> Located:
    """
    Find the module: *argument* is a `.wasm`, or a folder with a `model.toml`.

    The manifest is *manifest* if given, else `model.toml` in the folder or beside the `.wasm`.
    The module is opened and looked at, not decoded; a digest in its manifest must be its own.
    Raises BadSubjectError, and BadManifestError for a manifest that is found and is wrong.
    """
    if manifest is not None and not _exists(manifest):
        message = f"{manifest}: there is no such manifest"
        raise BadSubjectError(message)
    if not _exists(argument):
        message = f"{argument}: there is no such file or folder"
        raise BadSubjectError(message)
    if argument.is_dir():
        return _in_folder(argument, manifest)
    if argument.suffix == ".toml":
        message = f"{argument}: is a manifest: name its folder, or the .wasm with --manifest"
        raise BadSubjectError(message)
    beside = argument.parent / MANIFEST_NAME
    found = manifest or (beside if _exists(beside) else None)
    if found is None:
        # What is no module at all needs another sentence than a module without a manifest.
        _module_bytes(argument)
        if not need_manifest:
            return Located(argument, None)
        message = (
            f"{argument}: there is no {MANIFEST_NAME} beside it: give one with --manifest, "
            f"or draft one with `weavegate init {argument}`"
        )
        raise BadSubjectError(message)
    return _with_manifest(argument, found, stated=manifest is not None)


def _in_folder(folder: Path, manifest: Path | None) -> Located:
    path = manifest or folder / MANIFEST_NAME
    if not _exists(path):
        modules = sorted(folder.glob("*.wasm"))
        hint = f"draft one with `weavegate init {modules[0]}`" if modules else "nor a .wasm"
        joint = ": " if modules else ", "
        message = f"{folder}: the folder holds no {MANIFEST_NAME}{joint}{hint}"
        raise BadSubjectError(message)
    wasm = folder / read_manifest(path).module_file
    if not _exists(wasm):
        message = f"{wasm}: there is no such module, although {path} names it"
        raise BadSubjectError(message)
    return _with_manifest(wasm, path, stated=True)


def _with_manifest(wasm: Path, path: Path, *, stated: bool) -> Located:
    manifest = read_manifest(path)
    data = _module_bytes(wasm)
    named = path.parent / manifest.module_file
    if not stated and named.name != wasm.name:
        message = (
            f"{wasm}: the {MANIFEST_NAME} beside it describes {manifest.module_file}: "
            "give this module's own with --manifest"
        )
        raise BadSubjectError(message)
    digest = hashlib.sha256(data).hexdigest()
    if manifest.module_sha256 and digest != manifest.module_sha256:
        message = (
            f"{wasm}: its SHA-256 is {digest}, but {path} is about a module with "
            f"{manifest.module_sha256}"
        )
        raise BadSubjectError(message)
    return Located(wasm, path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        message = f"{_clean(path)}: is no usable path ({_reason(error)})"
        raise BadSubjectError(message) from error


def _module_bytes(path: Path) -> bytes:
    """
    Read a module, and say what it is if it is something else.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            message = f"{path}: is not an ordinary file"
            raise BadSubjectError(message)
        if info.st_size > MAX_MODULE_BYTES:
            message = f"{path}: is larger than {MAX_MODULE_BYTES >> 20} MiB"
            raise BadSubjectError(message)
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {_reason(error)}"
        raise BadSubjectError(message) from error
    if not data.startswith(_MAGIC):
        message = f"{path}: {_what_else(path, data)}"
        raise BadSubjectError(message)
    return data


def _what_else(path: Path, data: bytes) -> str:
    """
    A sentence about a file that is no WebAssembly binary.
    """
    if not data:
        return "is empty"
    text = data[:4096].lstrip()
    if path.suffix in (".wat", ".wast") or text.startswith((b"(module", b"(component", b";;")):
        return "is WebAssembly text: assemble it first, for example with `wat2wasm`"
    if data.startswith(b"\x1f\x8b"):
        return "is compressed with gzip: unpack it first"
    if data.startswith(b"PK\x03\x04"):
        return "is a zip archive: unpack it first"
    return f"is no WebAssembly module: it starts with bytes {data[:4].hex()}, not 0061736d"


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _clean(path: Path) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(path))
