from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from runners.interface import NO_INTERFACE, FunctionType, ImportedFunction, interface_of

WASM = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "log" (func $log (param i32 f32) (result i64 f64)))
      (import "env" "memory" (memory 1 2))
      (import "env" "table" (table 1 funcref))
      (import "env" "base" (global i32))
      (import "env" "vector" (func (param v128)))
      (import "wasi" "log" (func (param i64)))
      (import "env" "log" (func (param i32 f32) (result i64 f64)))
      (func (export "plain") (param f64 f64) (result f64) (local.get 0))
      (func (export "wide") (param v128))
      (export "again" (func $log))
      (global (export "g") i32 (i32.const 0)))
        """
    )
)
LOG = FunctionType(("i32", "f32"), ("i64", "f64"))


def test_functions_of_numbers_are_found_and_each_name_once() -> None:
    found = interface_of(WASM)
    assert found.imports == (
        ImportedFunction("env", "log", LOG),
        ImportedFunction("wasi", "log", FunctionType(("i64",), ())),
    )
    assert found.exports == (
        ("plain", FunctionType(("f64", "f64"), ("f64",))),
        ("again", LOG),
    )
    assert found.imported("env", "log") == found.imports[0]
    assert found.imported("env", "vector") is None
    assert found.imported("env", "memory") is None
    assert found.exported("again") == LOG
    assert found.exported("wide") is None
    assert found.exported("g") is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\0asm\2\0\0\0", WASM[:8], b"\0asm\1\0\0\0\1"])
def test_what_is_no_module_has_no_interface(data: bytes) -> None:
    assert interface_of(data) == NO_INTERFACE


def test_a_module_that_imports_nothing_has_no_imports() -> None:
    plain = bytes(wasmtime.wat2wasm('(module (func (export "f")))'))
    assert interface_of(plain).imports == ()
    assert interface_of(plain).exports == (("f", FunctionType((), ())),)


@given(st.integers(0, len(WASM) - 1), st.integers(0, 255), st.integers(8, len(WASM)))
def test_no_bytes_make_it_fail(place: int, byte: int, length: int) -> None:
    changed = bytearray(WASM)
    changed[place] = byte
    interface_of(bytes(changed[:length]))
