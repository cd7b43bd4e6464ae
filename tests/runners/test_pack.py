"""
Workers are packed the same way everywhere, and start from what was packed alone.
"""

from __future__ import annotations

import ast
import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.home import data_home
from runners.pack import ENGINES, NoSuchWorkerError, archive, pack, worker_bytes

NAMES = sorted(
    path.stem for path in ENGINES.iterdir() if path.stem not in {"__init__", "__pycache__"}
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}\.py", fullmatch=True), st.binary(max_size=64)))
def test_archives_depend_on_names_and_bytes_alone(members: dict[str, bytes]) -> None:
    backwards = dict(reversed(list(members.items())))
    assert archive(members) == archive(backwards)
    with zipfile.ZipFile(io.BytesIO(archive(members))) as bundle:
        assert {name: bundle.read(name) for name in bundle.namelist()} == members


def test_another_byte_is_another_archive() -> None:
    assert archive({"a.py": b"1"}) != archive({"a.py": b"2"})
    assert archive({"a.py": b"1"}) != archive({"b.py": b"1"})


@pytest.mark.parametrize("name", NAMES)
def test_each_engine_packs_under_its_digest(name: str, tmp_path: Path) -> None:
    packed = pack(name, tmp_path)
    assert hashlib.sha256(packed.path.read_bytes()).hexdigest() == packed.sha256
    assert packed.sha256[:16] in packed.path.name
    again = pack(name, tmp_path)
    assert again == packed
    assert os.listdir(tmp_path / "workers") == [packed.path.name]  # noqa: PTH208 - names are meant


@pytest.mark.parametrize("name", [name for name in NAMES if name != "v8"])
def test_python_workers_are_whole_and_old_enough(name: str) -> None:
    data, ending = worker_bytes(name)
    assert ending == ".pyz"
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        names = bundle.namelist()
        assert {"__main__.py", "adapter.py", "engine.py", "loop.py", "stop.py", "wire.py"} <= set(
            names
        )
        # A module called as the engine's own package would hide it.
        assert f"{name}.py" not in names
        for member in names:
            ast.parse(bundle.read(member), member, feature_version=(3, 8))


def test_a_damaged_worker_is_written_again(tmp_path: Path) -> None:
    packed = pack("v8", tmp_path)
    packed.path.write_bytes(b"// something else")
    assert pack("v8", tmp_path) == packed
    assert hashlib.sha256(packed.path.read_bytes()).hexdigest() == packed.sha256


def test_no_such_worker() -> None:
    with pytest.raises(NoSuchWorkerError, match="there are pywasm, reference"):
        worker_bytes("chakra")


def test_home_is_what_the_environment_says(tmp_path: Path) -> None:
    assert data_home({"WEAVEGATE_HOME": str(tmp_path)}) == tmp_path
    assert data_home({}).name == "weavegate"
    assert data_home({"WEAVEGATE_HOME": ""}) == data_home({})
