"""Videos spread over machines: a pool made of the workers of a Dask cluster. The only place that names Dask.

Workers read the footage and write the clips themselves, so they must see both folders under the same paths, and run
the same code on the same libraries: each checks that before its first frame.
"""

import logging
import platform
import sys
import time
from concurrent.futures import CancelledError
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import distributed

from vgan import video
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess.convert import code_digest
from vgan.preprocess.engine import Job, work
from vgan.preprocess.ticks import ticks_path

__all__ = ["ClusterPool", "setting", "work_there"]

_PATIENCE_S = 60.0  # without a single worker
_CONNECT_S = 15.0
_SHAPING = ("numpy", "opencv-python-headless", "pyarrow", "scenedetect-headless")  # libraries that clips depend on
_HOW = "`dask scheduler` on one machine, `dask worker ADDRESS --nthreads 1 --nworkers auto` on each"


class ClusterPool:
    """The workers of the cluster whose scheduler is at `params.scheduler`; they may come and go.

    Raises:
        VganError: no scheduler answers there; later also: there is no worker left, or one differs from this machine.
    """

    def __init__(self, params: PreprocessParams, clips: Path) -> None:
        self._address = params.scheduler
        for name in ("distributed.client", "distributed.core", "distributed.utils"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told in our own words
        self._task = partial(work_there, params=params, clips=clips.absolute(), expected=setting())
        try:
            self._client = distributed.Client(self._address, timeout=_CONNECT_S)
        except (OSError, TypeError, ValueError) as error:  # TypeError: tls without certificates
            words = " ".join(str(error).split())[:200]
            raise VganError(
                f"preprocess.scheduler: no Dask scheduler answers at {self._address} ({words}): start one ({_HOW}) or "
                "set preprocess.engine: local"
            ) from None
        self._busy: dict[str, tuple[Any, Job]] = {}
        self._number = 0
        self._alive = time.monotonic()

    def free(self) -> bool:
        """Whether a thread of the cluster has nothing to do; waits while there is no worker at all."""
        while not self._busy and not self._threads():
            self._check_patience()
            time.sleep(0.2)
        return len(self._busy) < self._threads()

    def submit(self, job: Job) -> None:
        """Have a worker work on a video."""
        self._number += 1
        name = f"vgan-{job.key}-{self._number}"
        future = self._client.submit(self._task, job, key=name, pure=False)
        self._busy[name] = future, job

    def ended(self) -> list[tuple[Job, bool]]:
        """Wait for some to end. Dask itself tries one whose worker died three times more before it says so."""
        while True:
            done = [name for name, (future, _) in self._busy.items() if future.status != "pending"]
            if done:
                return [self._result(name) for name in done]
            try:
                distributed.wait([future for future, _ in self._busy.values()], 1.0, "FIRST_COMPLETED")
            except CancelledError:  # the connection was lost; the futures say so when asked again
                continue
            except TimeoutError:
                if self._threads():
                    self._alive = time.monotonic()
                self._check_patience()

    def close(self) -> None:
        """Let go of everything; videos under way are ended by their workers."""
        try:
            if self._client.status == "running":
                self._client.cancel([future for future, _ in self._busy.values()], force=True)
        finally:
            self._client.close(timeout=2)

    def _result(self, name: str) -> tuple[Job, bool]:
        future, job = self._busy.pop(name)
        if future.status == "finished":
            self._alive = time.monotonic()
            return job, False
        if future.status != "error":
            raise self._gone()
        error = future.exception()
        if isinstance(error, distributed.KilledWorker):
            return job, True
        if isinstance(error, ModuleNotFoundError):
            raise VganError(f"a Dask worker cannot run this project ({error}): install the same version of it there")
        raise error

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError):
            raise self._gone() from None

    def _gone(self) -> VganError:
        return VganError(
            f"the Dask scheduler at {self._address} went away in mid-run: what was finished is kept; start it and its "
            f"workers again ({_HOW}), then run this again"
        )

    def _check_patience(self) -> None:
        if time.monotonic() - self._alive > _PATIENCE_S:
            raise VganError(
                f"the Dask scheduler at {self._address} has had no worker for {_PATIENCE_S:g} s: what was finished is "
                f"kept; start workers ({_HOW}), then run this again"
            )


@cache
def setting() -> dict[str, str]:
    """What this machine's clips depend on besides footage and parameters."""
    libraries = {name: version(name) for name in _SHAPING}
    python = ".".join(map(str, sys.version_info[:2]))
    return {"code": code_digest()[:12], "Python": python, "ffmpeg": video.ffmpeg_version()} | libraries


def work_there(job: Job, params: PreprocessParams, clips: Path, expected: dict[str, str]) -> None:
    """Convert a video on a worker of the cluster.

    Raises:
        VganError: the worker has other versions, or does not see the same folders.
    """
    here = setting()
    other = [f"{name} {here[name]} there, {value} here" for name, value in expected.items() if here[name] != value]
    if other:
        raise VganError(
            f"the Dask worker on {platform.node()} would make other clips than this machine: {'; '.join(other)}: "
            "install the same versions on all"
        )
    for path, size in ((ticks_path(clips), None), (job.source.path, job.size)):
        seen = path.exists() and (size is None or path.stat().st_size == size)
        if not seen and size != -1:
            raise VganError(
                f"the Dask worker on {platform.node()} does not see {path} as this machine does: the project's folder "
                "must be shared, under the same path, by all machines"
            )
    work(job, params, clips)
