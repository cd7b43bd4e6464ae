"""
The host of a WASI preview1 reactor: arguments, environment, clocks and random bytes of a world, a
standard input that is empty, standard outputs whose bytes are recorded, and no files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from runners.hosts.emscripten import read, write
from runners.hosts.host import Answer, HostCall, HostStopError
from runners.hosts.wasi_abi import BADF, FUNCTIONS, INVAL, MODULES, NOTCAPABLE, SPIPE, SUCCESS
from runners.hosts.world import Readings, World

_Handler = Callable[[HostCall, World, Readings], Answer]

_STDIN: Final = 0
_OUTPUTS: Final = (1, 2)
_STANDARD: Final = (_STDIN, *_OUTPUTS)
_CHARACTER_DEVICE: Final = 2
_MOST_BUFFERS: Final = 1024
_MOST_SUBSCRIPTIONS: Final = 64
_SUBSCRIPTION_BYTES: Final = 48
_EVENT_BYTES: Final = 32
_CLOCKS: Final = 4
_TAG_AT: Final = 8
_READ_RIGHT, _WRITE_RIGHT = 1 << 1, 1 << 6


def _word(value: int) -> bytes:
    return struct.pack("<I", value)


def _none(*_: object) -> Answer:
    """
    Success, with nothing to do.
    """
    return (SUCCESS,)
    yield


def _no_file(*_: object) -> Answer:
    return (BADF,)
    yield


def _no_path(*_: object) -> Answer:
    return (NOTCAPABLE,)
    yield


# ------------------------------------------------------------------- what worlds differ in


def _sizes(call: HostCall, texts: tuple[bytes, ...]) -> Answer:
    count_at, bytes_at = call.arguments
    yield from write(count_at, _word(len(texts)))
    yield from write(bytes_at, _word(sum(len(text) + 1 for text in texts)))
    return (SUCCESS,)


def _texts(call: HostCall, texts: tuple[bytes, ...]) -> Answer:
    pointers_at, bytes_at = call.arguments
    for place, text in enumerate(texts):
        yield from write(pointers_at + 4 * place, _word(bytes_at))
        yield from write(bytes_at, text + b"\0")
        bytes_at += len(text) + 1
    return (SUCCESS,)


def _args_sizes(call: HostCall, world: World, _: Readings) -> Answer:
    return (yield from _sizes(call, world.arguments()))


def _args(call: HostCall, world: World, _: Readings) -> Answer:
    return (yield from _texts(call, world.arguments()))


def _environ_sizes(call: HostCall, world: World, _: Readings) -> Answer:
    return (yield from _sizes(call, world.environment()))


def _environ(call: HostCall, world: World, _: Readings) -> Answer:
    return (yield from _texts(call, world.environment()))


def _clock_resolution(call: HostCall, world: World, _: Readings) -> Answer:
    clock, at = call.arguments
    if clock >= _CLOCKS:
        return (INVAL,)
    yield from write(at, struct.pack("<Q", world.resolution_ns()))
    return (SUCCESS,)


def _clock_time(call: HostCall, world: World, readings: Readings) -> Answer:
    clock, _, at = call.arguments
    if clock >= _CLOCKS:
        return (INVAL,)
    clocks = (world.realtime_ns, world.monotonic_ns, world.cpu_ns, world.cpu_ns)
    yield from write(at, struct.pack("<Q", clocks[clock](readings.next_reading())))
    return (SUCCESS,)


def _random(call: HostCall, world: World, readings: Readings) -> Answer:
    at, size = call.arguments
    yield from write(at, readings.next_random(world, size))
    return (SUCCESS,)


def _poll(call: HostCall, world: World, readings: Readings) -> Answer:
    """
    Every clock that is waited for has gone off, and the world's time has passed; files never do.
    """
    wanted_at, events_at, count, happened_at = call.arguments
    if not 0 < count <= _MOST_SUBSCRIPTIONS:
        return (INVAL,)
    world.monotonic_ns(readings.next_reading())
    happened = 0
    wanted = yield from read(wanted_at, count * _SUBSCRIPTION_BYTES)
    for place in range(count):
        one = wanted[place * _SUBSCRIPTION_BYTES : (place + 1) * _SUBSCRIPTION_BYTES]
        error = SUCCESS if one[_TAG_AT] == 0 else BADF
        event = one[:8] + struct.pack("<HB", error, one[_TAG_AT])
        yield from write(events_at + happened * _EVENT_BYTES, event.ljust(_EVENT_BYTES, b"\0"))
        happened += 1
    yield from write(happened_at, _word(happened))
    return (SUCCESS,)


# ------------------------------------------------------------------------- standard streams


def _write(call: HostCall, _: World, readings: Readings) -> Answer:
    """
    Bytes for an output are read, so that they are recorded, and never looked at.
    """
    descriptor, buffers_at, count, written_at = call.arguments
    if descriptor not in _OUTPUTS:
        return (BADF,)
    if count > _MOST_BUFFERS:
        return (INVAL,)
    buffers = yield from read(buffers_at, 8 * count)
    total = 0
    for at, size in struct.iter_unpack("<II", buffers):
        data = yield from read(at, size)
        total += len(data)
    readings.written[descriptor] = readings.written.get(descriptor, 0) + total
    yield from write(written_at, _word(total & 0xFFFF_FFFF))
    return (SUCCESS,)


def _read(call: HostCall, _: World, __: Readings) -> Answer:
    """
    Standard input is at its end.
    """
    descriptor, _buffers, _count, read_at = call.arguments
    if descriptor != _STDIN:
        return (BADF,)
    yield from write(read_at, _word(0))
    return (SUCCESS,)


def _of_standard(errno: int) -> _Handler:
    """
    An errno for the standard streams; there are no other files.
    """

    def answer(call: HostCall, _: World, __: Readings) -> Answer:
        return (errno if call.arguments[0] in _STANDARD else BADF,)
        yield

    return answer


def _stat(call: HostCall, _: World, __: Readings) -> Answer:
    """
    `fdstat`: a character device that may be read or written, without flags.
    """
    descriptor, at = call.arguments
    if descriptor not in _STANDARD:
        return (BADF,)
    rights = _READ_RIGHT if descriptor == _STDIN else _WRITE_RIGHT
    yield from write(at, struct.pack("<BxHxxxxQQ", _CHARACTER_DEVICE, 0, rights, 0))
    return (SUCCESS,)


def _file_stat(call: HostCall, _: World, __: Readings) -> Answer:
    """
    `filestat`: a character device without size and times.
    """
    descriptor, at = call.arguments
    if descriptor not in _STANDARD:
        return (BADF,)
    yield from write(at, struct.pack("<QQB7xQQQQQ", 0, 0, _CHARACTER_DEVICE, 1, 0, 0, 0, 0))
    return (SUCCESS,)


# ---------------------------------------------------------------------------------- endings


def _exit(call: HostCall, _: World, __: Readings) -> Answer:
    message = f"the module exited with {call.arguments[0]}"
    raise HostStopError(message)
    yield


def _raise(call: HostCall, _: World, __: Readings) -> Answer:
    message = f"the module raised the signal {call.arguments[0]}"
    raise HostStopError(message)
    yield


_HANDLERS: Final[dict[str, _Handler]] = {
    "args_get": _args,
    "args_sizes_get": _args_sizes,
    "clock_res_get": _clock_resolution,
    "clock_time_get": _clock_time,
    "environ_get": _environ,
    "environ_sizes_get": _environ_sizes,
    "fd_close": _of_standard(SUCCESS),
    "fd_datasync": _of_standard(INVAL),
    "fd_fdstat_get": _stat,
    "fd_fdstat_set_flags": _of_standard(SUCCESS),
    "fd_filestat_get": _file_stat,
    "fd_read": _read,
    "fd_seek": _of_standard(SPIPE),
    "fd_sync": _of_standard(INVAL),
    "fd_tell": _of_standard(SPIPE),
    "fd_write": _write,
    "poll_oneoff": _poll,
    "proc_exit": _exit,
    "proc_raise": _raise,
    "random_get": _random,
    "sched_yield": _none,
}
"""Functions with an answer of their own; others have no file to work on, or no path to open."""


def answer_wasi(call: HostCall, world: World, readings: Readings) -> Answer:
    """
    Answer a function of preview1; raises HostStopError for one that it has not, or of other types.
    """
    types = FUNCTIONS.get(call.name) if call.module in MODULES else None
    if types is None:
        message = f"WASI preview1 has no function {call.module}.{call.name}"
        raise HostStopError(message)
    if (call.parameters, call.results) != types:
        shown = " -> ".join(f"({', '.join(kinds)})" for kinds in (call.parameters, call.results))
        due = " -> ".join(f"({', '.join(kinds)})" for kinds in types)
        message = f"{call.name} is imported with the type {shown}, preview1's has {due}"
        raise HostStopError(message)
    handler = _HANDLERS.get(call.name)
    if handler is None:
        handler = _no_path if call.name.startswith("path_") else _no_file
    return (yield from handler(call, world, readings))
