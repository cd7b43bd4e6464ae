"""
The hosts of emscripten and WASI reactors, and settings that choose among them.
"""

from __future__ import annotations

import hashlib
import struct

import pytest
from guest_memory import PAGE, Guest, call_of, i32s

from runners.hosts.host import Host, HostStopError
from runners.hosts.setting import HostSetting
from runners.hosts.wasi_abi import BADF, FUNCTIONS, INVAL, MODULES, NOTCAPABLE, SPIPE, VARYING

WASI = "wasi_snapshot_preview1"


def wasi_host(seed: int = 0) -> Host:
    names = tuple(f"{WASI}.{name}" for name in FUNCTIONS)
    return HostSetting(abi="wasi", imports=names, seed=seed).maker().host()


def env_host(*names: str, seed: int = 0) -> Host:
    keys = tuple(f"env.{name}" for name in names)
    return HostSetting(abi="emscripten", imports=keys, seed=seed).maker().host()


def ask(guest: Guest, host: Host, name: str, *values: int) -> int:
    """
    A WASI function, with the types that it has.
    """
    parameters, results = FUNCTIONS[name]
    typed = tuple(zip(parameters, values, strict=True))
    call = call_of(f"{WASI}.{name}", *typed, results=results)  # type: ignore[arg-type]
    return guest.ask(host, call)[0]


def test_every_function_of_preview1_has_an_answer() -> None:
    """
    46 functions: an errno, or an end of the case.
    """
    assert len(FUNCTIONS) == 46
    for name, (parameters, _) in FUNCTIONS.items():
        arguments = [1] + [64] * (len(parameters) - 1) if parameters else []
        if name in ("proc_exit", "proc_raise"):
            with pytest.raises(
                HostStopError, match=r"the module (exited with|raised the signal) 1"
            ):
                ask(Guest(), wasi_host(), name, *arguments)
        else:
            assert 0 <= ask(Guest(1 << 17), wasi_host(), name, *arguments) <= NOTCAPABLE
    assert set(FUNCTIONS) >= VARYING


def test_arguments_and_environment_are_laid_out() -> None:
    """
    Pointers first, texts ended by zeros.
    """
    guest, host = Guest(), wasi_host(5)
    assert ask(guest, host, "environ_sizes_get", 0, 4) == 0
    count, size = struct.unpack_from("<II", guest.memory)
    assert ask(guest, host, "environ_get", 64, 256) == 0
    pointers = struct.unpack_from(f"<{count}I", guest.memory, 64)
    texts = bytes(guest.memory[256 : 256 + size]).split(b"\0")
    assert [text.partition(b"=")[0] for text in texts[:-1]] == [
        b"HOME",
        b"HOSTNAME",
        b"LANG",
        b"TZ",
    ]
    assert pointers[0] == 256
    assert pointers[1] == 256 + len(texts[0]) + 1
    assert ask(guest, host, "args_sizes_get", 0, 4) == 0
    assert ask(guest, host, "args_get", 64, 256) == 0
    assert guest.memory[256:262] == b"wasmd\0"


def test_outputs_are_recorded_and_counted() -> None:
    """
    Two buffers to stdout; a file that is not open takes nothing.
    """
    guest, host = Guest(), wasi_host()
    guest.memory[100:105] = b"hello"
    struct.pack_into("<IIII", guest.memory, 8, 100, 5, 102, 2)
    assert ask(guest, host, "fd_write", 1, 8, 2, 60) == 0
    assert struct.unpack_from("<I", guest.memory, 60) == (7,)
    read = [step.sha256 for step in guest.log[0].steps]
    assert hashlib.sha256(b"hello").hexdigest() in read
    assert hashlib.sha256(b"ll").hexdigest() in read
    assert ask(guest, host, "fd_write", 3, 8, 2, 60) == BADF
    assert ask(guest, host, "fd_write", 1, 8, 5000, 60) == INVAL


def test_files_and_paths_are_not_there() -> None:
    """
    Standard streams cannot seek; others are not open; no path leads anywhere.
    """
    guest, host = Guest(), wasi_host()
    assert ask(guest, host, "fd_seek", 1, 0, 0, 8) == SPIPE
    assert ask(guest, host, "fd_seek", 7, 0, 0, 8) == BADF
    assert ask(guest, host, "fd_prestat_get", 3, 8) == BADF
    assert ask(guest, host, "path_open", 3, 0, 8, 4, 0, 0, 0, 0, 16) == NOTCAPABLE
    assert ask(guest, host, "fd_read", 0, 8, 0, 16) == 0
    assert ask(guest, host, "fd_fdstat_get", 1, 32) == 0
    assert guest.memory[32] == 2
    assert ask(guest, host, "fd_close", 2) == 0


