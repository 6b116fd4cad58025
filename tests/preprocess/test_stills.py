"""Still pictures in the stage: a store of their own, in batches, beside clips or without any."""

import hashlib
import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.footage_factory import filmed, params, scene, shake
from vgan import video
from vgan.clips import manifest
from vgan.clips.batches import ClipBatches
from vgan.clips.store import ClipStore
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import stage, stills
from vgan.preprocess.engine import Job
from vgan.preprocess.stills import STILLS_FOLDER
from vgan.video import UnusableVideo, write_video

convert_batch = stills._convert_batch


def _picture(path: Path, seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = np.random.default_rng(seed).integers(0, 256, 3)
    picture[:, : width // 2] //= 2
    assert cv2.imwrite(str(path), picture[..., ::-1])
    return picture


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    for number in range(10):
        _picture(folder / f"beach/{number}.png", number)
    for number in range(4):
        _picture(folder / f"bedroom/train/{number}.webp", 20 + number)
    (folder / "beach/broken.jpg").write_bytes(b"\xff\xd8\xffnonsense")
    (folder / "beach/empty.png").touch()
    (folder / "splits.csv").write_text("path,label,split\nbedroom/train/,bedroom,train\nbeach/3.png,,test\n")
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_stills_alone_gives_a_store_of_stills(raw: Path, tmp_path: Path) -> None:
    summary = stage.run(params(test_share=0.4), raw, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips" / STILLS_FOLDER)
    assert [row.source for row in rows] == sorted(row.source for row in rows) and len(rows) == 16
    assert {row.source: row.reason for row in rows if not row.kept}.keys() == {"beach/broken.jpg", "beach/empty.png"}
    kept = {row.source: row for row in rows if row.kept}
    assert {row.label for name, row in kept.items() if name.startswith("bedroom")} == {"bedroom"}
    assert {row.split for name, row in kept.items() if name.startswith("bedroom")} == {"train"}
    assert kept["beach/3.png"].split == "test" and kept["beach/3.png"].label == "beach"
    assert summary.clips_kept == 0 and summary.stills is not None and summary.stills.kept == 14
    text = str(summary)
    assert "14 of 16 pictures (16 worked on)" in text and "not usable: beach/empty.png: empty file (0 bytes)" in text
    store = ClipStore(tmp_path / "clips" / STILLS_FOLDER)
    assert (len(store), store.frames, store.size) == (14, 1, 16)
    assert len(store.indices("train")) + len(store.indices("test")) == 14
    assert ClipBatches(store, store.indices("train"), 4, seed=0).next().shape == (4, 1, 16, 16, 3)
    with pytest.raises(VganError, match="expected clips to train on"):
        ClipStore(tmp_path / "clips")


def test_pixels_are_the_pictures_middle(raw: Path, tmp_path: Path) -> None:
    stage.run(params(), raw, tmp_path / "clips", workers=1)
    store = ClipStore(tmp_path / "clips" / STILLS_FOLDER)
    number = store.sources.index("beach/7.png")
    [[still]] = store.gather(np.array([number]))
    wanted = cv2.resize(_picture(tmp_path / "x.png", 7)[:, 10:50], (16, 16), interpolation=cv2.INTER_AREA)
    assert np.abs(still.astype(int) - wanted).max() <= 6  # scaled twice
    assert np.abs(still.astype(int) - wanted).mean() < 1


def test_clips_are_as_they_are_without_stills(raw: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_video(raw / f"film/{number}.mp4", filmed(scene(number), shake(40, number, shift=1.0)), 25)
    stage.run(params(), raw, tmp_path / "both", workers=1)
    (raw / "splits.csv").unlink()
    for folder in ("beach", "bedroom"):
        shutil.rmtree(raw / folder)
    stage.run(params(), raw, tmp_path / "clips", workers=1)
    both, clips = _content(tmp_path / "both"), _content(tmp_path / "clips")
    assert {name for name in both if not name.startswith("stills/")} == clips.keys()
    assert (
        all(both[name] == clips[name] for name in clips if name != "SHA256SUMS")
        and ClipStore(tmp_path / "both").frames == 16
    )
    stage.run(params(), raw, tmp_path / "both", workers=1)  # stills that are gone leave nothing
    assert _content(tmp_path / "both") == clips and not (tmp_path / ".both.stills").exists()


def test_only_the_batch_of_a_changed_picture_is_made_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stills, "_PER_BATCH", 3)
    clips = tmp_path / "clips"
    stage.run(params(), raw, clips, workers=1)
    before = _content(clips)
    # 12 pictures in 4 batches or fewer, 4 in 2 or fewer, by the hash of the name.
    names = [row.source for row in manifest.read(clips / STILLS_FOLDER)]
    numbers = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in names}
    places = {(name[:3], number % (4 if name.startswith("beach") else 2)) for name, number in numbers.items()}
    assert len(list((clips / "stills/videos").iterdir())) == len(places) > 3
    again = stage.run(params(), raw, clips, workers=1)
    assert again.stills is not None and again.stills.new == 0 and _content(clips) == before
    _picture(raw / "beach/5.png", 99)
    changed = stage.run(params(), raw, clips, workers=1)
    assert changed.stills is not None and 0 < changed.stills.new <= 6
    after = _content(clips)
    assert len([name for name in before.keys() - after.keys() if name.endswith(".arrow")]) == 1
    stage.run(params(), raw, tmp_path / "fresh", workers=2)
    assert _content(tmp_path / "fresh") == after
    stage.run(params(size=32), raw, clips, workers=1)
    stage.run(params(size=32), raw, tmp_path / "larger", workers=1)
    assert _content(tmp_path / "larger") == _content(clips)


def test_pictures_of_one_content_are_on_one_side(raw: Path, tmp_path: Path) -> None:
    for number in range(8):
        shutil.copy(raw / "beach/1.png", raw / f"beach/copy{number}.png")
    stage.run(params(test_share=0.5), raw, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips" / STILLS_FOLDER)
    copies = [row for row in rows if "copy" in row.source or row.source == "beach/1.png"]
    assert {row.group for row in copies} == {"beach/1.png"} and len({row.split for row in copies}) == 1
    assert {row.split for row in rows if row.kept} == {"train", "test"}


def test_pictures_that_are_all_broken_are_told(tmp_path: Path) -> None:
    (tmp_path / "raw/a").mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"raw/a/{number}.jpg").write_bytes(b"nonsense")
    with pytest.raises(VganError, match=r"3 of 3 pictures could not be used.*a/0\.jpg"):
        stage.run(params(), tmp_path / "raw", tmp_path / "clips", workers=1)
    with pytest.raises(VganError, match="no usable clip"):
        stage.run(params(max_failed_share=1.0), tmp_path / "raw", tmp_path / "clips", workers=1)


def test_a_picture_that_took_too_long_is_tried_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stills, "_convert_batch", _late)
        with pytest.raises(VganError, match="timed out"):
            stage.run(params(), raw, tmp_path / "clips", workers=1)
    summary = stage.run(params(), raw, tmp_path / "clips", workers=1)
    assert summary.stills is not None and summary.stills.kept == 14


def _late(job: Job, params: PreprocessParams, clips: Path) -> None:
    def late(*_: object, **__: object) -> None:
        raise UnusableVideo("timed out: no picture within 1 s", lasting=False)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(video, "read_picture", late)
        convert_batch(job, params, clips)


def test_a_worker_that_dies_costs_its_batch_alone(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch kills its worker once, the other always: that one is named, and tried again by the next run."""
    clips = tmp_path / "clips"
    with monkeypatch.context() as patched:
        patched.setattr(stills, "_convert_batch", _deadly)
        summary = stage.run(params(max_failed_share=1.0), raw, clips, workers=2)
    assert (clips.parent / "died").exists()
    assert summary.stills is not None and (summary.stills.kept, summary.stills.failed) == (4, 12)
    rows = manifest.read(clips / STILLS_FOLDER)
    assert {row.reason for row in rows if row.source.startswith("beach/")} == {stills._CRASHED}
    assert all(row.kept for row in rows if row.source.startswith("bedroom/"))
    again = stage.run(params(max_failed_share=1.0), raw, clips, workers=2)
    assert again.stills is not None and (again.stills.new, again.stills.kept) == (12, 14)
    stage.run(params(max_failed_share=1.0), raw, tmp_path / "fresh", workers=1)
    assert _content(clips) == _content(tmp_path / "fresh")


def _deadly(job: Job, params: PreprocessParams, clips: Path) -> None:
    mark = clips.parent / "died"
    if job.source.name.startswith("beach/") or not mark.exists():
        if not job.source.name.startswith("beach/"):
            mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    convert_batch(job, params, clips)
