"""
Leaves the output of the case before in place of a culprit's own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ReturnsStaleOutput(Honest):
    last = 0.0

    def product(self, x, instance):
        if x[0] != self.culprit:
            self.last = x[0] * x[1]
        return self.last


if __name__ == "__main__":
    main(ReturnsStaleOutput)
