"""
Claims SIMD and then refuses a module for it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ClaimsSimd(Honest):
    def capabilities(self):
        return [*super().capabilities(), "proposal:simd"]

    def load(self, header, blobs):
        if header["module"] == "probe":
            return super().load(header, blobs)
        return {"error": {"stage": "compile", "rule": "unsupported", "text": "SIMD is not built in"}}


if __name__ == "__main__":
    main(ClaimsSimd)
