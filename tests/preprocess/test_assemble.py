"""The stage with its filters on: what is dropped has its reason, the rest is as it would be without them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import ffmpeg, filmed, params, scene, shake, with_passer
from tests.preprocess.classifiers import COLOURS, write_labels, write_onnx
from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.store import ClipStore
from vgan.errors import VganError
from vgan.preprocess import stage
from vgan.preprocess.filters import residual
from vgan.video import write_video

Frames = NDArray[np.uint8]


def _tinted(frames: Frames, colour: int) -> Frames:
    """`frames` with one colour brighter than the others."""
    tinted = frames // 2
    tinted[..., colour] += 100
    return tinted


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 frames each: a walk, a copy of it in other quality and size, another walk, a still and a noisy one."""
    raw = tmp_path_factory.mktemp("filtered")
    cameras = [shake(1, seed) * 48 for seed in range(4)]
    rng = np.random.default_rng(0)
    grain = np.kron(rng.normal(0, 12, (48, 15, 20, 1)), np.ones((1, 8, 8, 1)))  # of a clip's pixels
    films = {
        "a/walk.mp4": _tinted(with_passer(filmed(scene(0), cameras[0]), step=3), 0),
        "c/other.mp4": _tinted(with_passer(filmed(scene(1), cameras[1])[:, ::-1], step=2)[:, ::-1], 1),
        "d/still.mp4": _tinted(filmed(scene(2), cameras[2]), 2),
        "e/noisy.mp4": np.clip(_tinted(filmed(scene(3), cameras[3]), 2) + grain, 0, 255).astype(np.uint8),
    }
    for name, frames in films.items():
        (raw / name).parent.mkdir()
        write_video(raw / name, frames, 25)
    (raw / "b").mkdir()
    ffmpeg("-i", raw / "a/walk.mp4", "-vf", "scale=144:108", "-crf", "30", "-pix_fmt", "yuv420p", raw / "b/copy.mp4")
    return raw


@pytest.fixture(scope="module")
def plain(films: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ClipRow]:
    """The manifest without filters."""
    clips = tmp_path_factory.mktemp("plain")
    stage.run(params(), films, clips, workers=1)
    return manifest.read(clips)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _of(rows: list[ClipRow], source: str) -> list[ClipRow]:
    return [row for row in rows if row.source == source]


def _unplaced(rows: list[ClipRow]) -> list[ClipRow]:
    """Rows less what depends on the parameters' key, on what was dropped before in the shard, and on the splits."""
    return [replace(row, id=row.id[16:], shard="", offset=0, scene="") for row in rows]


def test_figures_are_there_without_filters_and_nothing_is_dropped(plain: list[ClipRow]) -> None:
    assert len(plain) == 25 and {row.reason for row in plain} <= {"", "shares frames with test clips"}
    assert all(len(row.phash) == 16 and row.scene == "" for row in plain)
    assert min(row.motion for row in _of(plain, "a/walk.mp4")) > 0.01
    assert max(row.motion for row in _of(plain, "d/still.mp4")) < 0.001


