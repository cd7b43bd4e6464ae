"""
Exit codes, and the one error that the command line prints.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

from conformance.differential.allowances import BadAllowanceError
from conformance.differential.corpus import BadCorpusError
from conformance.differential.profiles import BadShapeError
from conformance.evidence.errors import EvidenceError, EvidenceFullError, EvidenceUnwritableError
from conformance.fidelity.errors import BadSemanticsError, BentFpuError
from conformance.fidelity.expectations import BadExpectationsError
from conformance.gas.errors import UnknownGasModelError
from conformance.manifest.calls import UnknownEntryError
from conformance.manifest.errors import BadManifestError, BadSubjectError, BadTableError
from conformance.wasm.errors import BadModuleError
from runners.arena import BatchTooLargeError
from runners.artifacts import NoArtifactError
from runners.bits import BadBitsError
from runners.catalog import UnknownEngineError
from runners.environments import MissingEngineError
from runners.instances import BadPolicyError
from runners.interpreters import MissingInterpreterError
from runners.markers import InstallError
from runners.pool import WorkerLostError, WorkerStartError
from runners.records import BadEngineIdError

EXIT_HELP: Final = """
\b
Exit status: 0 pass; 1 findings or a negative verdict; 2 wrong usage or
unreadable input; 3 could not decide (quorum, an engine that is not to be had
here); 130 interrupted.
"""
"""What every command says about its exit status, as click lays it out."""


class Exit(IntEnum):
    """
    What the exit status of every command means.
    """

    PASS = 0
    FINDINGS = 1
    """Findings, a negative verdict, or a limit that was asked for is exceeded."""
    USAGE = 2
    """Wrong usage, unreadable input, unknown engine, version or gas model."""
    UNDECIDED = 3
    """Quorum not reached, a known engine not to be had here, an asked property unknown."""
    INTERRUPTED = 130


class WeavegateError(Exception):
    """
    One sentence for the user, and the status to exit with.
    """

    def __init__(self, sentence: str, status: Exit) -> None:
        """
        Keep both.
        """
        super().__init__(sentence)
        self.status = status


_USAGE = (
    BadAllowanceError, BadBitsError, BadCorpusError, BadEngineIdError, BadExpectationsError,
    BadManifestError, BadModuleError, BadPolicyError, BadSemanticsError, BadShapeError,
    BadSubjectError, BadTableError, BatchTooLargeError, UnknownEngineError, UnknownEntryError,
    UnknownGasModelError,
)  # fmt: skip
_UNDECIDED = (
    BentFpuError, InstallError, MissingEngineError, MissingInterpreterError, NoArtifactError,
    WorkerLostError, WorkerStartError,
)  # fmt: skip


@contextmanager
def plainly() -> Iterator[None]:
    """
    Turn the errors of the rooms into WeavegateError.
    """
    try:
        yield
    except _USAGE as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    except _UNDECIDED as error:
        raise WeavegateError(str(error), Exit.UNDECIDED) from error
    except EvidenceFullError as error:
        raise WeavegateError(
            f"{error}, and the next run goes on from there", Exit.UNDECIDED
        ) from error
    except EvidenceUnwritableError as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    except EvidenceError as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise WeavegateError(_of_system(error), Exit.UNDECIDED) from error
    except MemoryError as error:
        sentence = "the memory of this machine does not suffice: give it more, or ask for less"
        raise WeavegateError(sentence, Exit.UNDECIDED) from error


def _of_system(error: OSError) -> str:
    """
    A sentence about something that the operating system refused.
    """
    what = f"{error.filename}: " if error.filename is not None else ""
    return (
        f"{what}{error.strerror or error}: check rights, disk space and limits (`ulimit -a`), and"
        " run it again"
    )
