"""
`weavegate inspect`: text, JSON, WAT and drawings of modules, and what is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from bad_subjects import HOSTILE, complaint, module_of, subject_in, wat, weavegate

from conformance.wasm.decode import decode
from conformance.wasm.survey import Survey

_LOOPED = """(module (import "env" "now" (func (result f64))) (memory (export "memory") 1)
  (func (export "run") (result f64) (local i32)
    (loop (br_if 0 (local.get 0)))
    (f64.store (i32.const 0) (f64.div (call 0) (f64.const 0)))
    (drop (memory.grow (i32.const 1)))
    (f64.load (i32.const 0)))
  (func $small (call $small)))"""


def _written(folder: Path, text: str = _LOOPED) -> str:
    path = folder / "m.wasm"
    path.write_bytes(wat(text))
    return str(path)


def test_the_survey_tells_all_parts(tmp_path: Path) -> None:
    result = weavegate("inspect", _written(tmp_path))
    assert result.exit_code == 0
    for part in (
        "Sections:", "Imports:", "env.now", "Exports:", "Memory, tables, globals:", "Calls:",
        "recursion: 2 can call themselves", "Loops", "loop at 0x", "Float operators:", "f64.div",
        "Proposals used beyond the MVP: none", "Largest functions:",
        "Name section: names 1 of 3 functions", "no relaxed SIMD",
    ):  # fmt: skip
        assert part in result.stdout, part
    open_choices = result.stdout.partition("answer differently:")[2]
    for what in ("f64.div", "f64.store", "memory.grow", "env.now", "depth of calls"):
        assert what in open_choices, what


def test_a_folder_with_a_manifest_is_a_module_too(tmp_path: Path) -> None:
    result = weavegate("inspect", str(subject_in(tmp_path / "s")))
    assert result.exit_code == 0
    assert "m.wasm: a valid module" in result.stdout


def test_json_is_the_record(tmp_path: Path) -> None:
    result = weavegate("inspect", _written(tmp_path), "--json")
    found = msgspec.json.decode(result.stdout, type=Survey)
    assert found.calls.recursive == ((2,),)
    assert {choice.kind for choice in found.open_choices} == {
        "nan-made", "nan-shown", "growth", "host", "call-depth",
    }  # fmt: skip


def test_wat_assembles_again(tmp_path: Path) -> None:
    path = _written(tmp_path)
    result = weavegate("inspect", path, "--wat")
    again = decode(wat(result.stdout))
    first = decode(Path(path).read_bytes())
    assert [i.immediates for f in again.functions for i in f.body] == [
        i.immediates for f in first.functions for i in f.body
    ]
    one = weavegate("inspect", path, "--wat", "--function", "small").stdout
    assert one == "(func (;2;) (type 1) ;; small\n  call 2 ;; small\n)\n"


@pytest.mark.parametrize("function", [None, "run", "1", "small"])
def test_a_drawing_is_written_for_the_function_asked(tmp_path: Path, function: str | None) -> None:
    target = tmp_path / "f.svg"
    more = [] if function is None else ["--function", function]
    result = weavegate("inspect", _written(tmp_path), "--cfg", str(target), *more)
    assert result.exit_code == 0
    assert result.stdout == ""
    drawn = target.read_text(encoding="utf-8")
    assert ("function 2 (small)" if function == "small" else "function 1 (run)") in drawn
    assert str(target) in result.stderr


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    path = _written(tmp_path)
    assert "no such file" in complaint(2, "inspect", tmp_path / "none.wasm")
    assert "--function goes with" in complaint(2, "inspect", path, "--function", "run")
    assert "give one" in complaint(2, "inspect", path, "--json", "--wat")
    for name in ("9", "0", "absent", HOSTILE, "²"):
        said = complaint(2, "inspect", path, "--wat", "--function", name)
        assert "from 1 to 2" in said
    empty = tmp_path / "empty.wasm"
    empty.write_bytes(b"\0asm\1\0\0\0")
    said = complaint(2, "inspect", empty, "--cfg", tmp_path / "f.svg")
    assert "nothing to draw" in said
    assert weavegate("inspect", str(empty)).exit_code == 0


def test_a_drawing_makes_no_folders(tmp_path: Path) -> None:
    path = _written(tmp_path)
    said = complaint(2, "inspect", path, "--cfg", tmp_path / "none" / "deep" / "f.svg")
    assert "there is no folder" in said
    assert not (tmp_path / "none").exists()


def test_one_is_said_in_the_singular(tmp_path: Path) -> None:
    path = _written(tmp_path, '(module (memory 1) (data (i32.const 0) "a") (func nop))')
    shown = weavegate("inspect", path).stdout
    assert "2 instructions in 1 function, 1 byte of data" in shown
    assert not re.search(r"\b1 (bytes|instructions|functions|locals|loops|basic blocks)\b", shown)
    path = _written(tmp_path, "(module (func (local i32) nop) (func nop))")
    shown = weavegate("inspect", path).stdout
    assert "4 instructions in 2 functions, 0 bytes of data" in shown
    assert "1 local " in shown
    binary = module_of()
    Path(path).write_bytes(binary[:8] + b"\x03\x03\x01\x00\x00")
    assert "has 1 byte after its last item" in complaint(2, "inspect", path)


def test_an_invalid_module_is_refused_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "m.wasm"
    path.write_bytes(module_of()[:-3])
    assert "rule truncated" in complaint(2, "inspect", path)
    path.write_bytes(wat("(module (func i32.add))"))
    assert "rule stack-underflow" in complaint(2, "inspect", path)


def test_hostile_names_are_made_visible(tmp_path: Path) -> None:
    path = _written(tmp_path, '(module (func (export "\\1b[31m\\0a\\e2\\80\\ae") nop))')
    for form in ([], ["--wat"]):
        shown = weavegate("inspect", path, *form).stdout
        assert "\x1b" not in shown
        assert "\u202e" not in shown
