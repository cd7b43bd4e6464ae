"""
Prints `mib` MiB on standard output when it runs the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class FloodsStdout(Honest):
    def misbehave(self, batch, row):
        write(1, b"all work and no play" * (int(self.parameters["mib"]) * 52429))


if __name__ == "__main__":
    main(FloodsStdout)
