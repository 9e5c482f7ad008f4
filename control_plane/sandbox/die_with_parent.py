"""Run a command that the kernel kills when its parent is gone: ``die_with_parent.py PARENT_PID COMMAND...``.

A file of its own, run by path in an isolated interpreter (it then costs about 20 ms), because a
``preexec_fn`` may deadlock in a program with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask for SIGKILL at the parent's death, which lasts across the exec, and become ``command``."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(f"parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606  # that it needs no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
