"""
Exits whenever a named instance is called; batches of its own it runs honestly.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class DiesInHeldCalls(Honest):
    def call(self, header, blobs):
        if header.get("instance") is not None:
            os._exit(3)
        return Honest.call(self, header, blobs)


if __name__ == "__main__":
    main(DiesInHeldCalls)
