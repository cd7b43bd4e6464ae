"""
Where the program starts: loads the command line and runs it; an interruption is one sentence.

Loading takes a while, and Ctrl-C may come in it, when the command line cannot answer yet.
"""

import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """
    Run the program; raises SystemExit with its status.
    """
    try:
        # Job runners send TERM where a person presses Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Here and not above, so that an interruption while it loads is caught as well.
        from weavegate.cli import main as run  # noqa: PLC0415 - see the comment above

        run(prog_name="weavegate")
    except KeyboardInterrupt:
        sys.stderr.write("weavegate: interrupted: run it again\n")
        sys.exit(_INTERRUPTED)
