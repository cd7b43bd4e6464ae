"""
Answers the culprit's batch with a header that is no JSON object, of the given `kind`.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class SendsGarbageJson(Honest):
    KINDS = {
        "text": b"certainly",
        "list": b"[1, 2]",
        "latin": b'{"id": "\xe9"}',
        "surrogate": b'{"id": "\\ud800"}',
        "deep": b"[" * 100000,
        "digits": b"1" * 100000,
        "wide": '{"id": 1}'.encode("utf-16"),
    }

    def frame(self, reply):
        if not self.guilty:
            return super().frame(reply)
        raw = self.KINDS[self.parameters["kind"]]
        return struct.pack("<I", len(raw)) + raw


if __name__ == "__main__":
    main(SendsGarbageJson)
