"""Videos spread over a real Dask cluster: the same clips, and a sentence for whatever is wrong with the cluster."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from tests.conftest import ROOT
from tests.footage_factory import filmed, params, scene, shake
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import cluster, stage
from vgan.preprocess.cluster import setting, work_there
from vgan.preprocess.engine import Job
from vgan.preprocess.records import load_record
from vgan.preprocess.sources import Source
from vgan.preprocess.ticks import ticks_path
from vgan.video import write_video

NAMES = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")


@dataclass
class Cluster:
    """A scheduler and its workers, each a process."""

    folder: Path
    address: str
    scheduler: "subprocess.Popen[bytes]"
    workers: "list[subprocess.Popen[bytes]]"


def dask(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    with (folder / f"{arguments[0]}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:], "--no-dashboard"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start(folder: Path, workers: int) -> Cluster:
    ports = ("--host", "127.0.0.1", "--port", "0")
    scheduler = dask(folder, "scheduler", *ports, "--scheduler-file", str(folder / "scheduler.json"))
    until = time.monotonic() + 60
    while not (folder / "scheduler.json").exists() and time.monotonic() < until and scheduler.poll() is None:
        time.sleep(0.05)
    address = scheduler_address(folder)
    found = Cluster(folder, address, scheduler, [])
    for _ in range(workers):
        found.workers.append(worker(found))
    return found


def scheduler_address(folder: Path) -> str:
    return str(json.loads((folder / "scheduler.json").read_text())["address"])


def worker(found: Cluster) -> "subprocess.Popen[bytes]":
    """A worker under a nanny, which starts it again when it dies, as `dask worker` does by itself."""
    return dask(
        found.folder, "worker", found.address, "--host", "127.0.0.1", "--nthreads", "1", "--nworkers", "1",
        "--local-directory", str(found.folder), "--death-timeout", "60",
    )  # fmt: skip


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = start(tmp_path_factory.mktemp("dask"), 2)
    yield found
    for process in (*found.workers, found.scheduler):
        end(process)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("films")
    for number, name in enumerate(NAMES):
        write_video(raw / name, filmed(scene(number), shake(40, number)), 25)
    (raw / "noise.avi").write_bytes(b"noise" * 100)
    return raw


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the local engine makes of the films."""
    clips = tmp_path_factory.mktemp("local") / "clips"
    stage.run(params(), films, clips, workers=1)
    return content(clips)


def content(clips: Path) -> dict[str, bytes]:
    return {path.relative_to(clips).as_posix(): path.read_bytes() for path in clips.rglob("*") if path.is_file()}


def on(found: Cluster, **changes: object) -> PreprocessParams:
    return params(engine="dask", scheduler=found.address, **changes)


