from __future__ import annotations

from pathlib import Path

import pytest
from manifest_samples import BUFFERS

from conformance.manifest.errors import BadManifestError
from conformance.manifest.read import parse_manifest, read_manifest
from runners.hosts.setting import HostSetting
from runners.records import Constant, Made, OutputPointer

REACTOR = """\
schema = 1
[module]
name = "net"
[abi]
kind = "emscripten"
entry = "j"
arguments = [{ made = "f", with = ["i32:00000000"] }, "output", "input"]
results = ["f32"]
names = { "a.b" = "env.emscripten_memcpy_big", "a.a" = "env.emscripten_resize_heap" }
[input]
dtype = "f32"
shape = [4]
pointer = { allocator = "malloc" }
[output]
dtype = "f32"
shape = [4]
pointer = { allocator = "malloc" }
[host]
imports = ["a.a", "a.b", "env.emscripten_get_now"]
seed = 5
"""


def refusal(text: str, folder: Path = Path()) -> BadManifestError:
    with pytest.raises(BadManifestError) as caught:
        parse_manifest(text.encode(), folder=str(folder))
    return caught.value


def changed(old: str, new: str) -> str:
    assert REACTOR.count(old) == 1
    return REACTOR.replace(old, new)


def test_a_reactor() -> None:
    run = parse_manifest(REACTOR.encode()).run
    assert run.arguments[0] == Made("f", ("i32:00000000",))
    assert isinstance(run.arguments[1], OutputPointer)
    assert run.entry_results == ("f32",)
    assert run.host == HostSetting(
        abi="emscripten",
        imports=("a.a", "a.b", "env.emscripten_get_now"),
        names=(("a.a", "env.emscripten_resize_heap"), ("a.b", "env.emscripten_memcpy_big")),
        seed=5,
    )


def test_a_plain_module_has_no_host() -> None:
    run = parse_manifest(BUFFERS.encode()).run
    assert (run.abi, run.names, run.scripted, run.seed) == ("plain", (), False, 0)
    assert Constant("i32:0000000a") in run.arguments


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ('kind = "emscripten"', 'kind = "wasm"', 5, "abi.kind", "plain, emscripten, wasi"),
        ('"a.b" = "env.emscripten_memcpy_big"', '"a.c" = "env.abort"', 9, "abi.names.a.c",
         '`names` explains "a.c", which `imports` in [host] does not allow'),
        ('"a.b" = "env.emscripten_memcpy_big"', '"a.b" = "memcpy"', 9, "abi.names.a.b",
         '"memcpy" must be MODULE.NAME'),
        ('"a.b" = "env.emscripten_memcpy_big"', '"a.b" = 7', 9, "abi.names.a.b", "a text"),
        ("seed = 5", "seed = -1", 20, "host.seed", "must be from 0"),
        ("seed = 5", "sead = 5", 20, "host.sead", "did you mean `seed`?"),
        ("seed = 5", 'script = "../s.txt"', 20, "host.script", "inside the manifest's folder"),
        ("seed = 5", 'script = "none.txt"', 20, "host.script", "there is no file"),
        ('made = "f", with = ["i32:00000000"]', 'maid = "f"', 7, "abi.arguments.0.maid",
         "did you mean `made`?"),
        ('with = ["i32:00000000"]', 'with = ["7"]', 7, "abi.arguments.0.with.0", "typed bit"),
        ('with = ["i32:00000000"]', 'with = ["f32:00000000"]', 7, "abi.arguments.0.with.0",
         "a f32 cannot be given"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_key_and_sentence(
    old: str, new: str, line: int, key: str, words: str
) -> None:
    error = refusal(changed(old, new))
    assert (error.line, error.key) == (line, key)
    assert words in error.sentence


def test_names_and_f32_results_need_an_abi() -> None:
    assert "needs kind" in refusal(changed('kind = "emscripten"', 'kind = "plain"')
                                   .replace('["f32"]', '["i32"]')).sentence  # fmt: skip
    plain = changed('kind = "emscripten"\n', "").replace("names = ", "#")
    assert "signalling NaNs" in refusal(plain).sentence


def test_a_script_is_read_and_its_lines_are_checked(tmp_path: Path) -> None:
    manifest = tmp_path / "model.toml"
    manifest.write_text(changed("seed = 5", 'script = "host.txt"'), "utf-8")
    script = tmp_path / "host.txt"
    script.write_text("# a clock\n\nenv.emscripten_get_now() -> f64:0000000000000000\n", "utf-8")
    run = read_manifest(manifest).run
    assert run.scripted
    assert run.script == ("env.emscripten_get_now() -> f64:0000000000000000",)
    script.write_text("# a clock\nenv.emscripten_get_now()\n", "utf-8")
    with pytest.raises(BadManifestError, match=r"host.txt:2: after the call must stand ->"):
        read_manifest(manifest)
    script.write_bytes(b"\xff")
    with pytest.raises(BadManifestError, match=r"is not UTF-8 text"):
        read_manifest(manifest)
    manifest.write_text(changed("seed = 5", 'seed = 5\nscript = "host.txt"'), "utf-8")
    with pytest.raises(BadManifestError, match=r"keep one of them"):
        read_manifest(manifest)
