"""
The static import policy.
"""

from __future__ import annotations

import pytest
from wasm_samples import wat

from conformance.wasm.decode import decode
from conformance.wasm.imports import ImportProblem, check_imports


def problems(imports: str, *allowed: str) -> tuple[ImportProblem, ...]:
    """
    Check a module with these imports.
    """
    return check_imports(decode(wat(f"(module {imports})")), allowed)


def test_no_import_and_no_allowance_is_no_problem() -> None:
    assert problems("") == ()


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ('(import "host" "f" (func))', "import-not-allowed", "function 'host.f'"),
        ('(import "wasi_snapshot_preview1" "random_get" (func))', "import-wasi", "other bytes"),
        ('(import "wasi_unstable" "fd_write" (func))', "import-wasi", "per node"),
        ('(import "wasi:random/random@0.2.0" "x" (func))', "import-wasi", "system interface"),
        (
            '(import "wasi_nn" "compute" (func))',
            "import-native-inference",
            "outside wasm semantics",
        ),
        ('(import "wasi_ephemeral_nn" "load" (func))', "import-native-inference", "on the host"),
        ('(import "env" "memory" (memory 1))', "import-environment", "memory 'env.memory'"),
        ('(import "env" "emscripten_resize_heap" (func))', "import-environment", "grows"),
        ('(import "env" "g" (global i32))', "import-environment", "the host's"),
        ('(import "env" "f" (func))', "import-environment", "embedding"),
    ],
)
def test_each_kind_of_import_has_its_reason(text: str, rule: str, words: str) -> None:
    module = decode(wat(f"(module {text})"))
    (problem,) = check_imports(module, ())
    assert problem.rule == rule
    assert words in problem.sentence
    assert problem.offset is not None
    name = text.split('"')[1].encode()
    assert module.binary[problem.offset :].startswith(bytes([len(name)]) + name)


def test_an_exact_allowance_clears_an_import() -> None:
    imports = '(import "env" "f" (func)) (import "wasi_unstable" "fd_write" (func))'
    assert problems(imports, "wasi_unstable.fd_write", "env.f") == ()
    assert [p.rule for p in problems(imports, "env.f")] == ["import-wasi"]


def test_native_inference_cannot_be_allowed() -> None:
    (problem,) = problems('(import "wasi_nn" "compute" (func))', "wasi_nn.compute")
    assert problem.rule == "import-native-inference"


def test_an_allowance_is_no_pattern_and_no_prefix() -> None:
    imports = '(import "env" "f" (func))'
    for other in ("env.*", "env", "env.ff", "ENV.f"):
        assert [p.rule for p in problems(imports, other)] == [
            "import-environment",
            "import-allowance-unused",
        ]


def test_an_allowance_without_its_import_is_a_problem() -> None:
    (problem,) = problems('(import "m" "clock" (func))', "m.clock", "m.clocks")
    assert (problem.key, problem.rule, problem.offset) == (
        "m.clocks",
        "import-allowance-unused",
        None,
    )
    assert "did you mean 'm.clock'?" in problem.sentence


def test_the_nearest_allowance_is_named() -> None:
    refused, _ = problems('(import "m" "clock" (func))', "m.clocks")
    assert "the manifest allows 'm.clocks'" in refused.sentence


def test_an_import_that_comes_twice_is_told_once() -> None:
    assert len(problems('(import "m" "f" (func)) (import "m" "f" (func (param i32)))')) == 1
