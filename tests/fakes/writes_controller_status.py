"""
Writes status byte `byte`, which only the controller may, for the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class WritesControllerStatus(Honest):
    def status(self, x):
        return int(self.parameters["byte"]) if x[0] == self.culprit else super().status(x)


if __name__ == "__main__":
    main(WritesControllerStatus)