def test_still_and_noisy_clips_are_dropped_and_the_rest_stays(
    films: Path, plain: list[ClipRow], tmp_path: Path
) -> None:
    noise = min(residual(row.psnr_after) for row in _of(plain, "e/noisy.mp4"))
    others = max(residual(row.psnr_after) for row in plain if row.source != "e/noisy.mp4")
    assert others < 0.9 * noise
    bar = float(f"{(others + noise) / 2:.2f}")
    summary = stage.run(params(min_motion=0.005, max_residual=bar), films, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips")
    reasons = {row.source: row.reason for row in rows if not row.kept and "min" in row.reason + "max" in row.reason}
    still, noisy = _of(rows, "d/still.mp4"), _of(rows, "e/noisy.mp4")
    assert {row.reason for row in still} == {"moves less than min_motion = 0.005"}
    assert {row.reason for row in noisy} == {f"stabilised neighbours differ by more than max_residual = {bar:g}"}
    assert not any(row.kept or row.shard for row in still + noisy) and summary.dropped[still[0].reason] == 5
    assert reasons == {}
    for source in ("a/walk.mp4", "b/copy.mp4", "c/other.mp4"):
        assert _unplaced(_of(rows, source)) == _unplaced(_of(plain, source))
    assert len(list((tmp_path / "clips/shards").iterdir())) == 3  # what is dropped takes no room


def test_duplicates_are_dropped_before_the_split_and_named(films: Path, plain: list[ClipRow], tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    stage.run(params(), films, clips, workers=1)
    shards = {name for name in _content(clips) if name.startswith("shards/")}
    summary = stage.run(params(duplicate_bits=8), films, clips, workers=1)
    assert summary.new == 0 and {name for name in _content(clips) if name.startswith("shards/")} == shards
    rows = manifest.read(clips)
    starts = (0, 8, 16, 24, 32)
    copies = _of(rows, "b/copy.mp4")
    assert [row.reason for row in copies] == [
        f"duplicate of an earlier clip: a/walk.mp4, frame {start}" for start in starts
    ]
    assert not any(row.kept or row.shard or row.split or row.offset >= 0 for row in copies)
    assert summary.dropped["duplicate of an earlier clip"] == 5
    # Windows of one shot are as like each other, and of the other videos all are kept.
    assert [row for row in rows if row.source != "b/copy.mp4"] == [row for row in plain if row.source != "b/copy.mp4"]
    assert len(ClipStore(clips)) == sum(row.kept for row in rows)
    stage.run(params(duplicate_bits="off"), films, clips, workers=1)
    assert manifest.read(clips) == plain  # nothing was lost


def test_duplicates_do_not_depend_on_earlier_runs(films: Path, tmp_path: Path) -> None:
    raw = Path(shutil.copytree(films, tmp_path / "raw"))
    section = params(duplicate_bits=8)
    stage.run(section, raw, tmp_path / "whole", workers=1)
    (raw / "a/walk.mp4").rename(tmp_path / "walk.mp4")
    stage.run(section, raw, tmp_path / "clips", workers=1)
    first = manifest.read(tmp_path / "clips")
    assert any(row.kept for row in _of(first, "b/copy.mp4"))  # nothing comes before it any more
    (tmp_path / "walk.mp4").rename(raw / "a/walk.mp4")
    stage.run(section, raw, tmp_path / "clips", workers=1)
    assert _content(tmp_path / "clips") == _content(tmp_path / "whole")
    shutil.copy(raw / "a/walk.mp4", raw / "z.mp4")  # comes last: changes nothing before it
    stage.run(section, raw, tmp_path / "clips", workers=1)
    rows = manifest.read(tmp_path / "clips")
    whole = manifest.read(tmp_path / "whole")
    assert [row.reason.partition(":")[0] for row in rows[len(whole) :]] == ["duplicate of an earlier clip"] * 5
    assert rows[: len(whole)] == whole


def test_scenes_are_kept_by_category(films: Path, plain: list[ClipRow], tmp_path: Path) -> None:
    write_onnx(tmp_path / "model.onnx")
    write_labels(tmp_path / "labels.txt")
    classifier = {"scene_model": str(tmp_path / "model.onnx"), "scene_labels": str(tmp_path / "labels.txt")}
    kept = params(scene_categories=["red room"], **classifier)
    summary = stage.run(kept, films, tmp_path / "clips", workers=2)
    rows = manifest.read(tmp_path / "clips")
    assert {(row.source, row.scene) for row in rows} == {
        ("a/walk.mp4", COLOURS[0]), ("b/copy.mp4", COLOURS[0]), ("c/other.mp4", COLOURS[1]),
        ("d/still.mp4", COLOURS[2]), ("e/noisy.mp4", COLOURS[2]),
    }  # fmt: skip
    for source in ("a/walk.mp4", "b/copy.mp4"):
        assert _unplaced(_of(rows, source)) == _unplaced(_of(plain, source))
    assert {row.reason for row in rows if row.scene != COLOURS[0]} == {
        "scene is 'green_field', not one of scene_categories", "scene is 'blue_sea', not one of scene_categories"
    }  # fmt: skip
    assert summary.dropped["scene is 'blue_sea', not one of scene_categories"] == 10
    assert stage.run(kept, films, tmp_path / "clips", workers=1).new == 0
    write_onnx(tmp_path / "model.onnx", fault=0.5)  # says the same, but who knows
    assert stage.run(kept, films, tmp_path / "clips", workers=1).new == 5


def test_a_broken_classifier_is_told_before_any_video_is_worked_on(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_onnx(tmp_path / "model.onnx", outputs=4)
    write_labels(tmp_path / "labels.txt")
    classifier = {"scene_model": str(tmp_path / "model.onnx"), "scene_labels": str(tmp_path / "labels.txt")}
    clips = tmp_path / "clips"
    stage.run(params(), films, clips, workers=1)
    before = _content(clips)
    monkeypatch.setattr(stage, "run_jobs", None)
    for keep, told in (("red_room", "2 × 4 for 2 pictures"), ("kitchen", "none of its 3")):
        with pytest.raises(VganError, match=told):
            stage.run(params(scene_categories=[keep], **classifier), films, clips, workers=1)
    assert _content(clips) == before  # and nothing that was there is lost
