"""
Gives zero, with the right sign, where the product is subnormal.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class FlushesSubnormals(Honest):
    def product(self, x, instance):
        exact = x[0] * x[1]
        return math.copysign(0.0, exact) if abs(exact) < sys.float_info.min else exact

    def probed(self, x):
        return self.product(x, None)


if __name__ == "__main__":
    main(FlushesSubnormals)
