"""Processes that do not outlive the flow: each command in its own group, and a guard for when the flow is killed."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flows.guard import MARK

__all__ = ["end_groups", "run_lines", "start_guard"]

_GRACE_S = 8.0  # for a stage to save its checkpoint


_held: list[int] = []  # the writing end: open as long as this process lives


def start_guard() -> None:
    """Start, once per process, the guard that ends everything this process has started when it dies.

    A SIGKILL runs no `finally`, so the guard is a process of its own: it holds the reading end of a pipe that closes
    when this process is gone, and knows the descendants by a mark in their environment.
    """
    if MARK in os.environ:
        return
    os.environ[MARK] = secrets.token_hex(8)
    reading, writing = os.pipe()
    subprocess.Popen(
        [sys.executable, "-m", "flows.guard"],
        stdin=reading,
        start_new_session=True,  # so that a Ctrl-C in the terminal leaves it standing until its work is done
    )
    os.close(reading)
    _held.append(writing)


def run_lines(
    command: list[str], cwd: Path, environment: Mapping[str, str], timeout_s: float, say: Callable[[str], None]
) -> int:
    """Run `command` in its own process group, hand its output to `say` line by line and return its exit code.

    However this is left (an exception, a cancelled task), the whole group is ended.

    Raises:
        TimeoutError: it ran for longer than `timeout_s` seconds.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        end_groups([process])

    timer = threading.Timer(min(timeout_s, threading.TIMEOUT_MAX), expire)
    timer.daemon = True
    timer.start()
    try:
        for line in process.stdout:
            say(line.rstrip())
        code = process.wait()
    finally:
        timer.cancel()
        end_groups([process])
        process.stdout.close()
    if expired.is_set():
        raise TimeoutError(f"{' '.join(command)} ran for longer than {timeout_s / 60:g} minutes and was ended")
    return code


def end_groups(leaders: list["subprocess.Popen[str]"]) -> None:
    """End the process groups that `leaders` lead: ask, wait, then kill. Returns when nothing of them is left."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for leader in leaders:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader.pid, sign)
        until = time.monotonic() + _GRACE_S
        # A leader may go at once while a stage below it still saves its checkpoint.
        while any(_group_alive(leader) for leader in leaders) and time.monotonic() < until:
            time.sleep(0.05)
    for leader in leaders:
        leader.wait()


def _group_alive(leader: "subprocess.Popen[str]") -> bool:
    leader.poll()  # reaps it; a zombie would count as alive
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True
