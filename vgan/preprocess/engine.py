"""Videos, and batches of still pictures, spread over processes, each one's fate its own: one that takes its process
down costs no other anything.

`run_jobs` does the work with a pool, which is either `LocalPool` (processes of this machine) or the Dask cluster's in
`cluster.py`. A pool takes a video wherever there is room and tells what became of it.
"""

import fcntl
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from joblib.externals import loky

from vgan.config import PreprocessParams
from vgan.preprocess.convert import convert
from vgan.preprocess.sources import Source

__all__ = ["Job", "LocalPool", "Pool", "Task", "run_jobs", "work", "workers_gone", "writing"]

_TRIES = 3  # a worker may also be killed for what another process does, so one death proves nothing
_LOOK_EVERY_S = 0.5
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Job:
    """A video to convert, or a batch of still pictures."""

    source: Source  # a batch's first picture
    key: str
    size: int  # bytes of the file, -1 where it cannot be seen; the number of pictures
    pictures: tuple[Source, ...] = ()


class Task(Protocol):
    """What a process does with a job."""

    def __call__(self, job: Job, params: PreprocessParams, clips: Path) -> None:
        """Do it, writing to the folder `clips`."""


class Pool(Protocol):
    """Processes that convert videos."""

    def free(self) -> bool:
        """Whether another video would be worked on at once."""

    def submit(self, job: Job) -> None:
        """Have a video worked on."""

    def ended(self) -> list[tuple[Job, bool]]:
        """Wait for some to end: which, and whether each took its process down. Raises what else went wrong."""

    def close(self) -> None:
        """Stop at once."""


def run_jobs(pool: Pool, jobs: Sequence[Job]) -> Iterator[tuple[Job, bool]]:
    """Every job as it ends, and whether its worker died each time that it was tried. The largest are begun first."""
    waiting = deque(sorted(jobs, key=lambda job: (-job.size, job.source.name)))
    deaths: Counter[str] = Counter()
    busy = 0
    try:
        while waiting or busy:
            while waiting and pool.free():
                pool.submit(waiting.popleft())
                busy += 1
            for job, died in pool.ended():
                busy -= 1
                deaths[job.key] += died
                if died and deaths[job.key] < _TRIES:
                    waiting.append(job)
                else:
                    yield job, died
    finally:
        pool.close()


class LocalPool:
    """Processes of this machine, each a pool of one, so that a death is the death of one known video.

    `task` is what is done with a job: `work` unless given.
    """

    def __init__(self, params: PreprocessParams, clips: Path, workers: int, task: Task | None = None) -> None:
        self._task = partial(task or work, params=params, clips=clips)
        self._idle: list[loky.ProcessPoolExecutor] = []
        self._unborn = workers
        self._busy: dict[loky.Future, tuple[Job, loky.ProcessPoolExecutor]] = {}

    def free(self) -> bool:
        """Whether a process has nothing to do, or may still be started."""
        return bool(self._idle) or self._unborn > 0

    def submit(self, job: Job) -> None:
        """Have a process work on a video."""
        if not self._idle:
            self._unborn -= 1
            self._idle.append(
                loky.ProcessPoolExecutor(1, initializer=_end_with, initargs=(os.getpid(),), env=_ONE_THREAD)
            )
        executor = self._idle.pop()
        self._busy[executor.submit(self._task, job)] = job, executor

    def ended(self) -> list[tuple[Job, bool]]:
        """Wait for some to end; the process of one that died is replaced when it is needed."""
        found = []
        for future in loky.wait(self._busy, return_when=loky.FIRST_COMPLETED).done:
            job, executor = self._busy.pop(future)
            error = future.exception()
            died = isinstance(error, loky.BrokenProcessPool)
            if died:
                executor.shutdown(wait=False, kill_workers=True)
                self._unborn += 1
            else:
                self._idle.append(executor)
                if error is not None:
                    raise error
            found.append((job, died))
        return found

    def close(self) -> None:
        """End all processes, whatever they are at."""
        for executor in [*self._idle, *(executor for _, executor in self._busy.values())]:
            executor.shutdown(wait=True, kill_workers=True)


def work(job: Job, params: PreprocessParams, clips: Path) -> None:
    """Convert a video while holding the lock that says somebody may be writing."""
    with writing(clips):
        convert(job.source, job.key, params, clips)


@contextmanager
def writing(clips: Path) -> Iterator[None]:
    """Hold the lock that tells later runs that a worker may still be writing to `clips`."""
    descriptor = os.open(_workers_lock(clips), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def workers_gone(clips: Path) -> bool:
    """Whether no worker of an earlier run, killed or cut off, can still write to `clips`."""
    descriptor = os.open(_workers_lock(clips), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _workers_lock(clips: Path) -> Path:
    return clips.parent / f".{clips.name}.workers.lock"


def _end_with(manager: int) -> None:
    """Have this process end when the one that started it has: a killed run must not go on writing."""

    def look() -> None:
        while os.getppid() == manager:
            time.sleep(_LOOK_EVERY_S)
        for child in _children():  # a decoder that hangs would stay
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _children() -> list[int]:
    """The processes that this one has started, where the system tells."""
    found: list[int] = []
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, listed.read_text(encoding="ascii").split())
    return found
