"""
Answers the culprit's batch with no JSON, unless file `mark` says that it did before.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class BabblesOnce(Honest):
    def frame(self, reply):
        mark = Path(self.parameters["mark"])
        if not self.guilty or mark.exists():
            return super().frame(reply)
        mark.touch()
        return struct.pack("<I", 4) + b"blah"


if __name__ == "__main__":
    main(BabblesOnce)
