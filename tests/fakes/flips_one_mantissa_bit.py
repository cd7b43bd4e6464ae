"""
Flips the last mantissa bit of the product, in about one case of 1,000 (chosen by its input).
"""

import struct
import zlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class FlipsOneMantissaBit(Honest):
    def product(self, x, instance):
        exact = x[0] * x[1]
        if zlib.crc32(struct.pack("<dd", x[0], x[1])) % 1000:
            return exact
        (bits,) = struct.unpack("<Q", struct.pack("<d", exact))
        return struct.unpack("<d", struct.pack("<Q", bits ^ 1))[0]


if __name__ == "__main__":
    main(FlipsOneMantissaBit)
