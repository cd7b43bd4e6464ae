"""
Sends half of the answer to the culprit's batch and exits as if all were well.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class TruncatesFrame(Honest):
    def send(self, reply):
        data = self.frame(reply)
        if self.guilty:
            write(self.replies, data[: len(data) // 2])
            sys.exit(0)
        write(self.replies, data)


if __name__ == "__main__":
    main(TruncatesFrame)
