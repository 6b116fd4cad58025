"""Motion within one clip, each frame against the first, as vidstab measures it."""

import cv2
import numpy as np
import pytest

from tests.footage_factory import Frames, Matrix, filmed, scene, shake, with_passer
from vgan.preprocess.motion import STILL, Fitting, Motion
from vgan.preprocess.tripod import tripod_motions

FITTING = Fitting(model="similarity", method="magsac", threshold=2.0, min_matches=10)
SIZE = {"height": 240, "width": 320}
CORNERS = np.array([(0, 0, 1), (320, 0, 1), (320, 240, 1), (0, 240, 1)], np.float64).T


def _motions(frames: Frames) -> list[Motion]:
    return tripod_motions([np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY)) for one in frames], FITTING, 60.0)


def _errors(motions: list[Motion], places: list[Matrix]) -> list[float]:
    chain, errors = np.eye(3), []
    for motion, place in zip(motions, places, strict=True):
        assert motion.matrix is not None
        chain = chain @ motion.matrix
        one, two = chain @ CORNERS, places[0] @ np.linalg.inv(place) @ CORNERS
        errors.append(float(np.linalg.norm(one[:2] / one[2] - two[:2] / two[2], axis=0).max()))
    return errors


@pytest.mark.parametrize("passer", [False, True])
def test_shake_is_followed_and_nothing_adds_up(passer: bool) -> None:
    places = shake(40, 1)
    frames = filmed(scene(1, **SIZE), places, **SIZE)
    motions = _motions(with_passer(frames, step=3) if passer else frames)
    errors = _errors(motions, places)
    assert np.median(errors) < 0.6 and np.median(errors[-10:]) < 0.8
    assert all(0 <= motion.error < 1 and motion.inlier_share > 0.2 for motion in motions if not motion.still)


def test_a_fixed_camera_stands_exactly_still() -> None:
    rng = np.random.default_rng(0)
    still = np.repeat(filmed(scene(2, **SIZE), shake(1, 0), **SIZE), 16, axis=0)
    noisy = np.clip(with_passer(still).astype(int) + rng.normal(0, 6, still.shape).round().astype(int), 0, 255)
    motions = _motions(noisy.astype(np.uint8))
    assert all(motion.still and motion.matrix is STILL.matrix for motion in motions)


def test_a_camera_that_comes_to_rest_elsewhere_stands_still_there() -> None:
    places = shake(4, 3, shift=4.0) + [shake(4, 3, shift=4.0)[-1]] * 8
    motions = _motions(filmed(scene(3, **SIZE), places, **SIZE))
    assert not motions[3].still and all(motion.still for motion in motions[4:])
    assert max(_errors(motions, places)) < 1.0


def test_another_scene_is_not_explained() -> None:
    motions = _motions(
        np.concatenate(
            [filmed(scene(5, **SIZE), shake(3, 5), **SIZE), filmed(255 - scene(6, **SIZE), shake(3, 6), **SIZE)]
        )
    )
    assert motions[3].matrix is None and motions[3].reason
