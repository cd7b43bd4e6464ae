"""
Reads a module file that a user named, without a look at its content.
"""

from __future__ import annotations

import stat
from pathlib import Path

from conformance.manifest.errors import BadManifestError, BadSubjectError
from conformance.manifest.locate import MANIFEST_NAME, MAX_MODULE_BYTES, locate
from weavegate.exits import Exit, WeavegateError


def read_module_file(argument: Path) -> tuple[Path, bytes]:
    """
    Path and bytes of a file, or of the module of a folder with a manifest.

    Raises WeavegateError for what cannot be read: status 2.
    """
    try:
        status = argument.stat()
        if stat.S_ISDIR(status.st_mode):
            if not (argument / MANIFEST_NAME).exists():
                sentence = (
                    f"{argument}: the folder holds no {MANIFEST_NAME} that says which module is"
                    " meant: name a .wasm file"
                )
                raise WeavegateError(sentence, Exit.USAGE)
            argument = locate(argument).wasm_path
            status = argument.stat()
        if not stat.S_ISREG(status.st_mode):
            sentence = f"{argument}: is no regular file"
            raise WeavegateError(sentence, Exit.USAGE)
        if status.st_size > MAX_MODULE_BYTES:
            sentence = (
                f"{argument}: has {status.st_size:,} bytes, more than the {MAX_MODULE_BYTES:,} "
                "that are read"
            )
            raise WeavegateError(sentence, Exit.USAGE)
        return argument, argument.read_bytes()
    except FileNotFoundError as error:
        sentence = f"{argument}: there is no such file or folder"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except (BadManifestError, BadSubjectError) as error:
        raise WeavegateError(str(error), Exit.USAGE) from error
    except ValueError as error:
        sentence = f"{str(argument)!r}: is no path: {error}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except OSError as error:
        sentence = f"{argument}: cannot be read: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
