"""
Reports one unit of fuel too few for the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class LiesAboutFuel(Honest):
    def gas(self, x, instance):
        return super().gas(x, instance) - (x[0] == self.culprit)


if __name__ == "__main__":
    main(LiesAboutFuel)
