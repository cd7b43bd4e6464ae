"""
Cuts the last page off the arena when it runs the culprit; goes on if it may not.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ShrinksArena(Honest):
    def misbehave(self, batch, row):
        size = os.fstat(self.arena_descriptor).st_size
        try:
            os.ftruncate(self.arena_descriptor, size - 4096)
        except PermissionError:
            return


if __name__ == "__main__":
    main(ShrinksArena)
