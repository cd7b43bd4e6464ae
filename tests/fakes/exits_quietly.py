"""
Exits with status `status` when it runs the culprit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class ExitsQuietly(Honest):
    def misbehave(self, batch, row):
        sys.exit(int(self.parameters.get("status", 0)))


if __name__ == "__main__":
    main(ExitsQuietly)
