"""Maps from one picture's plane onto another's: fitted to matched points, judged, applied."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Fit", "Matrix", "Points", "apply", "between", "corner_shift", "fit", "is_sane"]

Points = NDArray[np.float32] | NDArray[np.float64]  # N x 2, x and y
Matrix = NDArray[np.float64]  # 3 x 3, the last number 1

Fit = tuple[Matrix, NDArray[np.bool_]]  # the map, and which of the points agree with it

_NOISE_PX = 0.05  # of a followed point, at least


def fit(
    points: Points,
    old_points: Points,
    *,
    model: Literal["homography", "similarity"],
    method: Literal["magsac", "ransac"],
    threshold: float,
) -> Fit | None:
    """The map that takes most `points` to their `old_points`, and which do agree with it; None if there is none.

    A homography has eight numbers, a similarity (shift, turn, zoom) four: less to fit noise with, and no way to follow
    a camera that tilts. With magsac, a homography is the answer only where it explains the points better than chance
    would let four more numbers do. OpenCV fits similarities by RANSAC alone.

    Args:
        points, old_points: matched, at least four.
        model: kind of map, the most general one allowed.
        method: magsac (Barath et al. 2019, with a threshold that bends) or ransac (the paper's: always a homography).
        threshold: pixels within which a match agrees.
    """
    if model == "similarity":
        return _similarity(points, old_points, threshold)
    flag = cv2.USAC_MAGSAC if method == "magsac" else cv2.RANSAC
    found = _checked(*cv2.findHomography(points, old_points, flag, threshold))
    if found is None or method == "ransac":
        return found
    simple = _similarity(points, old_points, threshold)
    return found if simple is None or _needed(found[0], simple[0], points, old_points, threshold) else simple


def _similarity(points: Points, old_points: Points, threshold: float) -> Fit | None:
    matrix, chosen = cv2.estimateAffinePartial2D(
        points, old_points, method=cv2.RANSAC, ransacReprojThreshold=threshold, confidence=0.999
    )
    return _checked(None if matrix is None else np.vstack([matrix, (0, 0, 1)]), chosen)


def _checked(matrix: Matrix | None, chosen: NDArray[np.uint8]) -> Fit | None:
    if matrix is None or not np.isfinite(matrix).all() or matrix[2, 2] == 0:
        return None
    whole: Matrix = matrix / matrix[2, 2]
    return whole, chosen.ravel() == 1


def _needed(homography: Matrix, similarity: Matrix, points: Points, old_points: Points, threshold: float) -> bool:
    """Whether the homography's four more numbers are worth it, by Schwarz's criterion (BIC, 1978).

    Distances are capped at four standard deviations and at the threshold, so that what follows neither has no say.
    """
    far, simply_far = (np.linalg.norm(apply(one, points) - old_points, axis=1) for one in (homography, similarity))
    deviation = max(_NOISE_PX, 1.4826 * float(np.median(far)))  # of a normal distribution with that median
    cap = min(4 * deviation, threshold)
    gain = float((np.minimum(simply_far, cap) ** 2 - np.minimum(far, cap) ** 2).sum())
    return gain > 4.0 * float(np.log(len(points)) * deviation**2)


def apply(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    """`points` as `matrix` maps them: N x 2."""
    mapped: NDArray[np.float64] = (points @ matrix[:2, :2].T + matrix[:2, 2]) / _depth(matrix, points)[:, None]
    return mapped


def between(now: Matrix, before: Matrix) -> Matrix:
    """The map from one frame to the frame before it, from the maps of both onto a third."""
    step: Matrix = np.linalg.inv(before) @ now
    step /= step[2, 2]
    return step


def corner_shift(matrix: Matrix, shape: tuple[int, ...]) -> float:
    """Pixels by which the corner of a picture of `shape` that moves furthest moves."""
    corners = _corners(shape)
    return float(np.linalg.norm(apply(matrix, corners) - corners, axis=1).max())


def is_sane(matrix: Matrix, shape: tuple[int, ...]) -> bool:
    """Whether one step's map keeps the frame's corners in order, its area and its place within a factor."""
    height, width = shape[:2]
    corners = _corners(shape)
    if not np.isfinite(matrix).all() or (_depth(matrix, corners) <= 0.1).any():
        return False
    there = apply(matrix, corners)
    sides = np.roll(there, -1, axis=0) - there
    turns = sides[:, 0] * np.roll(sides[:, 1], -1) - sides[:, 1] * np.roll(sides[:, 0], -1)
    area = cv2.contourArea(there.astype(np.float32)) / (width * height)
    near = float(np.linalg.norm(there - corners, axis=1).max()) < max(height, width) / 2
    return bool((turns > 0).all()) and 0.5 < area < 2.0 and near


def _corners(shape: tuple[int, ...]) -> Points:
    height, width = shape[:2]
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)


def _depth(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    depth: NDArray[np.float64] = points @ matrix[2, :2] + matrix[2, 2]
    return depth
