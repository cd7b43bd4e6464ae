"""
The functions of WASI preview1, with their types: `wasi_snapshot_preview1`.

Source: the witx files of preview1, lowered to core types. Every function but proc_exit returns an
errno as an i32.
"""

from __future__ import annotations

from typing import Final

MODULES: Final = ("wasi_snapshot_preview1", "wasi_unstable")

SUCCESS: Final = 0
BADF: Final = 8
INVAL: Final = 28
SPIPE: Final = 70
NOTCAPABLE: Final = 76

_LETTERS: Final = {"i": "i32", "I": "i64"}
_PARAMETERS: Final[dict[str, str]] = {
    "args_get": "ii",
    "args_sizes_get": "ii",
    "clock_res_get": "ii",
    "clock_time_get": "iIi",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_close": "i",
    "fd_datasync": "i",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_prestat_dir_name": "iii",
    "fd_prestat_get": "ii",
    "fd_pwrite": "iiiIi",
    "fd_read": "iiii",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_seek": "iIii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "fd_write": "iiii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_exit": "i",
    "proc_raise": "i",
    "random_get": "ii",
    "sched_yield": "",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}


def _lowered(name: str, letters: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    results = () if name == "proc_exit" else ("i32",)
    return tuple(_LETTERS[letter] for letter in letters), results


FUNCTIONS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    name: _lowered(name, letters) for name, letters in _PARAMETERS.items()
}
"""Name -> (types of parameters, types of results)."""

VARYING: Final = frozenset(
    {
        "args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get",
        "environ_sizes_get", "poll_oneoff", "random_get",
    }
)  # fmt: skip
"""Functions that validators may answer differently."""
