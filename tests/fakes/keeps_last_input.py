"""
Computes a culprit's output from the input of the case before it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class KeepsLastInput(Honest):
    last = (0.0, 0.0)

    def product(self, x, instance):
        used = self.last if x[0] == self.culprit else x
        self.last = x
        return used[0] * used[1]


if __name__ == "__main__":
    main(KeepsLastInput)
