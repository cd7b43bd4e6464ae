"""
Answers the batch that holds the culprit twice: at once, or if `late` before the next command.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class AnswersTwice(Honest):
    pending = b""

    def send(self, reply):
        data = self.frame(reply)
        if self.guilty and "late" not in self.parameters:
            write(self.replies, data + data)
        else:
            write(self.replies, self.pending + data)
        self.pending = data if self.guilty else b""
        self.guilty = False


if __name__ == "__main__":
    main(AnswersTwice)
