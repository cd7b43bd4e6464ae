"""
Which artefact is chosen for which interpreter and machine.
"""

from __future__ import annotations

import re

import pytest

from runners.artifacts import Artifact, NoArtifactError, choose, fits, load_table, wheels_or_source

TABLE = load_table()


@pytest.mark.parametrize(
    ("file", "tag", "machine", "expected"),
    [
        ("a-1-py3-none-manylinux1_x86_64.whl", "cp313", "x86_64", True),
        ("a-1-py3-none-manylinux1_x86_64.whl", "cp313", "aarch64", False),
        ("a-1-cp310-cp310-manylinux_2_24_x86_64.whl", "cp310", "x86_64", True),
        ("a-1-cp310-cp310-manylinux_2_24_x86_64.whl", "cp311", "x86_64", False),
        ("a-1-cp313-cp313t-manylinux_2_17_x86_64.whl", "cp313", "x86_64", False),
        ("a-1-py2.py3-none-any.whl", "pp311", "riscv64", True),
        ("a-1.tar.gz", "pp311", "riscv64", True),
    ],
)
def test_fits(file: str, tag: str, machine: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert fits(file, tag, machine) is expected


def test_wasmer_has_no_artefact_for_a_newer_python() -> None:
    assert "cp310" in choose(TABLE, "wasmer", "1.1.0", "cp310", "x86_64").file
    with pytest.raises(NoArtifactError, match=r"wasmer 1\.1\.0 is catalogued for cp311 on x86_64"):
        choose(TABLE, "wasmer", "1.1.0", "cp311", "x86_64")
    with pytest.raises(NoArtifactError):
        choose(TABLE, "wasmer", "1.1.0", "cp310", "aarch64")


def test_a_wheel_comes_before_a_source_archive() -> None:
    table = (
        Artifact("a", "1", "a-1.tar.gz", "00"),
        Artifact("a", "1", "a-1-py3-none-any.whl", "11"),
    )
    assert choose(table, "a", "1", "cp311", "x86_64").sha256 == "11"


def test_stubs_beside_real_wheels_are_left_out() -> None:
    files = {
        "a-1-cp310-cp310-manylinux_2_24_x86_64.whl": "1",
        "a-1-py3-none-any.whl": "2",
        "a-1-py3-none-macosx_10_13_x86_64.whl": "3",
        "a-1.tar.gz": "4",
    }
    assert set(wheels_or_source(files).values()) == {"1"}
    del files["a-1-cp310-cp310-manylinux_2_24_x86_64.whl"]
    assert set(wheels_or_source(files).values()) == {"2"}
    del files["a-1-py3-none-any.whl"]
    assert set(wheels_or_source(files).values()) == {"4"}


def test_the_table_is_whole() -> None:
    assert len({row.file for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert row.file.lower().replace("_", "-").startswith(f"{row.package}-{row.version}"), (
            row.file
        )


def test_a_requirement_admits_one_artefact() -> None:
    row = choose(TABLE, "wasmtime", "50.0.1", "cp311", "x86_64")
    assert row.requirement == f"wasmtime==50.0.1 --hash=sha256:{row.sha256}"
