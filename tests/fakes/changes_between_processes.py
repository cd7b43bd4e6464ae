"""
Computes honestly in the process that makes file `mark`, and flips the last mantissa bit of the
culprit's product in every later one.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from flips_at import flipped
from honest import Honest, main


class ChangesBetweenProcesses(Honest):
    def hello(self, header, blobs):
        mark = Path(self.parameters["mark"])
        self.later = mark.exists()
        mark.touch()
        return super().hello(header, blobs)

    def product(self, x, instance):
        exact = x[0] * x[1]
        return flipped(exact) if self.later and x[0] == self.culprit else exact


if __name__ == "__main__":
    main(ChangesBetweenProcesses)
