"""
Traps at the culprit, where the module returns.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import UNREACHABLE, Honest, main


class TrapsAt(Honest):
    def run(self, batch, row, instance):
        if struct.unpack_from("<d", batch.input(row))[0] != self.culprit:
            return super().run(batch, row, instance)
        batch.put("status", row, bytes([UNREACHABLE]))
        return True


if __name__ == "__main__":
    main(TrapsAt)
