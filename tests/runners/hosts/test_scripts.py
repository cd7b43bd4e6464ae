"""
Host scripts: read, replayed, written from a log.
"""

from __future__ import annotations

import hashlib

import pytest
from guest_memory import Guest, call_of, i32s
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.bits import ValueType
from runners.hosts.deny import DenyMaker
from runners.hosts.host import Answer, Grow, HostCall, HostStopError, Peek, Poke, Reenter, Step
from runners.hosts.script import BadScriptError, ScriptHost, parse_script, script_of

CLOCK = call_of("env.clock", results=("i64",))


def test_answers_come_in_order_and_the_script_must_be_used_up() -> None:
    """
    A clock that was read twice.
    """
    lines = ["# a clock", "", "env.clock() -> i64:0000000000000007",
             "env.clock() -> i64:0000000000000009"]  # fmt: skip
    host, guest = ScriptHost(parse_script(lines)), Guest()
    assert host.ended() == "2 answers of the host script left over, the first for env.clock"
    assert guest.ask(host, CLOCK) == (7,)
    assert host.ended() == "1 answer of the host script left over, the first for env.clock"
    assert guest.ask(host, CLOCK) == (9,)
    assert host.ended() is None
    with pytest.raises(HostStopError, match=r"ends before call 3, which is env.clock"):
        guest.ask(host, CLOCK)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("env.other() -> i64:0000000000000007", r"call 1 is env.clock\(\), .* has env.other\(\)"),
        ("env.clock(i32:00000001) -> i64:0000000000000007", "has env.clock.i32:00000001."),
        ("env.clock() -> i32:00000007", r"gives \(i64\), the host script answers \(i32:"),
        ("env.clock() -> ()", "gives .i64., the host script answers"),
        ("env.clock() -> host error", "ends the case at call 1"),
    ],
)
def test_another_call_than_the_scripted_ends_the_case(line: str, reason: str) -> None:
    """
    Both are named.
    """
    with pytest.raises(HostStopError, match=reason):
        Guest().ask(ScriptHost(parse_script([line])), CLOCK)


def test_steps_are_taken_and_checked() -> None:
    """
    A poke is written; a peek and a re-entry must give what they gave.
    """
    seen = hashlib.sha256(b"ab").hexdigest()
    line = (
        f"env.fill(*) {{peek 16+2 sha256:{seen}; reenter alloc(i32:00000004) -> i32:00000040;"
        " poke 64 bytes:01020304} -> i32:00000040"
    )
    call = call_of("env.fill", *i32s(5), results=("i32",))
    guest = Guest(exports={"alloc": (64,)})
    guest.memory[16:18] = b"ab"
    assert guest.ask(ScriptHost(parse_script([line])), call) == (64,)
    assert guest.memory[64:68] == b"\1\2\3\4"
    moved = Guest(exports={"alloc": (72,)})
    moved.memory[16:18] = b"ab"
    with pytest.raises(HostStopError, match=r"what alloc gives is not as the host script"):
        moved.ask(ScriptHost(parse_script([line])), call)
    with pytest.raises(HostStopError, match=r"memory is not as the host script has it"):
        Guest(exports={"alloc": (64,)}).ask(ScriptHost(parse_script([line])), call)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("clock", "does not begin with a call"),
        ("env.clock()", "after the call must stand ->"),
        ("env.clock() -> 7", "not a typed bit pattern"),
        ("env.clock(7) -> ()", "not a typed bit pattern"),
        ("env.clock() {poke 1 bytes:00 -> ()", "brace .* is not closed"),
        ("env.clock() {jump 1} -> ()", "is no step"),
        ("env.clock() {poke 1 bytes:0} -> ()", "not a byte pattern"),
    ],
)
def test_a_bad_line_is_named(line: str, reason: str) -> None:
    """
    By its number and in a sentence.
    """
    with pytest.raises(BadScriptError, match=reason) as caught:
        parse_script(["# first", line])
    assert caught.value.line == 2


class _Acting:
    """
    A host that takes given steps and gives given results.
    """

    def __init__(self, steps: list[Step], results: tuple[int, ...]) -> None:
        self._steps, self._results = steps, results

    def answer(self, _: HostCall) -> Answer:
        for step in self._steps:  # noqa: UP028 - a list takes no replies
            yield step
        return self._results

    def ended(self) -> str | None:
        return None


_STEPS = st.one_of(
    st.builds(Peek, st.integers(0, 100), st.integers(0, 20)),
    st.builds(Poke, st.integers(0, 100), st.binary(max_size=20)),
    st.builds(Grow, st.integers(0, 20)),
    st.builds(Reenter, st.just("alloc"), st.tuples(st.integers(0, 2**32 - 1))),
)
_NAMES = st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "Zs")), min_size=1)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(_STEPS, max_size=4), _NAMES, st.integers(0, 2**64 - 1))
def test_what_was_recorded_replays(steps: list[Step], name: str, bits: int) -> None:
    """
    A log becomes a script, the script gives the same answers, and its log is the same script.
    """
    kinds: tuple[ValueType, ...] = ("i64",)
    call = HostCall("env", name, kinds, kinds, (bits,))
    first, again = Guest(exports={"alloc": (64,)}), Guest(exports={"alloc": (64,)})
    first.ask(_Acting(steps, (bits,)), call)
    lines = script_of(first.log)
    host = ScriptHost(parse_script(lines))
    assert again.ask(host, call) == (bits,)
    assert host.ended() is None
    assert again.memory == first.memory
    assert script_of(again.log) == lines


def test_an_ended_case_is_replayed_as_one() -> None:
    """
    A call that was refused.
    """
    guest = Guest()
    with pytest.raises(HostStopError, match=r"does not allow the import env.clock"):
        guest.ask(DenyMaker().host(), CLOCK)
    lines = script_of(guest.log)
    assert lines == ("env.clock() -> host error",)
    with pytest.raises(HostStopError, match=r"ends the case at call 1"):
        Guest().ask(ScriptHost(parse_script(lines)), CLOCK)


def test_denial_has_one_digest() -> None:
    """
    And nothing to complain of.
    """
    assert DenyMaker().digest() == DenyMaker().digest()
    assert DenyMaker().host().ended() is None
