"""`python -m flows.guard`: waits until standard input closes, then ends every process that carries its own mark.

Started by `flows.processes.start_guard`; standard input closes when the process that started it is gone.
"""

import os
import sys
import time
from collections.abc import Callable

import psutil

__all__ = ["MARK", "end_marked"]

MARK = "VGAN_FLOW_MARK"  # environment variable that descendants inherit
_GRACE_S = 6.0


def end_marked(mark: str, grace_s: float = _GRACE_S) -> None:
    """Ask every process marked `mark`, but not this one, to end; kill what is there after `grace_s` seconds."""
    for process in _marked(mark):
        _signal(process.terminate)
    until = time.monotonic() + grace_s
    while _marked(mark) and time.monotonic() < until:
        time.sleep(0.1)
    # Again until none is left: a process may have started another between the look and the kill.
    while left := _marked(mark):
        for process in left:
            _signal(process.kill)
        time.sleep(0.1)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.environ().get(MARK) == mark
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    sys.stdin.read()
    end_marked(os.environ[MARK])
