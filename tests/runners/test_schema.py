from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import Struct

from runners import schema
from runners.records import Case, EngineId, Node, Outcome, Returned

if TYPE_CHECKING:
    from pathlib import Path


class Leaf(Struct, frozen=True, tag="leaf"):
    """
    A leaf,
    in two lines.
    """

    bits: str
    """Typed bits."""
    plain: int = 0


class Tree(Struct, frozen=True):
    """
    A tree.
    """

    leaves: tuple[Leaf | None, ...]


def test_a_schema_says_what_the_docstrings_say() -> None:
    made = schema.schema_of(Tree)
    assert made["$schema"] == schema.DIALECT
    assert made["$id"].endswith("/Tree")
    assert (made["title"], made["description"]) == ("Tree", "A tree.")
    leaf = made["$defs"]["Leaf"]
    assert leaf["description"] == "A leaf, in two lines."
    assert leaf["properties"]["bits"] == {"description": "Typed bits.", "type": "string"}
    assert "description" not in leaf["properties"]["plain"]
    assert leaf["properties"]["type"] == {"enum": ["leaf"]}
    assert leaf["required"] == ["type", "bits"]


def test_fields_of_records_inside_records_are_described() -> None:
    made = schema.schema_of(Case)
    assert made["$defs"]["Call"]["properties"]["memory"]["description"].startswith("Name of the")
    assert made["$defs"]["Budget"]["description"] == "What one call may use."


@pytest.mark.parametrize("record", schema.RECORDS)
def test_every_record_is_described_and_named_once(record: type[Struct]) -> None:
    made = schema.schema_of(record)
    assert made["$id"] == f"weavegate:runners/{record.__name__}"
    for name, definition in made["$defs"].items():
        assert definition["title"] == name
        assert definition["description"]
        if "properties" in definition:
            known = set(definition["properties"])
            assert set(definition.get("required", [])) <= known


def test_a_record_has_the_properties_of_its_schema() -> None:
    node = Node(EngineId("wasmtime", "50.0.1", "cranelift"), host="00")
    outcome = Outcome(Returned(("f64:0000000000000000",), "bytes:"), "00", 1, (), (), ())
    for record in (node, outcome):
        made = schema.schema_of(type(record))
        definition = made["$defs"][type(record).__name__]
        assert set(json.loads(msgspec.json.encode(record))) == set(definition["properties"])


def test_the_schemas_checked_in_are_those_of_the_records() -> None:
    assert schema.stale(schema.FOLDER, schema.RECORDS) == []


def test_a_stale_schema_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "room" / "schemas"
    folder.parent.mkdir()
    rooms = {folder: (Leaf, Tree)}
    assert schema.main([], rooms) == 0
    assert schema.main(["--check"], rooms) == 0

    (folder / "Tree.json").write_text((folder / "Tree.json").read_text().replace("A tree", "Tree"))
    (folder / "Leaf.json").unlink()
    (folder / "Root.json").write_text("{}")
    assert schema.stale(folder, rooms[folder]) == ["Leaf.json", "Root.json", "Tree.json"]
    assert schema.main(["--check"], rooms) == 1

    assert schema.main([], rooms) == 0
    assert schema.main(["--check"], rooms) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["Leaf.json", "Tree.json"]


def test_a_new_field_makes_a_schema_stale(tmp_path: Path) -> None:
    schema.write(tmp_path, (Leaf,))
    grown = msgspec.defstruct("Leaf", [("bits", str), ("more", int)], namespace={"__doc__": "A."})
    made, before = msgspec.json.schema(grown), msgspec.json.schema(Leaf)
    assert made != before
    (tmp_path / "Leaf.json").write_text(json.dumps(made))
    assert schema.stale(tmp_path, (Leaf,)) == ["Leaf.json"]


def test_names_of_stale_schemas_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    assert schema.main(["--check"], {folder: (Leaf,)}) == 1
    assert f"{tmp_path.name}/schemas/Leaf.json is not what its record says" in (
        capsys.readouterr().out
    )
    assert schema.main(["--chekc"], {folder: (Leaf,)}) == 2
    assert not list(folder.iterdir())
