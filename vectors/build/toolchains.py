"""
Pinned compilers, each a package of the Python index in an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs
import uv

_INSTALL_SECONDS = 900
_COMPILE_SECONDS = 300
_TAIL = 400


class ToolchainError(RuntimeError):
    """
    A toolchain is not to be had, or its program failed; one sentence.
    """


def cache_folder() -> Path:
    """
    Where toolchains are kept between runs.
    """
    return Path(platformdirs.user_cache_dir("weavegate")) / "toolchains"


def obtain(package: str, cache: Path) -> Path:
    """
    Python interpreter of the environment that holds *package* (`name==version`) and no more.

    Made with uv on first use; a half-made one is never left under the final name. Raises
    ToolchainError, without a network for example.
    """
    final = cache / package
    if _interpreter(final).exists():
        return _interpreter(final)
    cache.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        _uv("venv", "--quiet", "--relocatable", "--python", sys.executable, str(building / "env"))
        python = str(_interpreter(building / "env"))
        _uv("pip", "install", "--quiet", "--no-deps", "--python", python, package)
        try:
            (building / "env").rename(final)
        except OSError:
            if not _interpreter(final).exists():
                raise
    except subprocess.SubprocessError as error:
        message = (
            f"the toolchain {package} cannot be installed into {cache}, is there a network? "
            f"{_last_words(error)}"
        )
        raise ToolchainError(message) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _interpreter(final)


def compile_module(python: Path, arguments: Sequence[str], source: Path) -> bytes:
    """
    Run a toolchain on *source* in a scratch folder and return the module's bytes.

    The compiler sees the source under its bare name, so that no path of this machine can enter
    the module; its caches live and die in the scratch folder. Raises ToolchainError.
    """
    with tempfile.TemporaryDirectory(prefix="weavegate-build-") as scratch:
        folder = Path(scratch)
        shutil.copyfile(source, folder / source.name)
        words = [word.format(source=source.name, output="model.wasm") for word in arguments]
        environment = {
            "PATH": os.defpath,
            "HOME": scratch,
            "TMPDIR": scratch,
            "ZIG_GLOBAL_CACHE_DIR": str(folder / "zig-global"),
            "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-local"),
        }
        try:
            subprocess.run(
                [str(python), *words],
                cwd=folder,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
                timeout=_COMPILE_SECONDS,
            )
            return (folder / "model.wasm").read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            message = f"{source} cannot be compiled: {_last_words(error)}"
            raise ToolchainError(message) from None


def _interpreter(environment: Path) -> Path:
    """
    The interpreter of a virtual environment.
    """
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def _uv(*words: str) -> None:
    """
    Run uv; raises SubprocessError.
    """
    subprocess.run(
        [uv.find_uv_bin(), *words],
        check=True,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
    )


def _last_words(error: Exception) -> str:
    """
    The end of what a failed program said, on one line.
    """
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[-_TAIL:]
