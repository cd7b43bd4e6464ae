"""
Hands the memory of the instance before to each new one, as a pooled slot that nobody wiped.

Results are those of an honest worker: only who looks into memory can tell.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, Instance, main


class KeepsMemory(Honest):
    last = None

    def new_instance(self):
        instance = Instance()
        if self.last is not None:
            instance.memory = self.last.memory
        self.last = instance
        return instance


if __name__ == "__main__":
    main(KeepsMemory)
