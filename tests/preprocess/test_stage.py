"""The whole stage on tiny footage: what it writes, what it leaves alone, what it refuses."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.footage_factory import filmed, params, scene, shake, with_passer
from vgan.clips import manifest
from vgan.clips.store import ClipStore
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import stage
from vgan.preprocess.engine import Job, work
from vgan.video import write_video


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos a/one, a/two and b/three of 48 frames, and three bad ones."""
    raw = tmp_path_factory.mktemp("films")
    for number, name in enumerate(("a/one.mp4", "a/two.mp4", "b/three.mp4")):
        (raw / name).parent.mkdir(exist_ok=True)
        write_video(raw / name, with_passer(filmed(scene(number), shake(48, number, shift=1.0, turn=0.004))), 25)
    (raw / "b/empty.mp4").touch()
    (raw / "b/noise.avi").write_bytes(b"noise" * 100)
    write_video(raw / "short.mp4", filmed(scene(9), shake(5, 9)), 25)
    (raw / "notes.txt").write_text("not a video")
    return raw


@pytest.fixture
def raw(films: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(films, tmp_path / "raw"))


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _times(folder: Path) -> dict[str, int]:
    """When the files of the videos were written: not the manifest and the overview, which tell of all together."""
    files = [*folder.glob("shards/*"), *folder.glob("videos/*")]
    return {path.name: path.stat().st_mtime_ns for path in files}


