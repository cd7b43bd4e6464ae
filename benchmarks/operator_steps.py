"""
A module with one loop for each scalar operator, whose rounds repeat one step many times.

Each step takes what the step before it gave, so that a compiler can neither drop it nor do it
once for all. After the operator comes an addition, which stands between equal operators that
compilers would fold (`abs` of `abs`). The same loop without the operator is what is subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.passage_costs import Passages, gas
from conformance.bounds.prove.outcome import LoopBound
from conformance.gas.records import GasModel
from conformance.wasm.flow import flow
from conformance.wasm.loops import loop_forest
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME, OPCODES

STEPS: Final = 16
"""In one round."""
_PROPOSALS: Final = ("mvp", "sign-extension", "saturating-conversion")
_TYPES: Final = ("i32", "i64", "f32", "f64")
_BACK: Final[Mapping[tuple[str, str], str]] = {
    ("i32", "i64"): "i64.extend_i32_u",
    ("i32", "f32"): "f32.convert_i32_s",
    ("i32", "f64"): "f64.convert_i32_s",
    ("i64", "i32"): "i32.wrap_i64",
    ("i64", "f32"): "f32.convert_i64_s",
    ("i64", "f64"): "f64.convert_i64_s",
    ("f32", "i32"): "i32.reinterpret_f32",
    ("f32", "i64"): "i32.reinterpret_f32 i64.extend_i32_u",
    ("f32", "f64"): "f64.promote_f32",
    ("f64", "i32"): "i64.reinterpret_f64 i32.wrap_i64",
    ("f64", "i64"): "i64.reinterpret_f64",
    ("f64", "f32"): "f32.demote_f64",
}
"""From the type of a result to the type of the next step's operand."""
_LARGE: Final = {"i32": 0x7FFF_FFF0, "i64": 0x7FFF_FFFF_FFFF_FFF0}
_CONTROL: Final[Mapping[str, str]] = {
    "select": "local.get $a local.get $y local.get $one select local.set $a",
    "call": "local.get $a call $same local.set $a",
    "call_indirect": "local.get $a i32.const 0 call_indirect (param i32) (result i32) local.set $a",
    "br": "block br 0 end",
    "br_if": "block local.get $zero br_if 0 end",
    "br_table": "block local.get $zero br_table 0 0 end",
    "if": "local.get $zero if end",
    "block": "block end",
    "loop": "loop end",
    "memory.grow": "i32.const 0 memory.grow drop",
}
"""Steps of operators without a signature; `br_if` and `if` have a condition that is 0."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    How one operator is measured.
    """

    operator: str
    of: str
    """Type of what is carried from step to step."""
    text: str
    """In text format, `{offset}` for the place of a store; what the loop without it lacks."""
    start: int = 1
    """What is carried at first, the second operand, and what the addition adds."""
    second: int = 1
    added: int = 0

    @property
    def base(self) -> str:
        """
        Name of the loop without the operator.
        """
        return f"without-{self.of}"


def steps() -> tuple[Step, ...]:
    """
    All scalar operators of the core and of the two scalar extensions, and control.
    """
    found = [Step(name, "i32", text) for name, text in _CONTROL.items()]
    for opcode in OPCODES.values():
        head, _, rest = opcode.name.partition(".")
        if opcode.proposal not in _PROPOSALS or head not in _TYPES or rest == "const":
            continue
        found.append(_memory_step(opcode.name) if opcode.alignment is not None
                     else _scalar_step(opcode.name))  # fmt: skip
    return tuple(found)


def _memory_step(name: str) -> Step:
    """
    Loads read zeros whose value is the next address; stores go side by side.
    """
    kind = name.partition(".")[0]
    if "store" in name:
        operand = "$y" if kind == "i32" else f"$y_{kind}"
        return Step(name, "i32", f"local.get $a local.get {operand} {name} offset={{offset}}", 0)
    back = "" if kind == "i32" else " " + _BACK[kind, "i32"]
    return Step(name, "i32", f"local.get $a {name}{back} local.set $a", 0)


