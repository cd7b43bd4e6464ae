"""
Prints a line for every case, as some engines do. Harmless.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, write


class PrintsOnStdout(Honest):
    def product(self, x, instance):
        write(1, b"an engine's chatter\n")
        write(2, b"and its errors\n")
        return super().product(x, instance)


if __name__ == "__main__":
    main(PrintsOnStdout)
