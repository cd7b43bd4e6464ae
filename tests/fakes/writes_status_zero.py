"""
Leaves the culprit's status byte at 0, and says that all is done.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class WritesStatusZero(Honest):
    def status(self, x):
        return 0 if x[0] == self.culprit else super().status(x)


if __name__ == "__main__":
    main(WritesStatusZero)
