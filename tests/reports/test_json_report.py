from __future__ import annotations

import json

import msgspec
import pytest
from sample_reports import SAMPLES, all_green, hostile, value_red

from reports.json_report import (
    BadReportError,
    json_schema,
    json_text,
    read_json,
    report_digest,
)

BUILDERS = {**SAMPLES, "hostile": hostile}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_report_survives_the_way_there_and_back(name: str) -> None:
    report = BUILDERS[name]()
    assert read_json(json_text(report)) == report
    assert json_text(read_json(json_text(report))) == json_text(report)


def test_keys_are_sorted_and_there_is_one_line() -> None:
    text = json_text(value_red())
    assert text.count("\n") == 1
    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ) + "\n"  # fmt: skip


def _changed(change: dict[str, object], drop: str = "") -> str:
    fields = json.loads(json_text(all_green()))
    fields.update(change)
    fields.pop(drop, None)
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "truncated"),
        (_changed({"exit_code": "0"}), r"Expected `int`, got `str` - at `\$\.exit_code`"),
        (_changed({"surprise": 1}), r"\$\.surprise"),
        (_changed({}, drop="accuracy"), r"\$\.accuracy"),
        (_changed({}, drop="run"), "run"),
        (_changed({"schema": 2}), "schema 2"),
        (_changed({"verdicts": [{"property": "x", "verdict": "maybe", "sentence": ""}]}), "maybe"),
    ],
)
def test_what_is_no_report_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadReportError, match=complaint):
        read_json(text)


def test_a_stray_field_deep_inside_is_found() -> None:
    fields = json.loads(json_text(all_green()))
    fields["nodes"][1]["families"]["colour"] = "blue"
    with pytest.raises(BadReportError, match=r"\$\.nodes\.1\.families\.colour"):
        read_json(json.dumps(fields))


def test_the_digest_leaves_out_the_run_and_nothing_else() -> None:
    report = all_green()
    elsewhere = msgspec.structs.replace(
        report, run=msgspec.structs.replace(report.run, host="b", wall_ms=1.0, command="c")
    )
    assert report_digest(elsewhere) == report_digest(report)
    for field in report.__struct_fields__:
        if field in {"run", "schema", "exit_code"}:
            continue
        value = getattr(report, field)
        other = "changed" if isinstance(value, str) else getattr(value_red(), field)
        if other != value:
            changed = msgspec.structs.replace(report, **{field: other})
            assert report_digest(changed) != report_digest(report), field
    assert report_digest(msgspec.structs.replace(report, exit_code=1)) != report_digest(report)


def test_a_file_name_that_is_no_text_can_be_stored() -> None:
    report = all_green()
    odd = msgspec.structs.replace(
        report, subject=msgspec.structs.replace(report.subject, path="m\udcff.wasm")
    )
    assert read_json(json_text(odd)).subject.path == "m\\u{dcff}.wasm"


def test_the_schema_describes_every_field_of_the_record() -> None:
    schema = json_schema()
    fields = schema["$defs"]["Report"]["properties"]
    assert set(fields) == set(all_green().__struct_fields__)
    assert schema["$defs"]["PropertyVerdict"]["properties"]["verdict"]["enum"] == [
        "fails", "holds", "not-asked", "undecided",
    ]  # fmt: skip