def test_clocks_and_random_bytes_are_the_worlds() -> None:
    """
    Another seed, other bytes; the same seed, the same.
    """

    def told(seed: int) -> bytes:
        guest, host = Guest(), wasi_host(seed)
        assert ask(guest, host, "clock_time_get", 0, 0, 0) == 0
        assert ask(guest, host, "random_get", 8, 24) == 0
        return bytes(guest.memory[:32])

    assert told(3) == told(3)
    assert told(3)[:8] != told(4)[:8]
    assert told(3)[8:] != told(4)[8:]
    assert ask(Guest(), wasi_host(), "clock_time_get", 9, 0, 0) == INVAL


def test_waiting_ends_at_once() -> None:
    """
    A clock has gone off; a file is not open.
    """
    guest = Guest()
    struct.pack_into("<QB", guest.memory, 0, 0x11, 0)
    struct.pack_into("<QB", guest.memory, 48, 0x22, 1)
    assert ask(guest, wasi_host(), "poll_oneoff", 0, 256, 2, 512) == 0
    assert struct.unpack_from("<I", guest.memory, 512) == (2,)
    assert struct.unpack_from("<QHB", guest.memory, 256) == (0x11, 0, 0)
    assert struct.unpack_from("<QHB", guest.memory, 288) == (0x22, BADF, 1)


def test_pointers_outside_memory_end_the_case() -> None:
    """
    With the address.
    """
    with pytest.raises(HostStopError, match=r"a poke at 4095"):
        ask(Guest(), wasi_host(), "random_get", 4095, 8)
    with pytest.raises(HostStopError, match=r"a peek at 4000"):
        ask(Guest(), wasi_host(), "fd_write", 1, 4000, 100, 0)


def test_what_is_not_allowed_or_has_another_type_ends_the_case() -> None:
    """
    Exact names, exact types.
    """
    few = HostSetting(abi="wasi", imports=(f"{WASI}.random_get",)).maker()
    with pytest.raises(HostStopError, match=r"does not allow the import .*clock_time_get"):
        ask(Guest(), few.host(), "clock_time_get", 0, 0, 0)
    wrong = call_of(f"{WASI}.random_get", *i32s(0), results=("i32",))
    with pytest.raises(HostStopError, match=r"preview1's has .i32, i32. -> .i32."):
        Guest().ask(few.host(), wrong)
    none = call_of(f"{WASI}.fd_dance", results=("i32",))
    with pytest.raises(HostStopError, match=r"preview1 has no function"):
        Guest().ask(HostSetting(abi="wasi", imports=(f"{WASI}.fd_dance",)).maker().host(), none)
    plain = HostSetting(imports=("env.exp",)).maker().host()
    with pytest.raises(HostStopError, match=r"the plain ABI has no answer for env.exp"):
        Guest().ask(plain, call_of("env.exp", ("f64", 0), results=("f64",)))


def test_the_module_ends_itself() -> None:
    """
    Exit, abort, a failed assertion.
    """
    with pytest.raises(HostStopError, match=r"exited with 3"):
        ask(Guest(), wasi_host(), "proc_exit", 3)
    with pytest.raises(HostStopError, match=r"the module aborted"):
        Guest().ask(env_host("abort"), call_of("env.abort"))
    guest = Guest()
    guest.memory[10:16] = b"x > 0\0"
    guest.memory[20:24] = b"a.c\0"
    guest.memory[30:32] = b"f\0"
    with pytest.raises(HostStopError, match=r"assertion x > 0 failed in f, a.c:12"):
        guest.ask(env_host("__assert_fail"), call_of("env.__assert_fail", *i32s(10, 20, 12, 30)))


def test_emscripten_copies_overlapping_memory() -> None:
    """
    As one move.
    """
    guest = Guest()
    guest.memory[0:6] = b"abcdef"
    call = call_of("env.emscripten_memcpy_big", *i32s(2, 0, 6))
    assert guest.ask(env_host("emscripten_memcpy_big"), call) == ()
    assert guest.memory[0:8] == b"ababcdef"


def test_memory_grows_on_emscriptens_schedule() -> None:
    """
    A fifth more than there was; then less; then not at all.
    """
    call = call_of("env.emscripten_resize_heap", *i32s(11 * PAGE - 1), results=("i32",))
    host = env_host("emscripten_resize_heap")
    for most, pages, given in ((16, 12, 1), (11, 11, 1), (10, 10, 0)):
        guest = Guest(10 * PAGE)
        guest.most_pages = most
        assert guest.ask(host, call) == (given,)
        assert len(guest.memory) == pages * PAGE
    beyond = call_of("env.emscripten_resize_heap", *i32s((1 << 31) + 1), results=("i32",))
    assert Guest().ask(host, beyond) == (0,)
    growing = HostSetting(abi="emscripten", imports=("env.emscripten_resize_heap",))
    assert growing.needs == {"hosts", "hosts:grow"}
    assert HostSetting(abi="emscripten", imports=("env.exp",)).needs == {"hosts"}


