"""
The invalid forms break the rules that they say, and each is one step from a valid module.
"""

from __future__ import annotations

import wasmtime

from conformance.wasm.verdict import judge
from vectors.invalid_forms import END, FORMS, function


def test_there_are_21_and_each_breaks_its_rule() -> None:
    assert len(FORMS) == 21
    assert {name: judge(data).rule for name, (data, _) in FORMS.items()} == {
        name: rule for name, (_, rule) in FORMS.items()
    }


def test_wasmtime_refuses_them_all() -> None:
    engine = wasmtime.Engine()
    for name, (data, _) in FORMS.items():
        try:
            wasmtime.Module.validate(engine, data)
        except wasmtime.WasmtimeError:
            continue
        raise AssertionError(name)


def test_what_they_are_made_with_makes_valid_modules() -> None:
    assert judge(function(b"\x41\1\x1a")).kind == "valid"
    assert judge(function(b"\x02\x40", END)).kind == "valid"