def test_good_videos_give_clips_and_bad_ones_their_reason(raw: Path, tmp_path: Path) -> None:
    summary = stage.run(params(test_by="video"), raw, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips")
    assert [row.source for row in rows] == sorted(row.source for row in rows)
    bad = {row.source: row.reason for row in rows if row.start == -1}
    assert bad.keys() == {"b/empty.mp4", "b/noise.avi", "short.mp4"}
    assert bad["b/empty.mp4"] == "empty file (0 bytes)" and bad["short.mp4"] == "too short: 5 frames, a clip needs 16"
    assert bad["b/noise.avi"].startswith("unreadable: ")
    good = [row for row in rows if row.start >= 0]
    assert {(row.source, row.label) for row in good} == {("a/one.mp4", "a"), ("a/two.mp4", "a"), ("b/three.mp4", "b")}
    assert [row.start for row in good if row.source == "a/one.mp4"] == [0, 8, 16, 24, 32]
    assert summary.videos == summary.new == 6 and len(summary.failed) == 3 and summary.clips_kept == 15
    text = str(summary)
    assert "6 videos (6 new or changed, 3 not usable)" in text and "b/empty.mp4: empty file (0 bytes)" in text
    store = ClipStore(tmp_path / "clips")
    sides = [{store.sources[i] for i in store.indices(split)} for split in ("train", "test")]
    assert all(sides) and not sides[0] & sides[1]


def test_second_run_touches_no_shard(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tmp_path / "clips"
    stage.run(params(), raw, clips, workers=1)
    content, times = _content(clips), _times(clips)
    monkeypatch.setattr(stage, "run_jobs", None)  # and works on no video, bad ones included
    summary = stage.run(params(), raw, clips, workers=1)
    assert summary.new == 0
    assert _content(clips) == content and _times(clips) == times
    other = stage.run(params(test_share=0.0), raw, clips, workers=1)
    assert other.test == 0 and _times(clips) == times  # splits are the manifest's alone


def test_only_the_changed_video_is_worked_on(raw: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    stage.run(params(), raw, clips, workers=1)
    times = _times(clips)
    write_video(raw / "a/one.mp4", filmed(scene(20), shake(48, 20)), 25)
    (raw / "a/two.mp4").unlink()
    summary = stage.run(params(max_failed_share=1.0), raw, clips, workers=1)
    assert summary.new == 1 and summary.videos == 5
    after = _times(clips)
    assert len(after.keys() - times.keys()) == 2  # a shard and a record
    assert len(times.keys() - after.keys()) == 4  # the old ones of both
    assert all(after[name] == times[name] for name in after.keys() & times.keys())
    stage.run(params(max_failed_share=1.0), raw, tmp_path / "again", workers=1)
    assert _content(tmp_path / "again") == _content(clips)


def test_one_of_many_videos_touches_its_own_files_only(tmp_path: Path) -> None:
    raw, clips = tmp_path / "raw", tmp_path / "clips"
    raw.mkdir()
    picture = scene(3, 32, 32)
    for number in range(60):
        write_video(raw / f"{number:03d}.mp4", filmed(picture[number:], shake(17, 0, shift=0.2), 32, 32), 25)
    section = params(stabilizer="none", cut_threshold=0.0, stride=1)
    stage.run(section, raw, clips, workers=2)
    first, times = _content(clips), _times(clips)
    write_video(raw / "060.mp4", filmed(picture[60:], shake(17, 0, shift=0.2), 32, 32), 25)
    assert stage.run(section, raw, clips, workers=2).new == 1
    grown = _times(clips)
    assert len(grown) == len(times) + 2 and grown.items() > times.items()
    (raw / "060.mp4").unlink()
    assert stage.run(section, raw, clips, workers=1).new == 0
    assert _times(clips) == times and _content(clips) == first
    other = params(stabilizer="none", cut_threshold=0.0, stride=2)
    assert stage.run(other, raw, clips, workers=2).new == 60
    assert not _times(clips).keys() & times.keys() and len(list(clips.glob("videos/*.arrow"))) == 60


def test_workers_change_nothing(raw: Path, tmp_path: Path) -> None:
    stage.run(params(), raw, tmp_path / "one", workers=1)
    stage.run(params(), raw, tmp_path / "two", workers=2)
    assert _content(tmp_path / "one") == _content(tmp_path / "two")


def test_killed_run_is_finished_by_the_next(raw: Path, tmp_path: Path) -> None:
    stage.run(params(), raw, tmp_path / "whole", workers=1)
    code = (
        "import sys; from pathlib import Path; from vgan.preprocess import stage\n"
        "from tests.footage_factory import params\n"
        "stage.run(params(), Path(sys.argv[1]), Path(sys.argv[2]), workers=1)"
    )
    clips = tmp_path / "clips"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, str(raw), str(clips)], cwd=root, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not list(clips.rglob("*.arrow")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (clips / "shards").mkdir(parents=True, exist_ok=True)
    (clips / "shards/.dead-00000.tar.123.partial").write_bytes(b"half")
    stage.run(params(), raw, clips, workers=1)
    assert _content(clips) == _content(tmp_path / "whole")


def test_a_worker_that_dies_takes_one_video_with_it(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgan.preprocess.engine.work", _die_on_two)
    section = params(max_failed_share=0.9)
    summary = stage.run(section, raw, tmp_path / "clips", workers=2)
    assert ("a/two.mp4", "the worker reading it died (out of memory?)") in summary.failed
    assert len(summary.failed) == 4 and summary.clips_kept > 0
    monkeypatch.undo()
    assert stage.run(section, raw, tmp_path / "clips", workers=1).new == 1  # tried again


def _die_on_two(job: Job, params: PreprocessParams, clips: Path) -> None:
    if job.source.name == "a/two.mp4":
        os._exit(9)
    work(job, params, clips)


def test_splits_csv_wins(raw: Path, tmp_path: Path) -> None:
    (raw / "splits.csv").write_text("path,group,split\na/one.mp4,anna,test\na/two.mp4,anna,\nb/three.mp4,bob,train\n")
    stage.run(params(), raw, tmp_path / "clips", workers=1)
    rows = [row for row in manifest.read(tmp_path / "clips") if row.kept]
    assert {(row.source, row.group, row.split) for row in rows} == {
        ("a/one.mp4", "anna", "test"),
        ("a/two.mp4", "anna", "test"),
        ("b/three.mp4", "bob", "train"),
    }
    (raw / "splits.csv").write_text("path,split\ngone.mp4,test\n")
    with pytest.raises(VganError, match=r"line 2.*gone\.mp4"):
        stage.run(params(), raw, tmp_path / "clips", workers=1)


def test_splits_csv_gives_labels_and_times_from_any_folder(raw: Path, tmp_path: Path) -> None:
    stage.run(params(), raw, tmp_path / "clips", workers=1)
    (raw / "a/splits.csv").write_text("path,label,start_s,end_s\none.mp4,Über,0.32,1.28\n")
    summary = stage.run(params(), raw, tmp_path / "clips", workers=1)
    assert summary.new == 1
    rows = [row for row in manifest.read(tmp_path / "clips") if row.start >= 0]
    assert [(row.start, row.label) for row in rows if row.source == "a/one.mp4"] == [(0, "Über"), (8, "Über")]
    assert {row.label for row in rows if row.source != "a/one.mp4"} == {"a", "b"}


def test_copies_of_a_video_are_never_on_both_sides(raw: Path, tmp_path: Path) -> None:
    for number in range(6):
        shutil.copy(raw / "a/one.mp4", raw / f"copy{number}.mp4")
    stage.run(params(test_by="video", test_share=0.5), raw, tmp_path / "clips", workers=1)
    rows = [row for row in manifest.read(tmp_path / "clips") if row.kept]
    copies = [row for row in rows if row.source.startswith("copy") or row.source == "a/one.mp4"]
    assert len({row.id for row in rows}) == len(rows) == 9 * 5
    assert {row.group for row in copies} == {"a/one.mp4"} and len({row.split for row in copies}) == 1


def test_a_lone_video_is_split_by_time_and_that_is_said(raw: Path, tmp_path: Path) -> None:
    for name in ("a/two.mp4", "b/three.mp4", "b/empty.mp4", "b/noise.avi", "short.mp4"):
        (raw / name).unlink()
    summary = stage.run(params(test_by="video"), raw, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips")
    assert [(row.split, row.kept) for row in rows] == [("train", True)] * 3 + [("", False), ("test", True)]
    assert rows[3].reason == "shares frames with test clips" and rows[3].shard == ""
    assert "its end is held out" in str(summary)
    assert summary.dropped == {"shares frames with test clips": 1}


def test_too_many_bad_videos_fail_the_stage(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"3 of 6 videos .*max_failed_share = 0\.4 .*empty\.mp4: empty file"):
        stage.run(params(max_failed_share=0.4), raw, tmp_path / "clips", workers=1)
    assert len(manifest.read(tmp_path / "clips")) > 3  # there to be looked at


def test_nothing_usable_says_what_to_do(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"lower preprocess\.frames \(64\)"):
        stage.run(params(frames=64, max_failed_share=1.0), raw, tmp_path / "clips", workers=1)
    with pytest.raises(VganError, match=r"none: put some there or run `vgan demo-footage`"):
        stage.run(params(), tmp_path / "nowhere", tmp_path / "clips", workers=1)


def test_a_second_run_waits_for_the_first(
    raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(tmp_path / ".clips.lock")
    lock.acquire()
    acquire = FileLock.acquire

    def released(self: FileLock, timeout: float | None = None) -> object:
        if timeout is None:
            lock.release()  # as the first run does at its end
        return acquire(self, timeout)

    monkeypatch.setattr(FileLock, "acquire", released)
    stage.run(params(), raw, tmp_path / "clips", workers=1)
    assert "another run is writing" in capfd.readouterr().err
