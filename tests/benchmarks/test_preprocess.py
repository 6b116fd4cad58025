import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from benchmarks.preprocessing.paper_script import decode_strip, stabilized_strip
from benchmarks.preprocessing.shaken import View, corner_errors, places, shaken
from tests.conftest import ROOT
from tests.footage_factory import filmed, scene, shake

VIEW = View(160, 120, 20)


def test_the_reference_undoes_a_known_shake() -> None:
    where = shake(5, 1)
    strip = stabilized_strip(list(filmed(scene(1), where)))
    assert strip is not None and len(strip.chain) == 5
    assert corner_errors(strip.chain, where, 160, 120).max() < 2
    clip = decode_strip(strip.jpeg, 64)
    assert clip.shape == (5, 64, 64, 3) and clip.dtype == np.uint8
    middle = clip[:, 12:-12, 12:-12].astype(int)
    assert np.abs(middle[1:] - middle[0]).mean() < 8


def test_the_reference_drops_what_does_not_match() -> None:
    assert stabilized_strip([np.full((120, 160, 3), 90, np.uint8)] * 2) is None


def test_places_begin_straight_and_shaken_frames_follow_them() -> None:
    where = places(VIEW, 6, seed=0)
    picture = scene(2, 80, 120)  # 160 x 200: the view and its margin
    assert picture.shape[:2] == (VIEW.height + 2 * VIEW.margin, VIEW.width + 2 * VIEW.margin)
    frames = list(shaken(iter([picture] * 6), VIEW, where))
    np.testing.assert_array_equal(frames[0], picture[20:140, 20:180])
    back = [cv2.warpPerspective(f, where[0] @ np.linalg.inv(m), (160, 120)) for f, m in zip(frames, where, strict=True)]
    apart = [np.abs(one[30:-30, 30:-30].astype(int) - frames[0][30:-30, 30:-30]).mean() for one in back[1:]]
    assert max(apart) < 4 < np.abs(frames[3].astype(int) - frames[0]).mean()
    assert corner_errors([where[0] @ np.linalg.inv(m) for m in where], where, 160, 120).max() < 1e-9
    assert corner_errors([np.eye(3)] * 6, where, 160, 120)[1:].min(axis=1).max() > 0.3


def test_quick_ends_with_one_line_of_json() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.preprocess", "--quick"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("footage: ")
    figures = json.loads(lines[-1])
    assert set(figures) == {
        *("whole_stage", "over_decoding", "two_workers", "inter_frame_psnr", "corner_error"),
        *("one_added", "nothing_changed", "clip_store", "over_jpeg_strips"),
    }
    for name, figure in figures.items():
        less = name in ("corner_error", "one_added", "nothing_changed")
        ours, reference = figure["ours"], figure["reference"]
        assert min(ours, reference) > 0 and figure["unit"]
        assert figure["ratio"] == pytest.approx(reference / ours if less else ours / reference)
    assert figures["over_decoding"]["ours"] == figures["whole_stage"]["ours"]


def test_an_unknown_option_is_refused() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.preprocess", "--fast"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0 and "unrecognized arguments: --fast" in answer.stderr
