"""Real footage with a known shake added: what the camera would have seen, and where it stood."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["View", "corner_errors", "places", "shaken"]

Frame = NDArray[np.uint8]  # H x W x 3
Matrix = NDArray[np.float64]  # 3 x 3


@dataclass(frozen=True)
class View:
    """A camera that sees the middle of a filmed picture, so that it may shake without showing what lies beyond.

    `margin` pixels of the picture are kept on every side.
    """

    width: int
    height: int
    margin: int


def places(view: View, count: int, seed: int, strength: float = 1.0) -> list[Matrix]:
    """Where the camera stands in each frame: maps from the filmed picture to what the camera sees.

    A hand that wanders slowly (a random walk pulled home), and trembles: shift, turn, zoom and a little perspective.
    Sizes are shares of the view's height; the first frame looks straight.
    """
    rng = np.random.default_rng(seed)
    # shift x, shift y, turn (rad), zoom, perspective x, perspective y
    walk = strength * np.array([0.004, 0.004, 0.0010, 0.0010, 0.0004, 0.0004])
    tremor = strength * np.array([0.004, 0.004, 0.0015, 0.0010, 0.0003, 0.0003])
    wander, found = np.zeros(6), []
    for index in range(count):
        wander = 0.97 * wander + rng.normal(0, 1, 6) * walk
        pose = wander + rng.normal(0, 1, 6) * tremor
        found.append(_place(view, pose if index else np.zeros(6)))
    return found


def _place(view: View, pose: NDArray[np.float64]) -> Matrix:
    x, y, turn, zoom, tilt_x, tilt_y = pose
    side = view.height
    c, s = (1 + zoom) * np.cos(turn), (1 + zoom) * np.sin(turn)
    # About the middle of the view, in units of its height.
    moved = np.array([[c, -s, x], [s, c, y], [tilt_x, tilt_y, 1]])
    half = np.array([[1 / side, 0, -view.width / 2 / side], [0, 1 / side, -0.5], [0, 0, 1]])
    straight = np.array([[1, 0, -view.margin], [0, 1, -view.margin], [0, 0, 1]], np.float64)
    place: Matrix = np.linalg.inv(half) @ moved @ half @ straight
    place /= place[2, 2]
    return place


def shaken(frames: Iterator[Frame], view: View, where: list[Matrix]) -> Iterator[Frame]:
    """What the camera sees of each filmed picture."""
    for frame, place in zip(frames, where, strict=False):
        seen: Frame = cv2.warpPerspective(frame, place, (view.width, view.height), flags=cv2.INTER_CUBIC)
        yield seen


def corner_errors(chain: list[Matrix], where: list[Matrix], width: int, height: int) -> NDArray[np.float64]:
    """Pixels by which each frame's estimated way to the first misplaces the view's corners: frames x 4.

    Args:
        chain: maps of frames onto the first, at the size of the view.
        where: the truth, from `places`.
        width, height: of the view.
    """
    corners = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], np.float64).T
    errors = []
    for matrix, place in zip(chain, where, strict=True):
        truth = where[0] @ np.linalg.inv(place)
        one, two = matrix @ corners, truth @ corners
        errors.append(np.linalg.norm(one[:2] / one[2] - two[:2] / two[2], axis=0))
    return np.array(errors)
