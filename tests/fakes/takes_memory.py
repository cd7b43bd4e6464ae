"""
Asks for `mib` MiB of memory and touches it when it runs the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class TakesMemory(Honest):
    def misbehave(self, batch, row):
        self.hoard = b"\1" * (int(self.parameters["mib"]) << 20)


if __name__ == "__main__":
    main(TakesMemory)
