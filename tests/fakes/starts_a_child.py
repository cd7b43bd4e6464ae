"""
Starts a process of its own, writes its id into file `child`, and then works on.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class StartsAChild(Honest):
    def hello(self, header, blobs):
        child = os.fork()
        if child == 0:
            while True:
                signal.pause()
        Path(self.parameters["child"]).write_text(str(child))
        return super().hello(header, blobs)


if __name__ == "__main__":
    main(StartsAChild)
