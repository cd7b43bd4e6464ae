"""
Reports one unit of fuel too few for every case.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class SpendsLess(Honest):
    def gas(self, x, instance):
        return super().gas(x, instance) - 1


if __name__ == "__main__":
    main(SpendsLess)
