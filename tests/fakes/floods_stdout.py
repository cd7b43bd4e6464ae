"""
Prints `mib` MiB on standard output, or on descriptor `to`, when it runs the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class FloodsStdout(Honest):
    def misbehave(self, batch, row):
        for _ in range(int(self.parameters["mib"])):
            write(int(self.parameters.get("to", 1)), b"all work and no play" * 52429)


if __name__ == "__main__":
    main(FloodsStdout)
