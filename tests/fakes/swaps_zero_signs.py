"""
Gives -0 where +0 is right, and +0 where -0 is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class SwapsZeroSigns(Honest):
    def product(self, x, instance):
        exact = x[0] * x[1]
        return exact if exact else -exact


if __name__ == "__main__":
    main(SwapsZeroSigns)
