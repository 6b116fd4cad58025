"""The overview: curves, counts and a picture that follow from the folder alone."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.footage_factory import filmed, params, scene, shake
from vgan.clips import manifest
from vgan.clips.checksums import read_sums
from vgan.preprocess import overview, stage
from vgan.preprocess.overview import CURVES, INPUTS, LABELS, PICTURE, REASONS, clips_picture
from vgan.video import write_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a steady camera, and of one that swings away, whose windows are dropped."""
    folder = tmp_path_factory.mktemp("overview")
    (folder / "raw/calm").mkdir(parents=True)
    grey = np.repeat(scene(0).mean(2, keepdims=True), 3, 2).astype(np.uint8)
    write_video(folder / "raw/calm/calm.mp4", filmed(grey, shake(60, 0, shift=0.5, turn=0.001)), 25)
    picture = scene(1)
    red = np.stack([np.roll(picture, 9 * k, 1)[40:160, 40:200] for k in range(40)])
    red[..., 1:] //= 4
    write_video(folder / "raw/wild.mp4", red, 25)
    stage.run(params(max_filled_share=0.05), folder / "raw", folder / "clips", workers=1)
    return folder / "clips"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_curves_and_counts_are_the_manifests(clips: Path) -> None:
    rows = manifest.read(clips)
    kept = [row for row in rows if row.kept]
    curves = table(clips / CURVES)
    assert len(curves) == 51 and float(curves[0]["psnr_after"]) == pytest.approx(
        min(r.psnr_after for r in kept), abs=1e-3
    )
    assert float(curves[25]["psnr_after"]) == pytest.approx(np.median([r.psnr_after for r in kept]), abs=1e-3)
    assert float(curves[-1]["filled_share"]) == pytest.approx(max(r.filled_share for r in kept), abs=1e-3)
    assert {row["label"]: int(row["clips"]) for row in table(clips / LABELS)} == {
        label or "-": sum(r.kept and r.label == label for r in rows) for label in {r.label for r in rows}
    }
    reasons = {row["reason"]: int(row["candidates"]) for row in table(clips / REASONS)}
    assert reasons["kept"] == len(kept) and sum(reasons.values()) == sum(r.start >= 0 for r in rows)


def test_the_picture_shows_kept_and_dropped_ones(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = cv2.imread(str(clips / PICTURE))
    assert drawn is not None
    left, right = np.split(drawn[..., ::-1].astype(int), [drawn.shape[1] // 2], axis=1)
    red = [int(((half[..., 0] - half[..., 1]) > 60).sum()) for half in (left, right)]
    assert red[1] > 1000 > red[0]  # the camera that swings away is red
    again = clips_picture(clips, 0)
    np.testing.assert_array_equal(again, drawn[..., ::-1])
    monkeypatch.setattr(overview, "_SHOWN", 2)
    assert len({clips_picture(clips, seed).tobytes() for seed in range(6)}) > 1


def test_files_that_are_right_are_left_alone(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (CURVES, LABELS, REASONS, PICTURE, INPUTS)
    times = {name: (clips / name).stat().st_mtime_ns for name in names}
    sums = read_sums(clips)
    expected = {name: sums[name] for name in names}
    assert overview.write(clips, {}) == expected  # made again, and nothing differs
    with monkeypatch.context() as patch:
        patch.setattr(overview, "stats", None)
        assert overview.write(clips, sums) == expected  # not even made
    assert {name: (clips / name).stat().st_mtime_ns for name in times} == times
    whole = (clips / CURVES).read_bytes()
    (clips / CURVES).write_bytes(whole[:-2])
    assert overview.write(clips, sums) == expected and (clips / CURVES).read_bytes() == whole
    (clips / PICTURE).unlink()
    assert overview.write(clips, sums) == expected and (clips / PICTURE).exists()


def test_missing_shards_and_records_leave_gaps_only(clips: Path, tmp_path: Path) -> None:
    (tmp_path / manifest.MANIFEST).write_bytes((clips / manifest.MANIFEST).read_bytes())
    assert all((tmp_path / name).exists() for name in overview.write(tmp_path, {}))
