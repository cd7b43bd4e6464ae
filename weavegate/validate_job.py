"""
`weavegate validate`: the specification's verdict on files, and what engines make of them.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from conformance.wasm.verdict import ModuleVerdict, judge
from reports.acceptance import EngineAnswer, JudgedFile, Unreadable, Validation, findings
from reports.escapes import shortened, visible
from runners.catalog import Catalog
from runners.environments import Environments
from weavegate.acceptance_job import Acceptance, choose_engines
from weavegate.exits import Exit, WeavegateError
from weavegate.module_files import read_module_file
from weavegate.terminal import Output

_LARGE_BYTES = 4 << 20
_SENTENCE = 2_000
"""Most characters of what is said of a file that cannot be read."""
_WORDS = {
    "valid": "valid",
    "malformed": "malformed",
    "invalid": "invalid",
    "not-admitted": "not admitted",
    "beyond-limits": "beyond the limits of engines",
}
_STANDING_WORDS = {
    "right": "",
    "open": "",
    "accepts-invalid": "FINDING: compiles what is no valid module",
    "refuses-valid": "FINDING: refuses a valid module",
    "broke": "FINDING: its worker died",
}


def validate_files(
    output: Output,
    notes: Output,
    paths: Sequence[Path],
    engines: Sequence[str],
    *,
    ask: bool,
    as_json: bool,
) -> int:
    """
    Judge each file and print; 2 when one cannot be read, 1 when one is not valid or an engine
    judges wrongly, else 0. All are judged, whatever there is to say of some.
    """
    judged: list[JudgedFile] = []
    unreadable: list[Unreadable] = []
    with contextlib.ExitStack() as stack:
        asked: Acceptance | None = None
        if ask or engines:
            catalog = Catalog.load()
            chosen = choose_engines(engines, Environments(catalog), catalog)
            asked = stack.enter_context(Acceptance(chosen))
        for argument in paths:
            try:
                path, data = read_module_file(argument)
            except WeavegateError as error:
                unreadable.append(Unreadable(path=str(argument), sentence=str(error)))
                notes.say(f"weavegate: {shortened(str(error), _SENTENCE)}")
                continue
            if len(data) > _LARGE_BYTES:
                notes.say(f"{visible(str(path))}: judging {len(data):,} bytes ...")
            verdict = judge(data)
            if not as_json:
                output.say(f"{visible(str(path))}: {_verdict(verdict)}")
            answers = asked.ask(data, verdict) if asked is not None else ()
            judged.append(JudgedFile(path=str(path), verdict=verdict, engines=answers))
            if not as_json:
                _print_answers(output, answers)
    wrong = findings(judged)
    if as_json:
        record = Validation(files=tuple(judged), unreadable=tuple(unreadable))
        output.say(msgspec.json.format(msgspec.json.encode(record)).decode())
    else:
        _conclude(output, wrong)
    if unreadable:
        return int(Exit.USAGE)
    bad = wrong or any(file.verdict.kind != "valid" for file in judged)
    return int(Exit.FINDINGS if bad else Exit.PASS)


def _print_answers(output: Output, answers: Sequence[EngineAnswer]) -> None:
    """
    One line for each engine.
    """
    widest = max((len(engine.engine) for engine in answers), default=0)
    for engine in answers:
        standing = _STANDING_WORDS[engine.standing]
        mark = f"  {standing}" if standing else ""
        output.say(f"  {engine.engine.ljust(widest)}  {_answer(engine)}{mark}")


def _verdict(verdict: ModuleVerdict) -> str:
    if verdict.kind == "valid":
        needs = ", ".join(verdict.proposals) or "nothing beyond the MVP"
        return f"valid; {verdict.size_bytes:,} bytes, needs {needs}"
    offset = verdict.offset or 0
    sentence = shortened(verdict.sentence, 600)
    return f"{_WORDS[verdict.kind]}: {sentence} (byte {offset}, {offset:#x}; rule {verdict.rule})"


def _answer(engine: EngineAnswer) -> str:
    """
    What an engine did; its own words only where the verdict does not explain them.
    """
    words = engine.answer + (f" ({engine.rule})" if engine.rule else "")
    if engine.standing == "right" or not engine.text:
        return words
    return f"{words}: {shortened(' '.join(engine.text.split()), 200)}"


def _conclude(output: Output, wrong: Sequence[tuple[JudgedFile, EngineAnswer]]) -> None:
    """
    Each finding with its evidence: the module's digest, the rule, the engine, how to see it again.
    """
    for file, engine in wrong:
        verdict = file.verdict
        what = _STANDING_WORDS[engine.standing].removeprefix("FINDING: ")
        rule = f"rule {verdict.rule} at byte {verdict.offset}" if verdict.rule else "it is valid"
        artefact = f", artefact {engine.artifact_sha256[:16]}" if engine.artifact_sha256 else ""
        command = shlex.join(["weavegate", "validate", file.path, "--engine", engine.engine])
        output.say(f"finding: {engine.engine} (core {engine.core}{artefact}) {what}")
        output.say(f"  module sha256:{verdict.sha256}, {rule}")
        output.say(f"  again: {visible(command)}")
