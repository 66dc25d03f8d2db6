"""Whether the process of a run is there. Numbers of processes are given again, and one that has ended may linger."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from subprocess import Popen
from typing import Final

_CLOCKS: Final = 60.0  # seconds that the clocks of the log and of the system may differ


def is_there(pid: int, since: str, own: Sequence[Popen[bytes]] = ()) -> bool:
    """Whether a process of this machine is alive.

    Args:
        since: when it was there at the latest; who began after that is another with the same number.
        own: processes of ours, of which one that has ended is no longer there.
    """
    for process in own:
        if process.pid == pid and process.poll() is not None:
            return False
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _is_running(pid, datetime.fromisoformat(since).timestamp())


def _is_running(pid: int, since: float) -> bool:
    """Whether it still runs and had begun by then; where the system does not tell, it does."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        booted = next(s for s in Path("/proc/stat").read_text("utf-8").splitlines() if s.startswith("btime "))
        began = int(booted.split()[1]) + int(rest[18]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, LookupError, StopIteration):
        return True
    return state not in "ZX" and began <= since + _CLOCKS
