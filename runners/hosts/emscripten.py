"""
The host of an emscripten reactor: what its JavaScript would answer, as far as it needs no browser.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import Final

from runners.hosts.host import Answer, Grow, HostCall, HostStopError, Peek, Poke, Step, StepReply
from runners.hosts.maths import answer_maths, meant_function
from runners.hosts.world import NS_PER_MS, NS_PER_S, Readings, World

MODULE: Final = "env"
_MOST_TEXT: Final = 120
_CHUNK: Final = 1 << 20
_MASK32: Final = 0xFFFF_FFFF
PAGE_BYTES: Final = 65_536
_MOST_SPARE: Final = 96 << 20
_MOST_HEAP: Final = 1 << 31
"""Bytes that emscripten allows a module by default."""
_LARGEST_ENTROPY: Final = 256
"""Bytes that one getentropy may ask for, by POSIX."""

_Handler = Callable[[HostCall, World, Readings], Answer]
Reading = Generator[Step, StepReply, bytes]


def read(address: int, size: int) -> Reading:
    """
    Bytes of the guest's memory, as a part of an answer.
    """
    parts = []
    for start in range(0, size, _CHUNK):
        reply = yield Peek(address + start, min(_CHUNK, size - start))
        parts.append(reply if isinstance(reply, bytes) else b"")
    return b"".join(parts)


def write(address: int, data: bytes) -> Generator[Step, StepReply, None]:
    """
    Write the guest's memory, as a part of an answer.
    """
    for start in range(0, len(data), _CHUNK):
        yield Poke(address + start, data[start : start + _CHUNK])


def _text(address: int) -> Generator[Step, StepReply, str]:
    """
    The C string at an address, shortened; byte by byte, as nobody knows where memory ends.
    """
    if address == 0:
        return "(null)"
    data = b""
    while len(data) < _MOST_TEXT:
        reply = yield Peek(address + len(data), 1)
        if reply in (b"\0", None):
            break
        data += reply if isinstance(reply, bytes) else b""
    return data.decode("utf-8", "replace")


# ------------------------------------------------------------------- memory and its growth


def _copy(call: HostCall, _: World, __: Readings) -> Answer:
    """
    `memcpy_big(to, from, size)`: the bytes are read whole before any is written.
    """
    to, origin, size = call.arguments
    data = yield from read(origin, size)
    yield from write(to, data)
    return (to,) if call.results else ()


def _grow(call: HostCall, _: World, __: Readings) -> Answer:
    """
    `resize_heap(bytes)`: 1 if memory has grown to hold them, else 0.

    Emscripten's schedule: a fifth more than there is, then a tenth, then a twentieth, but at least
    what is asked for and at most 96 MiB more. Integers in place of its doubles.
    """
    asked = call.arguments[0]
    if asked > _MOST_HEAP:
        return (0,)
    reply = yield Grow(0)
    before = reply[0] * PAGE_BYTES if isinstance(reply, tuple) else 0
    for cut in (1, 2, 4):
        ample = min(before + before // (5 * cut), asked + _MOST_SPARE)
        wanted = min(max(asked, ample), _MOST_HEAP)
        more = max(0, -(-wanted // PAGE_BYTES) - before // PAGE_BYTES)
        reply = yield Grow(more)
        if reply != (_MASK32,):
            return (1,)
    return (0,)


def _heap_most(_: HostCall, __: World, ___: Readings) -> Answer:
    return (_MOST_HEAP,)
    yield


def _nothing(call: HostCall, _: World, __: Readings) -> Answer:
    """
    Taken note of.
    """
    return (0,) * len(call.results)
    yield


# --------------------------------------------------------------------------------- endings


def _abort(call: HostCall, _: World, __: Readings) -> Answer:
    code = f"({call.arguments[0]})" if call.arguments else ""
    message = f"the module aborted{code}"
    raise HostStopError(message)
    yield


def _assert_fail(call: HostCall, _: World, __: Readings) -> Answer:
    condition, file, line, function = call.arguments
    said = yield from _text(condition)
    where = yield from _text(file)
    within = yield from _text(function)
    message = f"the module's assertion {said} failed in {within}, {where}:{line}"
    raise HostStopError(message)


def _exit(call: HostCall, _: World, __: Readings) -> Answer:
    message = f"the module exited with {call.arguments[0]}"
    raise HostStopError(message)
    yield


def _throw(_: HostCall, __: World, ___: Readings) -> Answer:
    message = "the module threw a C++ exception"
    raise HostStopError(message)
    yield


# ------------------------------------------------------------------- what worlds differ in


def _f64(value_ns: int) -> int:
    """
    Milliseconds as a double.
    """
    return int.from_bytes(struct.pack("<d", value_ns / NS_PER_MS), "little")


def _now(_: HostCall, world: World, readings: Readings) -> Answer:
    return (_f64(world.monotonic_ns(readings.next_reading())),)
    yield


def _date_now(_: HostCall, world: World, readings: Readings) -> Answer:
    return (_f64(world.realtime_ns(readings.next_reading()) // NS_PER_MS * NS_PER_MS),)
    yield


def _resolution(_: HostCall, world: World, __: Readings) -> Answer:
    return (_f64(world.resolution_ns()),)
    yield


def _yes(_: HostCall, __: World, ___: Readings) -> Answer:
    return (1,)
    yield


def _cores(_: HostCall, world: World, __: Readings) -> Answer:
    return (world.cores(),)
    yield


def _random(call: HostCall, world: World, readings: Readings) -> Answer:
    """
    A number from 0 up to and without 1.
    """
    drawn = int.from_bytes(readings.next_random(world, 8), "little")
    if call.results == ("f32",):
        return (int.from_bytes(struct.pack("<f", (drawn >> 40) / (1 << 24)), "little"),)
    return (int.from_bytes(struct.pack("<d", (drawn >> 11) / (1 << 53)), "little"),)
    yield


def _entropy(call: HostCall, world: World, readings: Readings) -> Answer:
    address, size = call.arguments
    if size > _LARGEST_ENTROPY:
        return (_MASK32,)
    yield from write(address, readings.next_random(world, size))
    return (0,)


def _time(call: HostCall, world: World, readings: Readings) -> Answer:
    """
    `time(address)`: seconds since 1970, written there too unless it is 0.
    """
    seconds = world.realtime_ns(readings.next_reading()) // NS_PER_S
    wide = call.results == ("i64",)
    if call.arguments[0]:
        yield from write(call.arguments[0], seconds.to_bytes(8 if wide else 4, "little"))
    return (seconds,)


def _set_high_word(call: HostCall, _: World, readings: Readings) -> Answer:
    readings.high_word = call.arguments[0]
    return ()
    yield


def _high_word(_: HostCall, __: World, readings: Readings) -> Answer:
    return (readings.high_word,)
    yield


def _maths(call: HostCall, world: World, function: str) -> Answer:
    return (answer_maths(call, function, world),)
    yield


_F64: Final = ((), ("f64",))
_I32: Final = ((), ("i32",))
_STEADY: Final[dict[str, _Handler]] = {
    "emscripten_memcpy_big": _copy,
    "_emscripten_memcpy_big": _copy,
    "emscripten_memcpy_js": _copy,
    "_emscripten_memcpy_js": _copy,
    "emscripten_resize_heap": _grow,
    "_emscripten_resize_heap": _grow,
    "emscripten_get_heap_max": _heap_most,
    "emscripten_notify_memory_growth": _nothing,
    "emscripten_console_log": _nothing,
    "emscripten_console_warn": _nothing,
    "emscripten_console_error": _nothing,
    "_emscripten_runtime_keepalive_clear": _nothing,
    "abort": _abort,
    "_abort_js": _abort,
    "abortOnCannotGrowMemory": _abort,
    "__assert_fail": _assert_fail,
    "exit": _exit,
    "_exit": _exit,
    "__cxa_throw": _throw,
    "_emscripten_throw_longjmp": _throw,
    "setTempRet0": _set_high_word,
    "getTempRet0": _high_word,
    "emscripten_get_now_is_monotonic": _yes,
    "_emscripten_get_now_is_monotonic": _yes,
}
_VARYING: Final[dict[str, _Handler]] = {
    "emscripten_get_now": _now,
    "_emscripten_get_now": _now,
    "emscripten_date_now": _date_now,
    "emscripten_performance_now": _now,
    "emscripten_get_now_res": _resolution,
    "_emscripten_get_now_res": _resolution,
    "emscripten_random": _random,
    "emscripten_num_logical_cores": _cores,
    "getentropy": _entropy,
    "time": _time,
}
_TYPES: Final[dict[_Handler, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]] = {
    _copy: ((("i32",) * 3, ()), (("i32",) * 3, ("i32",))),
    _grow: ((("i32",), ("i32",)),),
    _heap_most: (_I32,),
    _abort: (((), ()), (("i32",), ()), (("i32",), ("i32",))),
    _assert_fail: ((("i32",) * 4, ()),),
    _exit: ((("i32",), ()),),
    _now: (_F64,),
    _date_now: (_F64,),
    _resolution: (_F64,),
    _yes: (_I32,),
    _cores: (_I32,),
    _random: (_F64, ((), ("f32",))),
    _entropy: ((("i32", "i32"), ("i32",)),),
    _time: ((("i32",), ("i32",)), (("i32",), ("i64",))),
    _set_high_word: ((("i32",), ()),),
    _high_word: (_I32,),
}
"""Types that a handler serves; a handler that is not here serves all."""


def is_known(name: str) -> bool:
    """
    Whether `env.NAME` has an answer.
    """
    return name in _STEADY or is_varying(name)


def grows(name: str) -> bool:
    """
    Whether the answer of `env.NAME` grows memory.
    """
    return _STEADY.get(name) is _grow


def is_varying(name: str) -> bool:
    """
    Whether validators may answer `env.NAME` differently.
    """
    return name in _VARYING or meant_function(name) is not None


def answer_emscripten(call: HostCall, world: World, readings: Readings) -> Answer:
    """
    Answer `env.NAME`; raises HostStopError for an import that emscripten has not, or of another
    type than it has.
    """
    handler = _STEADY.get(call.name) or _VARYING.get(call.name)
    if handler is None:
        function = meant_function(call.name)
        if function is None:
            message = f"the emscripten ABI has no answer for {call.module}.{call.name}"
            raise HostStopError(message)
        return (yield from _maths(call, world, function))
    types = _TYPES.get(handler)
    if types is not None and (call.parameters, call.results) not in types:
        shown = f"({', '.join(call.parameters)}) -> ({', '.join(call.results)})"
        message = f"{call.name} is imported with the type {shown}, which emscripten's has not"
        raise HostStopError(message)
    return (yield from handler(call, world, readings))
