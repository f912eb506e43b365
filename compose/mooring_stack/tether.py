"""Run a command that dies with its parent: `python tether.py PARENT-PID COMMAND...`, which replaces itself by COMMAND.

It decides nothing but that. It is run by its path with the bare interpreter, hence imports the standard library only.
On Linux the kernel sends SIGKILL the moment the parent is gone, even by `kill -9`. Elsewhere there is no such promise:
the parent's own clean ending is all there is.
"""

import ctypes
import os
import signal
import sys

# linux/prctl.h. The wish outlives execve, which is why this program may replace itself; fork drops it.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel, make sure that it was not too late, become the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If the parent died before the line above, nobody will ever send the signal.
    if os.getppid() == int(parent):
        os.execvp(command[0], command)  # noqa: S606 -- becoming a command that the parent chose is the whole point


if __name__ == "__main__":
    main()
