"""
Dies of a segmentation fault (or signal number `signal`) whenever it runs the culprit.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class Crashes(Honest):
    def misbehave(self, batch, row):
        os.kill(os.getpid(), int(self.parameters.get("signal", signal.SIGSEGV)))


if __name__ == "__main__":
    main(Crashes)
