from __future__ import annotations

import json

from runners import schema
from weavegate.schemas import ROOMS


def test_the_schemas_checked_in_are_those_of_the_records() -> None:
    for folder, records in ROOMS.items():
        assert schema.stale(folder, records) == [], folder


def test_every_schema_has_its_own_name() -> None:
    names = [
        json.loads(path.read_text(encoding="utf-8"))["$id"]
        for folder in ROOMS
        for path in sorted(folder.glob("*.json"))
    ]
    assert len(names) == sum(len(records) for records in ROOMS.values())
    assert len(set(names)) == len(names)
    assert {name.partition("/")[0] for name in names} == {
        "weavegate:conformance",
        "weavegate:reports",
        "weavegate:runners",
    }


def test_a_room_is_checked_in_its_own_folder() -> None:
    for folder, records in ROOMS.items():
        room = folder.parent.name
        assert folder.name == "schemas"
        assert {record.__module__.partition(".")[0] for record in records} == {room}
