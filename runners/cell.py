"""
A cell: the walls around one worker process.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct

from runners.launch import Launch

_LAUNCHER: Final = Path(__file__).with_name("cell_launcher.py")
_ENVIRONMENT: Final = {"RUST_BACKTRACE": "0", "RAYON_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""Backtraces leak host frames into trap texts, thread counts change compile errors."""


class CellLimits(Struct, frozen=True, kw_only=True):
    """
    What a worker process may use.
    """

    data_mib: int = 3072
    """RLIMIT_DATA: private writable memory. RLIMIT_AS would kill engines that reserve 8 GiB."""
    files: int = 256
    file_mib: int = 64
    """Largest file it may write; never less than the arena, for workers that use pwrite."""
    output_bytes: int = 16 << 20
    """Most bytes on standard output and error together during one command."""
    no_network: bool = True
    start_deadline_ms: int = 60_000
    """Until a worker has said hello; also for commands that are neither `load` nor `call`."""


@dataclass(slots=True)
class CellProcess:
    """
    A running worker and the controller's ends of its pipes.
    """

    process: subprocess.Popen[bytes]
    commands: int
    """Write end, non-blocking."""
    replies: int
    """Read end, non-blocking."""
    output: int
    """Read end of its standard output and error, non-blocking."""


def start_cell(launch: Launch, limits: CellLimits, arena_descriptor: int) -> CellProcess:
    """
    Start a worker in its cell; raises OSError when the program cannot be started at all.

    The worker dies with the *thread* that calls this: the kernel ties the death signal to it.
    """
    program = shutil.which(launch.argv[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, "no such program", launch.argv[0])
    command_read, command_write = os.pipe2(os.O_CLOEXEC)
    reply_read, reply_write = os.pipe2(os.O_CLOEXEC)
    output_read, output_write = os.pipe2(os.O_CLOEXEC)
    arena_bytes = os.fstat(arena_descriptor).st_size
    settings = {
        "controller": os.getpid(),
        "no_network": limits.no_network,
        "environment": {**_ENVIRONMENT, **dict(launch.environment)},
        "rlimits": {
            "RLIMIT_CORE": 0,
            "RLIMIT_DATA": (limits.data_mib + launch.memory_reserve_mib) << 20,
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_FSIZE": max(limits.file_mib << 20, arena_bytes),
        },
    }
    descriptors = (command_read, reply_write, arena_descriptor)
    argv = [
        sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(settings),
        program, *launch.argv[1:], *map(str, descriptors),
    ]  # fmt: skip
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output_write,
            stderr=output_write,
            pass_fds=descriptors,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        for descriptor in (command_write, reply_read, output_read):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (command_read, reply_write, output_write):
            os.close(descriptor)
    for descriptor in (command_write, reply_read, output_read):
        os.set_blocking(descriptor, False)
    return CellProcess(process, command_write, reply_read, output_read)


def kill_cell(cell: CellProcess) -> int:
    """
    Kill the worker's whole process group, reap it, close the pipes; returns its return code.
    """
    try:
        os.killpg(cell.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        # Already gone and reaped: nothing is left to kill.
        cell.process.poll()
    code = cell.process.wait()
    for descriptor in (cell.commands, cell.replies, cell.output):
        os.close(descriptor)
    return code


def signal_name(return_code: int) -> str:
    """
    Name of the signal behind a negative return code, such as `SIGSEGV`.
    """
    try:
        return signal.Signals(-return_code).name
    except ValueError:
        return f"signal {-return_code}"