def test_the_clips_are_those_of_one_machine(
    dask_cluster: Cluster, films: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    summary = stage.run(on(dask_cluster), films, tmp_path / "clips", workers=1)
    assert content(tmp_path / "clips") == whole and summary.new == 5
    assert stage.run(params(), films, tmp_path / "clips", workers=1).new == 0  # the engine is not in a clip's key
    assert (
        stage.run(params(engine="dask", scheduler="tcp://127.0.0.1:1"), films, tmp_path / "clips", workers=1).new == 0
    )


def test_a_worker_killed_in_mid_video_costs_that_videos_retry_only(
    dask_cluster: Cluster, films: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgan.preprocess.cluster.work_there", die_once_midway)
    summary = stage.run(on(dask_cluster), films, tmp_path / "clips", workers=1)
    assert content(tmp_path / "clips") == whole
    begun = [name for path in tmp_path.glob("begun-*") for name in path.read_text().split()]
    assert sorted(begun) == sorted([*NAMES, "noise.avi", "b.mp4"])
    assert [name for name, _ in summary.failed] == ["noise.avi"]


def die_once_midway(job: Job, params: PreprocessParams, clips: Path, expected: dict[str, str]) -> None:
    """As `work_there`, but a worker dies after the first shard of one video was begun."""
    with (clips.parent / f"begun-{os.getpid()}").open("a") as file:
        file.write(job.source.name + "\n")
    if job.source.name == "b.mp4" and not (clips.parent / "died").exists():
        (clips.parent / "died").touch()
        from vgan.clips.shards import ShardWriter

        ShardWriter.add = die  # type: ignore[assignment,method-assign]
    work_there(job, params, clips, expected)


def die(*_: object) -> None:
    """As a decoder's memory error would."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_video_that_kills_every_worker_is_named_and_the_rest_are_done(
    dask_cluster: Cluster, films: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgan.preprocess.cluster.work_there", die_on_c)
    monkeypatch.setattr("vgan.preprocess.engine._TRIES", 1)  # Dask itself has tried four times by then
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("a.mp4", "c.mp4"):
        shutil.copy(films / name, raw)
    summary = stage.run(on(dask_cluster), raw, tmp_path / "clips", workers=1)
    assert summary.failed == [("c.mp4", "the worker reading it died (out of memory?)")] and summary.clips_kept == 3
    monkeypatch.undo()
    assert stage.run(on(dask_cluster), raw, tmp_path / "clips", workers=1).new == 1


def die_on_c(job: Job, params: PreprocessParams, clips: Path, expected: dict[str, str]) -> None:
    """As `work_there`, but one video is deadly."""
    if job.source.name == "c.mp4":
        die()
    work_there(job, params, clips, expected)


def test_no_scheduler_is_a_sentence(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(
            VganError, match=rf"no Dask scheduler answers at {address} .*`dask scheduler`.*engine: local"
        ):
            stage.run(params(engine="dask", scheduler=address), films, tmp_path / "clips", workers=1)


def test_no_worker_left_is_a_sentence_and_not_a_wait_for_ever(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_S", 2.0)
    lone = start(tmp_path, 1)
    monkeypatch.setattr("vgan.preprocess.cluster.work_there", end_the_worker)
    (tmp_path / "worker.pid").write_text(str(lone.workers[0].pid))
    try:
        with pytest.raises(VganError, match="has had no worker for 2 s: what was finished is kept; start workers"):
            stage.run(on(lone), films, tmp_path / "clips", workers=1)
    finally:
        end(lone.workers[0])
    try:
        monkeypatch.setattr(cluster, "_PATIENCE_S", 60.0)  # the new worker takes a while to begin
        (tmp_path / "worker.pid").write_text(str(lone.scheduler.pid))
        lone.workers.append(worker(lone))
        with pytest.raises(VganError, match="went away in mid-run: what was finished is kept"):
            stage.run(on(lone), films, tmp_path / "clips", workers=1)
    finally:
        end(lone.workers[1])
        end(lone.scheduler)


def end_the_worker(job: Job, params: PreprocessParams, clips: Path, expected: dict[str, str]) -> None:
    """The machine goes away: the process group of the nanny or of the scheduler."""
    os.killpg(int((clips.parent / "worker.pid").read_text()), signal.SIGKILL)
    time.sleep(60)


def test_a_worker_that_differs_says_in_what(films: Path, tmp_path: Path) -> None:
    source = Source(films / "a.mp4", "a.mp4", "")
    job = Job(source, "0" * 16, source.path.stat().st_size)
    clips = tmp_path / "clips"
    with pytest.raises(VganError, match=r"does not see .*\.clips\.frames as this machine does"):
        work_there(job, params(), clips, setting())
    ticks_path(clips).touch()
    with pytest.raises(VganError, match=rf"ffmpeg {setting()['ffmpeg']} there, 4\.2 here.*install the same versions"):
        work_there(job, params(), clips, setting() | {"ffmpeg": "4.2"})
    with pytest.raises(VganError, match=r"does not see .*a\.mp4 as this machine does"):
        work_there(Job(source, "0" * 16, 17), params(), clips, setting())
    assert load_record(clips, "0" * 16) is None
    work_there(job, params(), clips, setting())
    assert load_record(clips, "0" * 16) is not None
