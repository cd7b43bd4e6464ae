"""
Wrong ideas of what instructions do, put into the prover's translation, each with a victim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from lied_about import VICTIMS, M, N, Victim, chosen, counted

from conformance.bounds.prove import machine, segments
from conformance.bounds.prove.segments import _Run
from conformance.bounds.prove.terms import Term, Terms

Tell = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Lie:
    """
    One altered hypothesis of the prover, and the modules on which it is told.
    """

    name: str
    tell: Tell
    victims: tuple[Victim, ...]


def about(name: str, tell: Tell, *victims: str) -> Lie:
    """
    A lie about named victims.
    """
    return Lie(name, tell, tuple(VICTIMS[victim] for victim in victims))


def _plus(number: int, value: str) -> str:
    return f"(i32.add (i32.const {number}) {value})"


def _wrapped(operator: str, value: str, shift: int, right: str) -> str:
    wide = f"(i64.{operator} (i64.{right} {value}) (i64.const {shift}))"
    return f"(i32.wrap_i64 {wide})"


_MEANINGS: tuple[tuple[str, str, str, str], ...] = (
    ("_PLAIN", "add", "sub",
     counted(f"(i32.add (i32.const 20) {N})", step="(i32.sub (local.get $i) (i32.const 1))")),
    ("_PLAIN", "sub", "add", counted(f"(i32.sub (i32.const 20) {N})")),
    ("_PLAIN", "mul", "add", counted(_plus(1, f"(i32.mul {N} {N})"))),
    ("_PLAIN", "and", "or", counted(_plus(1, f"(i32.and {N} (i32.const 3))"))),
    ("_PLAIN", "or", "and", counted(_plus(1, f"(i32.or {N} (i32.const 16))"))),
    ("_PLAIN", "xor", "or", counted(_plus(1, f"(i32.xor {N} (i32.const 15))"))),
    ("_PLAIN", "div_u", "sdiv", counted(_plus(1, f"(i32.div_u {M} (i32.const 0x10000000))"))),
    ("_PLAIN", "div_s", "udiv", counted(_plus(20, f"(i32.div_s {M} (i32.const 2))"))),
    ("_PLAIN", "rem_u", "srem", counted(_plus(20, f"(i32.rem_u {M} (i32.const 10))"))),
    ("_PLAIN", "rem_s", "urem", counted(_plus(20, f"(i32.rem_s {M} (i32.const 10))"))),
    ("_SHIFTS", "shl", "lshr", counted(_plus(1, f"(i32.shl {N} (i32.const 2))"))),
    ("_SHIFTS", "shr_u", "ashr", counted(_plus(2, f"(i32.shr_u {M} (i32.const 28))"))),
    ("_SHIFTS", "shr_s", "lshr", counted(_plus(20, f"(i32.shr_s {M} (i32.const 1))"))),
    ("_COMPARING", "lt_s", "ult", chosen(f"(i32.lt_s {M} (i32.const 0))")),
    ("_COMPARING", "gt_s", "ugt", chosen(f"(i32.gt_s (i32.const 0) {M})")),
    ("_COMPARING", "le_s", "ule", chosen(f"(i32.le_s {M} (i32.const -1))")),
    ("_COMPARING", "ge_s", "uge", chosen(f"(i32.ge_s (i32.const -1) {M})")),
    ("_COMPARING", "lt_u", "slt", chosen(f"(i32.lt_u {M} (i32.const -8))")),
    ("_COMPARING", "gt_u", "sgt", chosen(f"(i32.gt_u (i32.const -8) {M})")),
    ("_COMPARING", "le_u", "sle", chosen(f"(i32.le_u {M} (i32.const -9))")),
    ("_COMPARING", "ge_u", "sge", chosen(f"(i32.ge_u (i32.const -9) {M})")),
    ("_COMPARING", "eq", "ne", chosen(f"(i32.eq {N} (i32.const 99))")),
    ("_COMPARING", "ne", "eq", chosen(f"(i32.ne {N} (i32.const 99))")),
    ("_COMPARING", "lt_u", "ule", chosen(f"(i32.lt_u {N} (i32.const 15))")),
    ("_COMPARING", "lt_s", "sle", chosen(f"(i32.lt_s {N} (i32.const 15))")),
    ("_COMPARING", "ge_u", "ugt", chosen(f"(i32.ge_u {N} (i32.const 15))")),
    ("_COMPARING", "ge_s", "sgt", chosen(f"(i32.ge_s {N} (i32.const 15))")),
)  # fmt: skip
"""(Table of the translation, operator, what it is taken for, module where that matters)."""


def _table(name: str, operator: str, meaning: str) -> Tell:
    def tell(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(getattr(machine, name), operator, meaning)

    return tell


def _unmasked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "_count", lambda _, amount: amount)


def _single(operator: str, made: Callable[[Terms, Term, int], Term]) -> Tell:
    def tell(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(machine._SINGLE, operator, made)

    return tell


def _bits(low: int, high: int, *, sign: bool) -> Callable[[Terms, Term, int], Term]:
    def made(terms: Terms, value: Term, width: int) -> Term:
        return terms.extend(terms.extract(value, high, low), width, sign=sign)

    return made


def _longer(*, sign: bool) -> Callable[[Terms, Term, int], Term]:
    return lambda terms, value, _: terms.extend(value, 64, sign=sign)


def _instead(operator: str, made: Callable[[Terms, int, Sequence[Term]], Term]) -> Tell:
    """
    Another translation of one operator than the whole of `integer`.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = machine.integer

        def lying(terms: Terms, name: str, width: int, operands: Sequence[Term]) -> Term:
            if name == operator:
                return made(terms, width, operands)
            return right(terms, name, width, operands)

        patch.setattr(segments, "integer", lying)

    return tell


