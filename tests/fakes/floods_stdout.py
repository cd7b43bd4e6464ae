"""
Prints `mib` MiB on standard output, or on descriptor number `on`, when it runs the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write

LINE = b"all work and no play" * 52429


class FloodsStdout(Honest):
    def misbehave(self, batch, row):
        for _ in range(int(self.parameters["mib"])):
            write(int(self.parameters.get("on", 1)), LINE)


if __name__ == "__main__":
    main(FloodsStdout)
