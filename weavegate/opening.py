"""
What a run opens before it starts: its cases and its evidence file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conformance.differential.corpus import Corpus, CorpusSize, build_corpus
from conformance.evidence.store import EvidenceStore
from weavegate.exits import Exit, WeavegateError
from weavegate.options import Options
from weavegate.subject import Subject


def corpus_of(subject: Subject, size: CorpusSize, seed: int) -> Corpus:
    """
    The cases of the run.
    """
    constants = {
        "f64": set(subject.module.float_constants("f64")),
        "f32": set(subject.module.float_constants("f32")),
    }
    return build_corpus(
        subject.manifest, subject.calls, subject.rows, constants, seed, size, subject.edges
    )


def evidence_path(options: Options) -> Path:
    """
    Where the evidence file lies, or would lie.
    """
    return options.evidence or options.out / "evidence.sqlite"


def open_evidence(
    options: Options, open_store: Callable[[Path, int | None], EvidenceStore]
) -> EvidenceStore:
    """
    The evidence file, in a folder that is made if need be.
    """
    path = evidence_path(options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        option = "--evidence" if options.evidence else "--out"
        sentence = (
            f"{path.parent}: cannot be made a folder ({error.strerror}): choose another {option}"
        )
        raise WeavegateError(sentence, Exit.USAGE) from error
    return open_store(path, options.evidence_pages)


def telling(say: Callable[[str], None]) -> Callable[[Path, int | None], EvidenceStore]:
    """
    What opens an evidence file, made if need be, and tells *say* while it waits for another run.
    """

    def opened(path: Path, max_pages: int | None) -> EvidenceStore:
        def waits(begun: bool) -> None:  # noqa: FBT001 - the store gives it so
            held = f"waiting for {path}, which another process is writing to"
            say(held if begun else "running")

        return EvidenceStore.open(path, max_pages=max_pages, waits=waits)

    return opened
