"""
Closes its reply pipe when it runs the culprit, and lives on.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ClosesReplies(Honest):
    def misbehave(self, batch, row):
        os.close(self.replies)
        while True:
            signal.pause()


if __name__ == "__main__":
    main(ClosesReplies)
