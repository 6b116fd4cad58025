"""Which videos are begun, which are tried again, which given up; and that processes end with who started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.footage_factory import filmed, params, scene, shake
from vgan.config import PreprocessParams
from vgan.preprocess.engine import Job, LocalPool, run_jobs, work, workers_gone
from vgan.preprocess.records import load_record
from vgan.preprocess.sources import Source
from vgan.video import write_video


class Fake:
    """A pool of `slots` that does nothing; the jobs in `deaths` take their process down that many times."""

    def __init__(self, slots: int, deaths: dict[str, int]) -> None:
        self.slots, self.deaths = slots, dict(deaths)
        self.busy: list[Job] = []
        self.begun: list[str] = []
        self.closed = False

    def free(self) -> bool:
        return len(self.busy) < self.slots

    def submit(self, job: Job) -> None:
        assert self.free()
        self.busy.append(job)
        self.begun.append(job.key)

    def ended(self) -> list[tuple[Job, bool]]:
        job = self.busy.pop(0)
        died = self.deaths.get(job.key, 0) > 0
        self.deaths[job.key] = self.deaths.get(job.key, 0) - 1
        return [(job, died)]

    def close(self) -> None:
        self.closed = True


def jobs(sizes: Sequence[int]) -> list[Job]:
    return [Job(Source(Path(f"{n}.mp4"), f"{n}.mp4", ""), str(n), size) for n, size in enumerate(sizes)]


def test_the_largest_are_begun_first_and_all_end_once() -> None:
    pool = Fake(2, {})
    ended = list(run_jobs(pool, jobs([5, 9, 1, 7, 9])))
    assert pool.begun == ["1", "4", "3", "0", "2"] and pool.closed
    assert sorted(job.key for job, _ in ended) == list("01234") and not any(died for _, died in ended)


def test_a_death_is_tried_again_after_the_others_and_the_third_is_the_last() -> None:
    pool = Fake(1, {"0": 2, "1": 5})
    ended = {job.key: died for job, died in run_jobs(pool, jobs([9, 8, 7]))}
    assert ended == {"0": False, "1": True, "2": False}
    assert pool.begun == ["0", "1", "2", "0", "1", "0", "1"]


def test_whatever_goes_wrong_closes_the_pool() -> None:
    pool = Fake(1, {})
    found = run_jobs(pool, jobs([1, 1]))
    next(found)
    with pytest.raises(OSError, match="disk"):
        found.throw(OSError("disk"))  # type: ignore[attr-defined]
    assert pool.closed


@pytest.fixture
def films(tmp_path: Path) -> list[Job]:
    found = []
    for number in range(3):
        path = tmp_path / f"raw/{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, filmed(scene(number), shake(24, number)), 25)
        found.append(Job(Source(path, path.name, ""), f"{number:016x}", path.stat().st_size))
    return found


def test_a_video_that_kills_its_process_once_is_done_all_the_same(
    films: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "clips"
    for job in films:
        work(job, params(), clips)
    whole = {path.name: path.read_bytes() for path in clips.rglob("*.*")}
    monkeypatch.setattr("vgan.preprocess.engine.work", _die_at_first)
    ended = list(run_jobs(LocalPool(params(), tmp_path / "again", 2), films))
    assert sorted((job.key, died) for job, died in ended) == [(job.key, False) for job in films]
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").rglob("*.*") if path.suffix} == whole
    assert load_record(tmp_path / "again", films[0].key) is not None


def _die_at_first(job: Job, params: PreprocessParams, clips: Path) -> None:
    mark = clips.parent / f"died-{job.key}"
    if job.source.name == "1.mp4" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    work(job, params, clips)


def test_what_is_no_fault_of_a_video_ends_the_run(
    films: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgan.preprocess.engine.work", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        list(run_jobs(LocalPool(params(), tmp_path / "clips", 1), films))


def _full_disk(job: Job, params: PreprocessParams, clips: Path) -> None:
    raise OSError(28, "No space left on device")


def test_workers_end_with_the_run_that_started_them_and_hold_a_lock_till_then(tmp_path: Path) -> None:
    """A worker that outlives its killed run would write into the next one's folder."""
    code = """
import sys; from pathlib import Path
from tests.preprocess.test_engine import hang, jobs
from tests.footage_factory import params
from vgan.preprocess import engine
engine.work = hang
list(engine.run_jobs(engine.LocalPool(params(), Path(sys.argv[1]), 1), jobs([1])))
"""
    clips = tmp_path / "clips"
    assert workers_gone(clips)
    manager = subprocess.Popen([sys.executable, "-c", code, str(clips)], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while workers_gone(clips) and time.monotonic() < until:
        time.sleep(0.05)
    assert not workers_gone(clips) and manager.poll() is None
    manager.send_signal(signal.SIGKILL)
    manager.wait()
    while not workers_gone(clips) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers_gone(clips)


@pytest.mark.skipif(sys.platform != "linux", reason="children are read from Linux's /proc")
def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    """A stopped child, and one that has no other tie to the worker, of a worker whose manager is killed."""
    code = """
import sys; from pathlib import Path
from tests.preprocess.test_engine import hang_with_child, jobs
from tests.footage_factory import params
from vgan.preprocess import engine
list(engine.run_jobs(engine.LocalPool(params(), Path(sys.argv[1]), 1, hang_with_child), jobs([1])))
"""
    pid_file = tmp_path / "pid"
    command = [sys.executable, "-c", code, str(tmp_path / "clips")]
    manager = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    child = Path(f"/proc/{pid_file.read_text()}/stat")
    assert child.exists()
    manager.send_signal(signal.SIGKILL)
    manager.wait()
    until = time.monotonic() + 20
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"


def hang_with_child(job: Job, params: PreprocessParams, clips: Path) -> None:
    """A video whose decoder hangs."""
    child = subprocess.Popen(["sleep", "300"])
    child.send_signal(signal.SIGSTOP)
    (clips.parent / "new").write_text(str(child.pid))
    (clips.parent / "new").rename(clips.parent / "pid")
    time.sleep(300)


def hang(job: Job, params: PreprocessParams, clips: Path) -> None:
    """A video that never ends."""
    from vgan.preprocess import engine

    with engine.writing(clips):
        time.sleep(300)
