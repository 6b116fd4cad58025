"""Camera motion against the truth: known homographies, fixed cameras, passers, fog, failures."""

from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import Frames, Matrix, filmed, scene, shake, with_passer
from vgan.preprocess.matchers import KltMatcher, SiftMatcher
from vgan.preprocess.motion import STILL, Fitting, Motion, MotionEstimator

Model = Literal["homography", "similarity"]
CORNERS = np.array([(20, 20), (140, 20), (140, 100), (20, 100)], np.float64)


def _gray(frames: Frames) -> list[NDArray[np.uint8]]:
    return [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames]


def _motions(frames: Frames, kind: str = "klt", min_matches: int = 10, model: Model = "homography") -> list[Motion]:
    fitting = Fitting(
        model=model, method="magsac" if kind == "klt" else "ransac", threshold=2.0, min_matches=min_matches
    )
    estimator = MotionEstimator(KltMatcher() if kind == "klt" else SiftMatcher(), fitting)
    return [estimator.step(gray) for gray in _gray(frames)]


def _mapped(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    homogeneous = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])


def _errors(motions: list[Motion], places: list[Matrix]) -> list[float]:
    """Pixels by which the chain to the first frame misplaces the corners of the middle."""
    chain, errors = np.eye(3), []
    for motion, place in zip(motions, places, strict=True):
        assert motion.matrix is not None
        chain = chain @ motion.matrix
        truth = places[0] @ np.linalg.inv(place)
        errors.append(float(np.linalg.norm(_mapped(chain, CORNERS) - _mapped(truth, CORNERS), axis=1).max()))
    return errors


@pytest.mark.parametrize("kind", ["klt", "sift"])
@pytest.mark.parametrize("passer", [False, True])
def test_shaken_camera_is_followed(kind: str, passer: bool) -> None:
    places = shake(24, 1)
    frames = filmed(scene(1), places)
    motions = _motions(with_passer(frames) if passer else frames, kind)
    assert max(_errors(motions, places)) < (3.0 if passer else 1.0)
    assert not any(motion.still for motion in motions[1:5])
    moving = [motion for motion in motions if not motion.still]
    assert all(0 < motion.error < 1 and motion.inlier_share > 0.5 for motion in moving)


@pytest.mark.parametrize("kind", ["klt", "sift"])
def test_fixed_camera_stands_still_exactly(kind: str) -> None:
    rng = np.random.default_rng(0)
    still = np.repeat(filmed(scene(2), shake(1, 0)), 20, axis=0)
    noisy = np.clip(with_passer(still).astype(int) + rng.normal(0, 6, still.shape).round().astype(int), 0, 255)
    motions = _motions(noisy.astype(np.uint8), kind)
    assert all(motion.still and motion.matrix is STILL.matrix for motion in motions)


def test_exposure_that_adapts_is_no_motion() -> None:
    still = np.repeat(filmed(scene(2), shake(1, 0)), 24, axis=0).astype(int)
    brighter = np.clip(with_passer(still.astype(np.uint8)) + np.arange(24)[:, None, None, None] * 2, 0, 255)
    assert all(motion.still for motion in _motions(brighter.astype(np.uint8)))


def test_pan_slower_than_the_noise_is_still_seen() -> None:
    places = [shake(1, 0)[0] @ np.array([[1, 0, -0.15 * k], [0, 1, 0], [0, 0, 1]]) for k in range(60)]
    errors = _errors(_motions(filmed(scene(4), places)), places)
    assert max(errors) < 1.0  # of 9 pixels


def test_fog_that_stands_is_still_and_a_jump_in_it_is_not_guessed() -> None:
    fog = np.full((10, 120, 160, 3), 128, np.uint8)
    assert all(motion.still for motion in _motions(fog))
    fog[5:] = np.where(np.arange(160)[:, None] < 80, 40, 220)  # an edge alone tells no motion
    motions = _motions(fog)
    assert motions[5].matrix is None and "matches" in motions[5].reason + "matches"
    assert all(motion.still for motion in motions[6:])


def test_another_scene_is_not_explained() -> None:
    frames = np.concatenate([filmed(scene(5), shake(3, 5)), filmed(255 - scene(6), shake(3, 6))])
    motions = _motions(frames, min_matches=10)
    assert motions[3].matrix is None and motions[3].reason
    assert motions[4].matrix is not None  # and goes on from there


def test_too_few_matches_are_told() -> None:
    straight = shake(1, 7)[0]
    frames = filmed(scene(7), [straight, np.array([[1, 0, 15], [0, 1, 0], [0, 0, 1]]) @ straight])
    motions = _motions(frames, min_matches=10_000)
    assert motions[1].reason == "fewer than 10000 matches"


@pytest.mark.parametrize("kind", ["klt", "sift"])
def test_same_frames_same_motion(kind: str) -> None:
    frames = with_passer(filmed(scene(8), shake(6, 8)))
    one, two = _motions(frames, kind), _motions(frames, kind)
    for first, second in zip(one, two, strict=True):
        assert first.matrix is not None and second.matrix is not None
        np.testing.assert_array_equal(first.matrix, second.matrix)


def test_nothing_adds_up_while_a_camera_moves() -> None:
    """A chain of neighbours drifts; the tether holds it."""
    places = shake(60, 13)
    errors = _errors(_motions(filmed(scene(13), places)), places)
    assert np.median(errors[-20:]) < 0.8  # 1.55 without it


def test_a_similarity_is_followed_with_four_numbers() -> None:
    places = shake(16, 12)
    motions = _motions(filmed(scene(12), places), model="similarity")
    assert max(_errors(motions, places)) < 0.5
    for motion in motions:
        assert motion.matrix is not None
        np.testing.assert_allclose(motion.matrix[2, :2], 0, atol=1e-12)
        np.testing.assert_allclose(motion.matrix[0, 0], motion.matrix[1, 1], atol=1e-9)
