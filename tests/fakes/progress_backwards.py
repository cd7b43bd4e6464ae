"""
Moves the progress word back and forth, for ever, once it runs the culprit.
"""

import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ProgressBackwards(Honest):
    def misbehave(self, batch, row):
        while True:
            batch.set_progress(row + 1)
            select.select([], [], [], 0.02)
            batch.set_progress(row)
            select.select([], [], [], 0.02)


if __name__ == "__main__":
    main(ProgressBackwards)
