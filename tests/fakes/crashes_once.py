"""
Dies of a segmentation fault at the culprit, unless file `mark` says that it did before.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class CrashesOnce(Honest):
    def misbehave(self, batch, row):
        mark = Path(self.parameters["mark"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    main(CrashesOnce)