def _scalar_step(name: str) -> Step:
    """
    An operator with one or two operands of one type.
    """
    signature = BY_NAME[name].signature
    assert signature is not None  # noqa: S101 - control is apart
    kind, result = str(signature.parameters[0]), str(signature.results[0])
    second = " local.get $y" if len(signature.parameters) > 1 else ""
    back = "" if kind == result else " " + _BACK[result, kind]
    if "reinterpret" in name:
        # Two of them in a row are nothing to a compiler.
        back = f" local.get $z_{result} {result}.add{back}"
    text = f"local.get $a{second} {name}{back} local.set $a"
    if ".div_" in name:
        return Step(name, kind, text, _LARGE[kind], 1)
    if ".rem_" in name:
        return Step(name, kind, text, _LARGE[kind], 7, _LARGE[kind])
    return Step(name, kind, text)


def module_text(measured: tuple[Step, ...]) -> str:
    """
    The module in text format: a function for each step, and one for each loop without.
    """
    lines = ["(module", "(memory 1)", "(table 1 funcref)", "(elem (i32.const 0) $same)"]
    lines += [f"(global $sink_{kind} (mut {kind}) ({kind}.const 0))" for kind in _TYPES]
    # Operands come from globals that may change, so that no compiler knows them.
    values = sorted({(s.of, v) for s in measured for v in (s.start, s.second, s.added)}
                    | {(kind, value) for kind in _TYPES for value in (0, 1)})  # fmt: skip
    lines += [f"(global {_global(kind, v)} (mut {kind}) ({kind}.const {v}))" for kind, v in values]
    lines.append("(func $same (param i32) (result i32) local.get 0)")
    for kind in _TYPES:
        lines += _function(Step(f"without-{kind}", kind, ""))
    for step in measured:
        lines += _function(step)
    return "\n".join([*lines, ")"])


def _global(kind: str, value: int) -> str:
    return f"${kind}_{value}"


def _function(step: Step) -> Iterator[str]:
    """
    One function: rounds as its argument says.
    """
    kind = step.of
    locals_ = {"$a": (kind, step.start), "$y": (kind, step.second), "$z": (kind, step.added),
               "$zero": ("i32", 0), "$one": ("i32", 1)}  # fmt: skip
    for other in _TYPES:
        locals_ |= {f"$y_{other}": (other, 1), f"$z_{other}": (other, 0)}
    yield f'(func (export "{step.operator}") (param $n i32)'
    yield " ".join(f"(local {name} {of})" for name, (of, _) in locals_.items())
    for name, (of, value) in locals_.items():
        yield f"global.get {_global(of, value)} local.set {name}"
    yield "loop $again"
    for place in range(STEPS):
        yield step.text.replace("{offset}", str(8 * place))
        yield f"local.get $a local.get $z {kind}.add local.set $a"
    yield "local.get $n i32.const 1 i32.sub local.tee $n br_if $again end"
    yield f"local.get $a global.set $sink_{kind})"


def gas_of_steps(module: Module, measured: tuple[Step, ...], model: GasModel) -> dict[str, float]:
    """
    Gas of each step under *model*, less that of the step without: operands are paid with it.

    The greater path counts, which for `br_if` and `if` is the one taken when the condition is 0.
    """
    index = {item.name: item.index - module.imported_functions for item in module.exports}
    # How often the loops repeat does not matter: one round is asked for.
    loops = [
        LoopBound(number + module.imported_functions, tree.structure.blocks[loop.block].start,
                  0, "0", "0")
        for number, function in enumerate(module.functions)
        for tree in [flow(function.body)]
        for loop in loop_forest(tree).loops
    ]  # fmt: skip
    costs = Passages(module, loops).costs(gas(module, model))
    weights = model.weights
    found = {}
    for step in measured:
        if step.operator == "call_indirect":
            continue
        with_it, without = (costs(index[name]).rounds[0].hi for name in (step.operator, step.base))
        found[step.operator] = (with_it - without) / STEPS
    if "call" in found:
        # The callee is the same; the table's index is one constant more.
        more = weights["call_indirect"] - weights["call"] + weights["i32.const"]
        found["call_indirect"] = found["call"] + more
    return found
