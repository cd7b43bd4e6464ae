"""
Claims, as capabilities, what it sees of the cell around it. Harmless.
"""

import os
import resource
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main


class TellsItsCell(Honest):
    def capabilities(self):
        control = resource.getrlimit
        claims = ["env:%s=%s" % pair for pair in sorted(os.environ.items())]
        claims += ["interface:%s" % name for _, name in socket.if_nameindex()]
        claims += ["core:%d" % control(resource.RLIMIT_CORE)[0]]
        claims += ["data:%d" % control(resource.RLIMIT_DATA)[0]]
        claims += ["files:%d" % control(resource.RLIMIT_NOFILE)[0]]
        claims += ["descriptor:%s" % name for name in sorted(os.listdir("/proc/self/fd"))]
        status = Path("/proc/self/status").read_text()
        claims += [line for line in status.splitlines() if line.startswith("NoNewPrivs")]
        claims += ["session:%s" % (os.getsid(0) == os.getpid())]
        claims += ["stdin:%s" % os.readlink("/proc/self/fd/0")]
        return [*super().capabilities(), *claims]


if __name__ == "__main__":
    main(TellsItsCell)
