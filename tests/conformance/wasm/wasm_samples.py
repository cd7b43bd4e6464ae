"""
Modules to decode: one per proposal and corner of the format, and invalid ones with their rules.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

import wasmtime

HEADER: Final = b"\0asm\1\0\0\0"


def wat(text: str) -> bytes:
    """
    Assemble *text*; the assembler does not validate.
    """
    return bytes(wasmtime.wat2wasm(text))


def leb(value: int) -> bytes:
    """
    Shortest unsigned LEB128.
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(number: int, payload: bytes) -> bytes:
    """
    One section.
    """
    return bytes([number]) + leb(len(payload)) + payload


def body_module(instructions: bytes, declared: bytes = b"\0") -> bytes:
    """
    A module of one function of type () -> () with this body, `end` included.
    """
    entry = declared + instructions
    return (
        HEADER
        + section(1, b"\1\x60\0\0")
        + section(3, b"\1\0")
        + section(10, b"\1" + leb(len(entry)) + entry)
    )


_TEXTS: Final = {
    "empty": "(module)",
    "mvp": """(module
        (type $t (func (param i32) (result f64)))
        (import "env" "f" (func $f (param i32)))
        (memory (export "memory") 2 10) (table 3 funcref) (global $g f64 (f64.const 1.5))
        (elem (i32.const 0) $h) (data (i32.const 8) "abc")
        (func $h (export "h") (param i32) (result f64) (local f32 f32 i64)
          block loop local.get 0 br_table 0 1 1 end end
          local.get 0 if call $q else nop end
          (call_indirect (type $t) (i32.const 1) (i32.const 0)) drop
          (f64.store offset=300 (i32.const 8) (f64.const -0x1p-1074))
          (block $b (result f64) (br_if $b (f64.load (i32.const 8)) (local.get 0))))
        (func $q (export "q") return unreachable))""",
    "floats": """(module
        (global f64 (f64.const nan:0x8000000000001)) (global f32 (f32.const -0))
        (func (result f64) (f64.add (f64.const 0x1p-1074) (f64.const inf)))
        (func (result f32) (f32.sqrt (f32.const nan:0x200000)))
        (func (result i32) (f32.lt (f32.const 1) (f32.const -0))))""",
    "mutable-global": '(module (global (export "g") (mut i64) (i64.const -5)))',
    "sign-extension": "(module (func (param i64) (result i64) (i64.extend32_s (local.get 0))))",
    "saturating-conversion": (
        "(module (func (param f64) (result i32) (i32.trunc_sat_f64_u (local.get 0))))"
    ),
    "bulk-memory": """(module (memory 1) (table 2 funcref) (elem $e func $f) (data $d "xyz")
        (func $f
          (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d)
          (memory.copy (i32.const 0) (i32.const 8) (i32.const 4))
          (memory.fill (i32.const 0) (i32.const 8) (i32.const 4))
          (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e)
          (table.copy (i32.const 0) (i32.const 1) (i32.const 1))))""",
    "multi-value": """(module
        (func $two (result i32 i64) i32.const 1 i64.const 2)
        (func (result i64) i32.const 3 (block (param i32) (result i64) drop i64.const 1)
          call $two drop drop))""",
    "reference-types": """(module (table $t 2 externref) (table $u 2 4 funcref)
        (elem declare func $f) (elem (table $u) (i32.const 1) func $f)
        (elem $x funcref (ref.func $f) (ref.null func))
        (global (mut externref) (ref.null extern))
        (func $f (param externref) (result externref)
          (table.set $t (i32.const 0) (local.get 0))
          (drop (table.grow $u (ref.func $f) (i32.const 1)))
          (drop (table.size $t)) (table.fill $u (i32.const 0) (ref.null func) (i32.const 1))
          (drop (ref.is_null (ref.func $f)))
          (call_indirect $u (i32.const 1))
          (select (result externref) (local.get 0) (table.get $t (i32.const 1)) (i32.const 0))))""",
    "simd": """(module (memory 1) (global v128 (v128.const i64x2 7 9))
        (func (param v128) (result v128) (local v128)
          (v128.store32_lane offset=5 3 (i32.const 0) (local.get 0))
          (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31
            (f64x2.mul (local.get 0) (v128.const f64x2 1.5 -2)) (i32x4.dot_i16x8_s
              (v128.load8x8_s (i32.const 3)) (v128.const i32x4 1 2 3 4)))))""",
    "imports": """(module
        (import "a" "t" (table 1 2 funcref)) (import "a" "m" (memory 1 3))
        (import "a" "g" (global f32)) (import "b" "f" (func (param i64) (result i64)))
        (start 1) (func) (export "t" (table 0)) (export "g" (global 0))
        (export "\u00e9" (func 0)))""",
    "names": "(module $m (func $alpha (param $x i32)) (func $beta) (memory $mem 1))",
}

