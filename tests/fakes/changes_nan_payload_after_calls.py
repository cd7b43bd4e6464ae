"""
Gives NaNs other bits (`bits`, by default a quiet NaN's) from call number `after` of an instance on.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ChangesNanPayloadAfterCalls(Honest):
    def compute(self, x, instance):
        output = super().compute(x, instance)
        (first,) = struct.unpack_from("<d", output)
        if first != first and instance.calls >= int(self.parameters["after"]):
            bits = int(self.parameters.get("bits", "7ff8000000000bad"), 16)
            return struct.pack("<Q", bits) + output[8:]
        return output


if __name__ == "__main__":
    main(ChangesNanPayloadAfterCalls)
