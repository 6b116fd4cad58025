"""One pipeline at a time in a project: the second one waits and says for whom."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from vgan import atomic
from vgan.errors import VganError

__all__ = ["project_lock"]

_SAY_EVERY_S = 30.0


@contextmanager
def project_lock(root: Path, wait_minutes: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the project's lock; the system frees it however the holder ends.

    Raises:
        VganError: another pipeline still holds it after `wait_minutes`.
    """
    folder = root / ".vgan"
    folder.mkdir(exist_ok=True)
    lock, holder = FileLock(folder / "pipeline.lock"), folder / "pipeline.json"
    until = time.monotonic() + wait_minutes * 60
    patience = 0.0  # the first refusal is said at once
    while True:
        try:
            lock.acquire(timeout=max(min(patience, until - time.monotonic()), 0))
            break
        except Timeout:
            if time.monotonic() >= until:
                raise VganError(
                    f"waited {wait_minutes:g} minutes for {_describe(holder)}: let it end, or end it, and start again"
                ) from None
            say(f"waiting for {_describe(holder)}")
            patience = _SAY_EVERY_S
    try:
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        atomic.write_text(holder, json.dumps({"pid": os.getpid(), "started": started}) + "\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return "another pipeline in this project"
    return f"another pipeline in this project (process {who['pid']}, running since {who['started']})"
