"""Shot cuts at the right frame, none where there is none."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.footage_factory import Frames, filmed, scene, shake, with_passer
from vgan.preprocess.cuts import mark_cuts
from vgan.video import probe, read_frames


def _cuts(frames: Frames, threshold: float = 3.0) -> list[int]:
    marked = list(mark_cuts(frames, lambda frame: frame, threshold))
    assert len(marked) == len(frames)
    assert all(one is two for (one, _), two in zip(marked, list(frames), strict=True)) or np.array_equal(
        np.stack([frame for frame, _ in marked]), frames
    )
    return [index for index, (_, begins) in enumerate(marked) if begins]


def _shot(seed: int, count: int) -> Frames:
    return with_passer(filmed(scene(seed), shake(count, seed, shift=0.3, turn=0.001)))


@pytest.mark.parametrize("lengths", [(20, 25), (2, 20), (20, 2), (17, 3, 20), (9, 40, 12, 14)])
def test_joined_shots_are_parted_where_they_were_joined(lengths: tuple[int, ...]) -> None:
    frames = np.concatenate([_shot(seed, length) for seed, length in enumerate(lengths)])
    assert _cuts(frames) == [sum(lengths[:k]) for k in range(len(lengths))]


def test_a_shaken_shot_with_a_passer_is_one() -> None:
    frames = with_passer(filmed(scene(3), shake(60, 3, shift=4.0)))
    assert _cuts(frames) == [0]


def test_zero_looks_for_none() -> None:
    frames = np.concatenate([_shot(0, 10), _shot(1, 10)])
    assert _cuts(frames, 0) == [0]
    assert _cuts(frames[:0]) == _cuts(frames[:0], 0) == []
    assert _cuts(frames[:1]) == [0]


def test_a_lower_threshold_finds_no_fewer() -> None:
    frames = np.concatenate([_shot(seed, 12) for seed in range(4)])
    found = [set(_cuts(frames, threshold)) for threshold in (1.5, 3.0, 20.0, 200.0)]
    assert all(more >= fewer for more, fewer in pairwise(found))
    assert found[-1] == {0} < found[1]


def test_real_footage(footage: Path) -> None:
    def read(name: str, count: int) -> Frames:
        path = footage / name
        info = probe(path)
        frames = [f for _, f in zip(range(count), read_frames(path, info, short_side=96), strict=False)]
        return np.stack([cv2.resize(frame, (128, 96), interpolation=cv2.INTER_AREA) for frame in frames])

    fixed, shaky = read("static/vtest.avi", 200), read("handheld/shaky-5.avi", 150)
    assert _cuts(fixed) == [0]
    assert _cuts(shaky) == [0]
    assert _cuts(np.concatenate([fixed[:60], shaky[:50], fixed[100:140]])) == [0, 60, 110]
