"""
Never comes back from the culprit.
"""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class Hangs(Honest):
    def misbehave(self, batch, row):
        while True:
            signal.pause()


if __name__ == "__main__":
    main(Hangs)