def test_emscripten_time_random_and_maths_are_the_worlds() -> None:
    """
    Two seeds differ in each of them.
    """
    calls = [
        call_of("env.emscripten_get_now", results=("f64",)),
        call_of("env.emscripten_date_now", results=("f64",)),
        call_of("env.emscripten_random", results=("f64",)),
    ]
    host = {
        seed: env_host("emscripten_get_now", "emscripten_date_now", "emscripten_random", seed=seed)
        for seed in (1, 2)
    }
    for call in calls:
        first, second = (Guest().ask(host[seed], call)[0] for seed in (1, 2))
        assert first != second
        assert struct.unpack("<d", first.to_bytes(8, "little"))[0] >= 0
    exp = call_of("env.exp", ("f64", 0x3FF0000000000000), results=("f64",))
    assert Guest().ask(env_host("exp"), exp) == (0x4005BF0A8B145769,)


def test_minified_imports_are_named_by_the_manifest() -> None:
    """
    `a.b` is memcpy here, and nothing without the map.
    """
    setting = HostSetting(
        abi="emscripten", imports=("a.b",), names=(("a.b", "env.emscripten_memcpy_big"),)
    )
    guest = Guest()
    guest.memory[0:2] = b"xy"
    guest.ask(setting.maker().host(), call_of("a.b", *i32s(8, 0, 2)))
    assert guest.memory[8:10] == b"xy"
    assert setting.knows("a.b")
    assert not setting.is_varying("a.b")
    bare = HostSetting(abi="emscripten", imports=("a.b",))
    assert not bare.knows("a.b")
    with pytest.raises(HostStopError, match=r"has no answer for a.b"):
        Guest().ask(bare.maker().host(), call_of("a.b", *i32s(8, 0, 2)))


def test_digests_tell_settings_and_worlds_apart() -> None:
    """
    Whatever an answer depends on.
    """
    one = HostSetting(abi="wasi", imports=(f"{MODULES[0]}.random_get",))
    two = HostSetting(abi="wasi", imports=(f"{MODULES[0]}.random_get",), seed=1)
    makers = [one.maker(), two.maker(), one.varied(5), one.varied(6), one.varied(5, "a.b")]
    assert len({maker.digest() for maker in makers}) == len(makers)
    assert one.maker().digest() == one.maker().digest()


def test_scripted_answers_vary_only_where_validators_may_differ() -> None:
    """
    An import that no ABI knows may be anything; a copy in memory is the same everywhere.
    """
    lines = (
        "env.clock() -> f64:3ff0000000000000",
        "env.count() -> i32:00000007",
        "env.fill() {poke 8 bytes:0000} -> ()",
    )
    keys = ("env.clock", "env.count", "env.fill")
    plain = HostSetting(imports=keys, script=lines, scripted=True)

    def told(host: Host) -> tuple[int, int, bytes]:
        guest = Guest()
        clock = guest.ask(host, call_of("env.clock", results=("f64",)))[0]
        count = guest.ask(host, call_of("env.count", results=("i32",)))[0]
        guest.ask(host, call_of("env.fill"))
        return clock, count, bytes(guest.memory[8:10])

    as_written = (0x3FF0000000000000, 7, b"\0\0")
    assert told(plain.maker().host()) == as_written
    other = told(plain.varied(3).host())
    assert other[0] != as_written[0]
    assert other[0] >> 52 == as_written[0] >> 52
    maths = HostSetting(
        imports=("env.exp",), script=("env.exp(*) -> f64:3ff0000000000000",), scripted=True
    )
    exp = call_of("env.exp", ("f64", 7), results=("f64",))
    assert abs(Guest().ask(maths.varied(3).host(), exp)[0] - 0x3FF0000000000000) == 1
    assert other[1] != 7
    assert other[2] != b"\0\0"
    only = told(plain.varied(3, "env.count").host())
    assert (only[0], only[2]) == (as_written[0], as_written[2])
    assert only[1] != 7

    copy = ("a.b(*) {poke 8 bytes:6162} -> ()",)
    named = HostSetting(
        abi="emscripten", imports=("a.b",), script=copy, scripted=True,
        names=(("a.b", "env.emscripten_memcpy_big"),),
    )  # fmt: skip
    guest = Guest()
    guest.ask(named.varied(3).host(), call_of("a.b", *i32s(8, 0, 2)))
    assert guest.memory[8:10] == b"ab"
