"""
Flips the last mantissa bit of the culprit's product.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


def flipped(value):
    """
    The value with its last bit turned over.
    """
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return struct.unpack("<d", struct.pack("<Q", bits ^ 1))[0]


class FlipsAt(Honest):
    def product(self, x, instance):
        exact = x[0] * x[1]
        return flipped(exact) if x[0] == self.culprit else exact


if __name__ == "__main__":
    main(FlipsAt)