def _eqz_inverted(terms: Terms, width: int, operands: Sequence[Term]) -> Term:
    return terms.bit(terms.two("ne", operands[0], terms.const(width, 0)))


def _zero(terms: Terms, width: int, operands: Sequence[Term]) -> Term:
    del operands
    return terms.const(width, 0)


_right_integer = machine.integer


def _other_way(terms: Terms, width: int, operands: Sequence[Term]) -> Term:
    return _right_integer(terms, "rotr", width, operands)


def _lost_bits(terms: Terms, width: int, operands: Sequence[Term]) -> Term:
    return _right_integer(terms, "shl", width, operands)


def _float_is(number: int) -> Tell:
    """
    What a float operator gives is a known number instead of any.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        def lying(run: _Run, kind: str, operator: str, state: Any) -> None:
            del operator
            state.stack.append(run.terms.const(int(kind[1:]), number))

        patch.setattr(_Run, "float_result", lying)

    return tell


# ------------------------------------------------------------------------------ loads and stores


def _load(change: Callable[[_Run, Any, int], Term]) -> Tell:
    """
    Loads whose value, on the stack, is something else than what was loaded.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.access

        def lying(run: _Run, at: int, instruction: Any, state: Any) -> None:
            right(run, at, instruction, state)
            if ".load" in instruction.opcode.name:
                width = state.stack[-1].width
                state.stack[-1] = change(run, run.region.loads[-1], width)

        patch.setattr(_Run, "access", lying)

    return tell


def _stale(run: _Run, loaded: Any, width: int) -> Term:
    same = (one for one in run.region.loads if one.address is loaded.address)
    return run.terms.extend(next(same).value, width)


def _extended(*, sign: bool) -> Callable[[_Run, Any, int], Term]:
    return lambda run, loaded, width: run.terms.extend(loaded.value, width, sign=sign)


