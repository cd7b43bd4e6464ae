"""
Says at the culprit that it is beyond the end of the batch, and stays there.
"""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ProgressTooFar(Honest):
    def misbehave(self, batch, row):
        batch.set_progress(batch.count + 2)
        while True:
            signal.pause()


if __name__ == "__main__":
    main(ProgressTooFar)