INVALID_TEXTS: Final = {
    "type-mismatch": "(module (func (result i32) i64.const 1))",
    "stack-underflow": "(module (func i32.add drop))",
    "leftover-values": "(module (func i32.const 1))",
    "unknown-local": "(module (func local.get 3 drop))",
    "unknown-function": "(module (func call 7))",
    "unknown-label": "(module (func br 4))",
    "ill-typed-call": "(module (func $f (param f64)) (func i32.const 1 call $f))",
    "no-memory": "(module (func i32.const 0 i32.load drop))",
    "over-aligned": "(module (memory 1) (func i32.const 0 i32.load align=8 drop))",
    "immutable-global": "(module (global i32 (i32.const 1)) (func i32.const 2 global.set 0))",
    "duplicate-export": '(module (func) (export "a" (func 0)) (export "a" (func 0)))',
    "too-many-pages": "(module (memory 65537))",
    "minimum-over-maximum": "(module (memory 3 2))",
    "start-with-parameters": "(module (func (param i32)) (start 0))",
    "non-constant-initialiser": "(module (global i32 (i32.popcnt (i32.const 1))))",
    "if-without-else": "(module (func (result i32) i32.const 1 if (result i32) i32.const 2 end))",
    "mixed-select": "(module (func i32.const 1 i64.const 2 i32.const 0 select drop))",
}
"""The 17 of the 21 invalid forms of the attack catalogue that can be written as text."""


@functools.cache
def samples() -> dict[str, bytes]:
    """
    Valid modules by name; a name that is a proposal's needs that proposal.
    """
    return {name: wat(text) for name, text in _TEXTS.items()}


def invalid_bytes() -> Iterator[tuple[str, bytes, str]]:
    """
    The other four of the 21: name, bytes, rule.
    """
    good = samples()["mvp"]
    yield "trailing byte", good + b"\0", "truncated"
    yield "wrong version", good[:4] + b"\2" + good[5:], "wrong-version"
    yield "truncation", good[:-3], "truncated"
    yield "overlong LEB", HEADER + b"\1\x84\x80\x80\x80\x80\0\1\x60\0\0", "leb-too-long"


@functools.cache
def engine() -> wasmtime.Engine:
    """
    The engine wasmtime with exactly the admitted proposals.
    """
    config = wasmtime.Config()
    for proposal in (
        "threads", "tail_call", "relaxed_simd", "multi_memory", "memory64", "gc",
        "function_references", "exceptions", "wide_arithmetic", "custom_page_sizes",
        "stack_switching", "component_model",
    ):  # fmt: skip
        setattr(config, f"wasm_{proposal}", False)
    return wasmtime.Engine(config)


def wasmtime_accepts(data: bytes) -> bool:
    """
    The verdict of wasmtime's validator.
    """
    try:
        wasmtime.Module.validate(engine(), data)
    except wasmtime.WasmtimeError:
        return False
    return True
