"""A child process that gets SIGTERM when its parent dies, also by SIGKILL. On Linux alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# Replaces itself by the command; 1 is PR_SET_PDEATHSIG (man 2 prctl). The parent may have died
# before the call. 75: the command may be given again.
FOLLOW_PARENT = """
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(parent):
    sys.exit(75)
os.execv(command[0], command)
"""


def follow_parent(command: Sequence[str]) -> list[str]:
    """The command to start in place of `command`, whose first word is an absolute path.

    The child keeps its process id. On other systems than Linux the command stays as it is.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-c", FOLLOW_PARENT, str(os.getpid()), *command]
