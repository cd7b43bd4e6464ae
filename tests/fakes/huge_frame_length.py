"""
Announces more than the limits allow, in the header's length or in that of its `blobs`.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class HugeFrameLength(Honest):
    def frame(self, reply):
        if not self.guilty:
            return super().frame(reply)
        if "blobs" not in self.parameters:
            return struct.pack("<I", 1 << 31) + b"{}"
        raw = b'{"id": 1, "blobs": [268435456, 1]}'
        return struct.pack("<I", len(raw)) + raw


if __name__ == "__main__":
    main(HugeFrameLength)
