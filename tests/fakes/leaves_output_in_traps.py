"""
Writes an output for cases that trap, where there is to be none.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class LeavesOutputInTraps(Honest):
    def run(self, batch, row, instance):
        batch.put("output", row, b"\xaa" * batch.out_bytes)
        return super().run(batch, row, instance)


if __name__ == "__main__":
    main(LeavesOutputInTraps)
