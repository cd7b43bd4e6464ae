"""
Hostile modules: one sentence with the byte offset, no recursion, time and memory in proportion.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_modules import ACCEPTED, REFUSED, many_functions, much_code, much_data
from wasm_samples import wasmtime_accepts

from conformance.wasm.decode import validated
from conformance.wasm.survey import survey
from conformance.wasm.text import lines
from conformance.wasm.verdict import judge


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_has_its_rule_and_byte(name: str) -> None:
    make, rule, offset = REFUSED[name]
    data = make()
    verdict = judge(data)
    assert (verdict.rule, verdict.offset) == (rule, offset)
    assert verdict.kind in ("malformed", "invalid", "beyond-limits")
    assert 0 < len(verdict.sentence) < 200
    assert "\n" not in verdict.sentence
    assert not wasmtime_accepts(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_strange_and_valid_is_surveyed(name: str) -> None:
    data = ACCEPTED[name]()
    assert wasmtime_accepts(data)
    assert judge(data).kind == "valid"
    depth = sys.getrecursionlimit()
    found = survey(validated(data))
    assert sys.getrecursionlimit() == depth
    assert found.size_bytes == len(data)


def test_a_chain_of_many_functions_is_known_whole() -> None:
    count = 3_000
    found = survey(validated(many_functions(count)))
    assert found.calls.functions == found.calls.direct_sites == count
    assert found.calls.recursive == ((count - 1,),)


def test_the_text_of_a_large_table_is_one_line() -> None:
    text = list(lines(validated(ACCEPTED["a br_table of 10^6 targets"]())))
    assert max(map(len, text)) > 2_000_000
    assert len(text) < 20


_RUN = """
import sys
from weavegate.cli import main
sys.argv = ["weavegate", *sys.argv[1:]]
main()
"""

_FULL: dict[str, tuple[Callable[[], bytes], int]] = {
    "100 MB of data": (lambda: much_data(100_000_000), 400),
    "100 MB of code": (lambda: much_code(100_000_000), 3_000),
    "10^6 functions": (lambda: many_functions(1_000_000), 3_000),
}
"""Name -> bytes, and the most MiB that a process may use."""


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", _FULL)
@pytest.mark.parametrize("command", ["validate", "inspect"])
def test_hostile_modules_of_full_size(name: str, command: str, tmp_path: Path) -> None:
    make, most_mib = _FULL[name]
    path = tmp_path / "m.wasm"
    path.write_bytes(make())

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (most_mib << 20, most_mib << 20))

    done = subprocess.run(
        [sys.executable, "-c", _RUN, command, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    assert "valid" in done.stdout
