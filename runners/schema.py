"""
Writes the JSON Schemas of records: `python -m runners.schema [--check]`.

A schema is made from the record's types and from the docstrings of the record and its fields. It
is checked in beside the records, so that a change of a public form shows in review. The functions
here serve every room; `weavegate.schemas` calls them for all rooms at once.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from msgspec import Struct

from runners.launch import Launch
from runners.records import (
    Budget,
    Call,
    Case,
    EngineId,
    Families,
    GasReading,
    Identity,
    Node,
    Outcome,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FOLDER: Final = Path(__file__).parent / "schemas"
RECORDS: Final[tuple[type[Struct], ...]] = (
    Budget,
    Call,
    Case,
    EngineId,
    Families,
    GasReading,
    Identity,
    Launch,
    Node,
    Outcome,
)
"""The public records of this room."""


def schema_of(record: type[Struct]) -> dict[str, Any]:
    """
    Return the JSON Schema of *record*: title, description, and a definition per record it holds.
    """
    made = msgspec.json.schema(record)
    described = {each.__name__: each for each in _records_in(record)}
    definitions: dict[str, Any] = made["$defs"]
    for name, definition in definitions.items():
        if name in described:
            definition["description"] = _sentence(described[name].__doc__ or "")
            _describe_fields(described[name], definition.get("properties", {}))
        elif "description" in definition:
            definition["description"] = _sentence(definition["description"])
    own = definitions[record.__name__]
    return {
        "$schema": DIALECT,
        "$id": f"weavegate:{record.__module__.partition('.')[0]}/{record.__name__}",
        "title": record.__name__,
        "description": own["description"],
        "$ref": made["$ref"],
        "$defs": dict(sorted(definitions.items())),
    }


def text_of(record: type[Struct]) -> str:
    """
    Return the schema of *record* as it is checked in.
    """
    return json.dumps(schema_of(record), indent=2, ensure_ascii=False) + "\n"


def write(folder: Path, records: Iterable[type[Struct]]) -> None:
    """
    Write the schemas of *records* into *folder*, one `NAME.json` each, and nothing else.
    """
    folder.mkdir(exist_ok=True)
    wanted = {f"{record.__name__}.json": text_of(record) for record in records}
    for path in sorted(folder.glob("*.json")):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def stale(folder: Path, records: Iterable[type[Struct]]) -> list[str]:
    """
    Name the files of *folder* that are not what *records* say: changed, missing or left over.
    """
    wanted = {f"{record.__name__}.json": text_of(record) for record in records}
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(
        name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)
    )


def main(arguments: list[str], rooms: Mapping[Path, tuple[type[Struct], ...]]) -> int:
    """
    Write the schemas of *rooms* (folder -> records), or with `--check` compare and return 1.
    """
    if arguments not in ([], ["--check"]):
        sys.stderr.write("give no argument to write the schemas, or --check to compare them\n")
        return 2
    if not arguments:
        for folder, records in rooms.items():
            write(folder, records)
        return 0
    found = [
        f"{folder.parent.name}/{folder.name}/{name}"
        for folder, records in rooms.items()
        for name in stale(folder, records)
    ]
    for name in found:
        sys.stdout.write(f"{name} is not what its record says: run python -m weavegate.schemas\n")
    return 1 if found else 0


def _records_in(annotation: object) -> Iterator[type[Struct]]:
    """
    Walk over every record that *annotation* mentions, itself included.
    """
    waiting, seen = [annotation], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, type) and issubclass(each, Struct):
            if each in seen:
                continue
            seen.add(each)
            yield each
            waiting += [field.type for field in msgspec.structs.fields(each)]
        waiting += get_args(each)


def _describe_fields(record: type[Struct], properties: dict[str, Any]) -> None:
    """
    Give each property the docstring that follows its field in the source.
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    if not isinstance(body, ast.ClassDef):  # pragma: no cover - a record is a class
        raise TypeError(record)
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
            and field.target.id in properties
        ):
            name = field.target.id
            properties[name] = {
                "description": _sentence(after.value.value),
                **properties[name],
            }


def _sentence(text: str) -> str:
    """
    Bring a docstring into one line a paragraph.
    """
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {FOLDER: RECORDS}))
