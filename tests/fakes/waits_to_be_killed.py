"""
Tells its process id through the named pipe `pipe` at the culprit and then waits for ever, unless
file `mark` says that it did so before.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class WaitsToBeKilled(Honest):
    def misbehave(self, batch, row):
        mark = Path(self.parameters["mark"])
        if mark.exists():
            return
        mark.touch()
        descriptor = os.open(self.parameters["pipe"], os.O_WRONLY)
        write(descriptor, b"%d" % os.getpid())
        os.close(descriptor)
        while True:
            signal.pause()


if __name__ == "__main__":
    main(WaitsToBeKilled)
