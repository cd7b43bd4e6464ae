"""
Takes the limits of a cell upon itself, then becomes the worker.

Run as `python -I -S cell_launcher.py LIMITS_JSON WORKER...`; standard library only. A process of
its own, because code between fork and exec is unsafe in a controller that has threads.
"""

import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def without_network(libc: ctypes.CDLL) -> bool:
    """
    Enter an empty network namespace, if the kernel lets us; the user stays the same.
    """
    if libc.unshare(CLONE_NEWNET) == 0:
        return True
    # Some kernels allow the user namespace and then forbid to map the user into it. There is no
    # way back out of one, so a child tries first.
    child = os.fork()
    if child == 0:
        os._exit(0 if enter_namespaces(libc) else 1)
    return os.waitpid(child, 0)[1] == 0 and enter_namespaces(libc)


def enter_namespaces(libc: ctypes.CDLL) -> bool:
    """
    Enter a user namespace with an empty network; False when a step is refused.
    """
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    try:
        for path, text in (
            ("/proc/self/setgroups", "deny"),
            ("/proc/self/uid_map", f"{user} {user} 1"),
            ("/proc/self/gid_map", f"{group} {group} 1"),
        ):
            with open(path, "w", encoding="ascii") as control:  # noqa: PTH123 - pathlib is slow to import
                control.write(text)
    except OSError:
        return False
    return True


def main() -> None:
    """
    Apply limits and exec the worker.
    """
    limits = json.loads(sys.argv[1])
    worker = sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if limits["no_network"]:
        without_network(libc)
    # After the namespace: a change of credentials clears the death signal.
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != limits["controller"]:
        sys.exit(1)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for name, value in limits["rlimits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))
    os.execve(worker[0], worker, limits["environment"])  # noqa: S606 - becoming it is the point


if __name__ == "__main__":
    main()
