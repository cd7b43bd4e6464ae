"""
Answers the next command in place of the one whose batch holds the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class AnswersOutOfOrder(Honest):
    def send(self, reply):
        if self.guilty:
            reply["id"] += 1
        super().send(reply)


if __name__ == "__main__":
    main(AnswersOutOfOrder)
