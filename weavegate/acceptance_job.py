"""
Asks engines whether they take a module: each compiles it in its worker, and calls nothing.

Of an invalid module that an engine compiles, an instance is opened as well, because some look only
then; a start function may run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from conformance.wasm.verdict import ModuleVerdict
from reports.acceptance import Answer, EngineAnswer, standing
from runners.catalog import Catalog
from runners.environments import EngineStatus, Environments
from runners.launch import Launch
from runners.pool import Pool, WorkerLostError
from runners.records import Call, Node

_PAGES: Final = 65_536
_DEADLINE_MS: Final = 60_000
_NO_ENTRY: Final = "no export is called so"
"""An engine that misses it has opened the instance before."""


class Acceptance:
    """
    Workers of some engines, kept for any number of modules; a context manager.
    """

    def __init__(self, engines: Sequence[tuple[EngineStatus, Launch]]) -> None:
        """
        Start nothing yet.
        """
        self.engines = tuple(engines)
        self._pool = Pool([(Node(status.engine), launch) for status, launch in engines])

    def __enter__(self) -> Self:
        """
        Workers start with the first module.
        """
        self._pool.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        """
        Kill all workers.
        """
        self._pool.__exit__(None, None, None)

    def ask(self, data: bytes, verdict: ModuleVerdict) -> tuple[EngineAnswer, ...]:
        """
        What each engine says to *data*.
        """
        return tuple([self._one(seat, data, verdict) for seat in range(len(self.engines))])

    def _one(self, seat: int, data: bytes, verdict: ModuleVerdict) -> EngineAnswer:
        status, _ = self.engines[seat]
        answer, rule, text = self._answer(seat, data, verdict)
        return EngineAnswer(
            engine=str(status.engine),
            core=status.core_version,
            artifact_sha256=status.artifact_sha256,
            answer=answer,
            rule=rule,
            text=text,
            standing=standing(verdict, answer, rule),
        )

    def _answer(self, seat: int, data: bytes, verdict: ModuleVerdict) -> tuple[Answer, str, str]:
        status, _ = self.engines[seat]
        lacking = [p for p in verdict.proposals if f"proposal:{p}" not in status.capabilities]
        if lacking:
            return "not asked", "", f"it does not have {', '.join(lacking)}"
        engine = status.engine
        fields = {
            "module": verdict.sha256,
            "settings": {"compiler": engine.compiler, **dict(engine.settings)},
            "cpu": "native",
            "memory_pages": _PAGES,
        }
        try:
            reply = self._pool.ask(seat, "load", fields, [data], _DEADLINE_MS)
        except WorkerLostError:
            return "broke", "", "its worker died, or was killed after a minute"
        error = reply.header.get("error")
        if error is not None:
            return "refused", str(error["rule"]), str(error["text"])
        if verdict.kind != "invalid" or verdict.imports:
            self._drop(seat, verdict)
            return "accepted", "", ""
        try:
            return self._opened(seat, verdict)
        except WorkerLostError:
            return "broke", "", "its worker died when it should open an instance"
        finally:
            self._drop(seat, verdict)

    def _drop(self, seat: int, verdict: ModuleVerdict) -> None:
        """
        Let the worker forget a module.
        """
        self._pool.ask(seat, "drop", {"module": verdict.sha256})

    def _opened(self, seat: int, verdict: ModuleVerdict) -> tuple[Answer, str, str]:
        """
        Whether an instance of an invalid module opens.
        """
        call = msgspec.to_builtins(Call(entry=_NO_ENTRY))
        fields = {"module": verdict.sha256, "instance": "opened", "call": call}
        error = self._pool.ask(seat, "open_instance", fields, None, _DEADLINE_MS).header.get(
            "error"
        )
        if error is None or error["stage"] == "entry":
            return "accepted", "", ""
        return "refused late", str(error["rule"]), str(error["text"])


def choose_engines(
    named: Sequence[str], environments: Environments, catalog: Catalog
) -> list[tuple[EngineStatus, Launch]]:
    """
    The engines that are named, or all that are installed, in the order of the catalogue.

    Raises what catalogue and environments raise for an engine that is not to be had.
    """
    if named:
        wanted = tuple(catalog.resolve(text) for text in named)
        launches = [environments.launch(engine) for engine in wanted]
        return list(zip(environments.status(wanted), launches, strict=True))
    found = [line for line in environments.status() if line.installed]
    return [(line, environments.launch(line.engine)) for line in found]