def _narrower(run: _Run, loaded: Any, width: int) -> Term:
    low = run.terms.extract(loaded.value, loaded.value.width // 2 - 1, 0)
    return run.terms.extend(low, width)


def _read(value: str) -> Victim:
    return Victim(counted(value), ((0, 0),), reads=True)


_BYTE = "(i32.load8_u (i32.const 0))"
_SIGNED = "(i32.load8_s (i32.const 0))"


def lies_of_meaning() -> Iterator[Lie]:
    """
    All of them, in a fixed order.
    """
    for table, operator, meaning, text in _MEANINGS:
        name = f"{operator} is taken for {meaning}"
        yield Lie(name, _table(table, operator, meaning), (Victim(text),))
    yield Lie("shift counts are not taken modulo the width", _unmasked,
              (Victim(counted(_plus(1, f"(i32.shl {N} (i32.const 32))"))),))  # fmt: skip
    turned = f"(i32.shr_u (i32.rotl {N} (i32.const 28)) (i32.const 28))"
    yield Lie("rotl turns to the right", _instead("rotl", _other_way),
              (Victim(counted(_plus(1, turned))),))  # fmt: skip
    turned = f"(i32.rotl (i32.shl {N} (i32.const 28)) (i32.const 4))"
    yield Lie("rotl loses the bits that leave", _instead("rotl", _lost_bits),
              (Victim(counted(_plus(1, turned))),))  # fmt: skip
    yield Lie("eqz is inverted", _instead("eqz", _eqz_inverted),
              (Victim(chosen(f"(i32.eqz (i32.add {N} (i32.const 1)))")),))  # fmt: skip
    yield Lie("clz gives 0", _instead("clz", _zero),
              (Victim(counted(_plus(1, f"(i32.and (i32.clz {N}) (i32.const 31))"))),))  # fmt: skip
    byte = f"(i32.extend8_s (i32.add {N} (i32.const 120)))"
    yield Lie("extend8_s has no sign", _single("extend8_s", _bits(0, 7, sign=False)),
              (Victim(counted(_plus(200, byte))),))  # fmt: skip
    half = f"(i32.shr_s (i32.extend16_s (i32.add {N} (i32.const 32760))) (i32.const 12))"
    yield Lie("extend16_s has no sign", _single("extend16_s", _bits(0, 15, sign=False)),
              (Victim(counted(_plus(20, half))),))  # fmt: skip
    wide = f"(i64.shr_s (i64.extend32_s (i64.extend_i32_u {M})) (i64.const 2))"
    yield Lie("extend32_s has no sign", _single("extend32_s", _bits(0, 31, sign=False)),
              (Victim(counted(_plus(20, f"(i32.wrap_i64 {wide})"))),))  # fmt: skip
    yield Lie("wrap_i64 takes the upper word", _single("wrap_i64", _bits(32, 63, sign=False)),
              (Victim(counted(_plus(1, f"(i32.wrap_i64 (i64.extend_i32_u {N}))"))),))  # fmt: skip
    for right, sign in (("extend_i32_u", True), ("extend_i32_s", False)):
        name = f"{right} has {'a' if sign else 'no'} sign"
        value = _plus(20, _wrapped("shr_s", M, 30, right))
        yield Lie(name, _single(right, _longer(sign=sign)), (Victim(counted(value)),))
    number = f"(i32.trunc_sat_f64_s (f64.convert_i32_s {N}))"
    yield Lie("truncated floats are 0", _float_is(0),
              (Victim(counted(_plus(1, f"(i32.and {number} (i32.const 15))"))),))  # fmt: skip
    less = f"(f64.lt (f64.convert_i32_s {N}) (f64.const 8))"
    for bit in (0, 1):
        yield Lie(f"comparisons of floats give {bit}", _float_is(bit), (Victim(chosen(less)),))
    sign_lies = ((_SIGNED, False), (_BYTE, True))
    for value, sign in sign_lies:
        name = f"{value[5:12]} has {'a' if sign else 'no'} sign"
        yield Lie(name, _load(_extended(sign=sign)), (_read(_plus(130, value)),))
    yield Lie("memory of the host is 0", _load(lambda run, _, w: run.terms.const(w, 0)),
              (_read(_plus(1, _BYTE)),))  # fmt: skip
    yield Lie("loads read half of their bytes", _load(_narrower), (_read(_plus(1, _BYTE)),))
    yield about("a load after a store reads what was there before", _load(_stale), "stored")
