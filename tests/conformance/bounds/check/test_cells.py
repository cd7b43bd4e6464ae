"""
Cells of frames: what a function keeps is followed, and whatever may write to it is a refusal.
"""

from __future__ import annotations

import pytest
from calls_in_process import InProcess
from certificates_by_hand import FUEL
from framed_modules import CALLEE, OWN, Framed
from msgspec.structs import replace

from conformance.bounds.check.judge import judge
from conformance.bounds.check.replaying.replay import Replay, replay
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.host_records import Written


def reasons(framed: Framed) -> set[str]:
    module = framed.module()
    return {refusal.reason for refusal in judge(framed.certificate(module), module).refusals}


def sentences(framed: Framed) -> str:
    module = framed.module()
    return "; ".join(r.sentence for r in judge(framed.certificate(module), module).refusals)


def runs(framed: Framed) -> Replay:
    module = framed.module()
    return replay(Subject(module, framed.certificate(module)), InProcess())


def beaten(framed: Framed) -> bool:
    """
    Whether some run costs more than is claimed, so that the certificate must not be believed.
    """
    module = framed.module()
    hi = framed.certificate(module).bounds[0].hi
    return max(runs(framed).measured[FUEL]) > hi


def test_a_counter_in_a_frame_is_followed_past_pointers_and_calls() -> None:
    framed = Framed()
    assert reasons(framed) == set()
    found = runs(framed)
    assert found.refusals == []
    # Rows show the counter: nothing that is claimed of it stays hidden.
    assert found.hidden == 0
    assert max(found.measured[FUEL]) == framed.certificate(framed.module()).bounds[0].hi


@pytest.mark.parametrize("most", [3, 1])
def test_the_counter_is_what_was_stored_and_no_less(most: int) -> None:
    framed = Framed(most=most)
    assert beaten(framed)
    assert "obligation" in reasons(framed)
    assert runs(framed).refusals


STORED = {
    "a store through a pointer": Framed(
        before="(i32.store (i32.add (i32.const 960) (local.get 0)) (i32.const 500))", inputs=(60,)
    ),
    "a store through a pointer, of a byte": Framed(
        before="(i32.store8 (i32.add (i32.const 961) (local.get 0)) (i32.const 5))", inputs=(60,)
    ),
    "a fill": Framed(
        before="(memory.fill (i32.add (i32.const 960) (local.get 0)) (i32.const 1) (i32.const 4))",
        inputs=(60,),
    ),
    "a callee's pointer": Framed(pointer=1020),
    "a callee's frame": Framed(
        enter="", sp=1024, loop=("(eq (local 1) (i32 1008))", "(eq (global 0) (i32 1024))")
    ),
    "a callee that may write anything": Framed(pointer=1020, writes=None),
    "a callee that is said to write nothing": Framed(pointer=1020, writes=()),
    "a callee that is said to write its frame only": Framed(pointer=1020, writes=CALLEE[:1]),
}


@pytest.mark.parametrize("what", STORED)
def test_what_may_write_to_a_cell_is_a_refusal(what: str) -> None:
    framed = STORED[what]
    assert beaten(framed)
    assert "obligation" in reasons(framed)
    assert runs(framed).refusals


def test_a_store_that_only_touches_a_cell_changes_it() -> None:
    # The second byte becomes 1: the counter is 256 more.
    touched = Framed(before="(i32.store8 offset=13 (local.get 1) (i32.const 1))")
    assert beaten(touched)
    assert "obligation" in reasons(touched)
    right = Framed(before=touched.before, most=260)
    assert reasons(right) == set()
    # A store of two bytes, one of them in front of the span.
    across = Framed(before="(i32.store16 offset=11 (local.get 1) (i32.const 0x5000))")
    assert beaten(across)
    assert "obligation" in reasons(across)


def test_cells_that_wrap_around_the_end_of_memory_are_at_both_ends() -> None:
    # From 2^32 - 4 on, eight bytes: the last four are the counter at address 0.
    wrapped = Framed(
        address="(i32.const 0)", offset=0, cell="(load 4 (i32 0))",
        cells=(Written("(i32 4294967292)", "(i32 4)"),),
        before="(i32.store (i32.sub (i32.const 60) (local.get 0)) (i32.const 500))", inputs=(60,),
    )  # fmt: skip
    assert beaten(wrapped)
    assert "obligation" in reasons(wrapped)


def test_a_variable_that_is_said_to_be_fixed_must_be() -> None:
    lie = Framed(loop=("(eq (local 1) (i32 1012))", "(eq (global 0) (i32 1008))"))
    assert "obligation" in reasons(lie)
    assert runs(lie).refusals


@pytest.mark.parametrize(
    ("framed", "says"),
    [
        (Framed(cells=(OWN, Written("(param 0)", "(add (param 0) (i32 4))"))), "distance"),
        (Framed(cells=(Written("(i32 1020)", "(param 0)"),)), "length"),
        (Framed(cells=(Written("(i32 1020)", "(i32 1020)"),)), "length"),
        (Framed(cells=(Written("(load 4 (i32 0))", "(i32 1024)"),)), "address"),
        (Framed(cells=(Written("(i32 1020)", "(i32 1022)"),)), "does not follow"),
        (Framed(cells=(Written("(i32 2020)", "(i32 2024)"),)), "does not follow"),
    ],
)
def test_cells_that_say_nothing_sensible_are_refused_by_form(framed: Framed, says: str) -> None:
    assert reasons(framed) == {"form"}
    assert says in sentences(framed)


def test_what_is_said_to_be_fixed_may_contradict_itself() -> None:
    twice = ("(eq (local 1) (i32 1008))", "(eq (local 1) (i32 1012))", "(eq (global 0) (i32 1008))")
    assert "contradiction" in reasons(Framed(loop=twice))


def test_without_cells_a_load_is_not_followed() -> None:
    module = Framed().module()
    certificate = Framed().certificate(module)
    *others, own = certificate.summaries
    lie = replace(certificate, summaries=(*others, replace(own, cells=())))
    assert {r.reason for r in judge(lie, module).refusals} == {"form"}
