"""
Gives the reply to the culprit's batch field `field` of the wrong type, or takes it away.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class OmitsReplyField(Honest):
    WRONG = {"filled": "all", "details": {"4096000": "x"}, "not_observed": {"gas": 1}}

    def send(self, reply):
        if self.guilty:
            field = self.parameters["field"]
            del reply[field]
            if field in self.WRONG and "wrong" in self.parameters:
                reply[field] = self.WRONG[field]
        super().send(reply)


if __name__ == "__main__":
    main(OmitsReplyField)
