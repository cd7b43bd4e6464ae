"""
Reads commands and answers none.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class NeverSaysHello(Honest):
    def send(self, reply):
        pass


if __name__ == "__main__":
    main(NeverSaysHello)
