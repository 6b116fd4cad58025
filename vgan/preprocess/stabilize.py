"""A window of frames, warped onto its first frame, cropped and made small in one go."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.preprocess.motion import Motion

__all__ = ["Geometry", "Stabilized", "mean_square", "psnr", "stabilize"]

Picture = NDArray[np.uint8]  # H x W x 3
Mask = NDArray[np.uint8]  # H x W, 255 or 0
Matrix = NDArray[np.float64]  # 3 x 3

_ERODE = np.ones((5, 5), np.uint8)  # the paper's: pixels at the border are half made of nothing
_PSNR_MAX_DB = 100.0
_UNMOVED_PX = 1e-6


@dataclass(frozen=True)
class Geometry:
    """How a decoded frame becomes a clip's picture: made `small`, its middle cut out, then to `size`.

    The canvas (middle of the small picture) has up to twice the clip's side, the paper's 128 for 64: warping there
    and averaging afterwards neither blurs nor aliases.
    """

    decoded: tuple[int, int]  # width, height
    estimation: tuple[int, int]  # width, height at which motion is estimated
    small: tuple[int, int]  # width, height; the shorter is the canvas's side
    size: int

    @classmethod
    def of(cls, decoded: tuple[int, int], size: int, estimation_side: int | None = None) -> "Geometry":
        """For decoded frames (width, height), clips of `size`, and motion estimated with that shorter side at most."""
        shorter = min(decoded)
        canvas = min(max(shorter, size), 2 * size)
        width, height = (max(canvas, round(side * canvas / shorter)) for side in decoded)
        factor = min(1.0, (estimation_side or shorter) / shorter)
        estimation = (round(decoded[0] * factor), round(decoded[1] * factor))
        return cls(decoded=decoded, estimation=estimation, small=(width, height), size=size)

    @property
    def canvas(self) -> int:
        """The canvas's side in pixels."""
        return min(self.small)

    @property
    def corner(self) -> tuple[int, int]:
        """The canvas's left and top in the small picture."""
        return (self.small[0] - self.canvas) // 2, (self.small[1] - self.canvas) // 2

    def shrink(self, frame: Picture) -> Picture:
        """A decoded frame made small."""
        if self.small == self.decoded:
            return frame
        grows = self.small[0] > self.decoded[0]
        small: Picture = cv2.resize(frame, self.small, interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
        return small

    def gray(self, frame: Picture) -> NDArray[np.uint8]:
        """A decoded frame as motion is estimated on it: H x W."""
        gray: NDArray[np.uint8] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if self.estimation != self.decoded:
            gray = cv2.resize(gray, self.estimation, interpolation=cv2.INTER_AREA)
        return gray

    def crop(self, small: Picture) -> Picture:
        """The canvas of an unmoved small picture."""
        left, top = self.corner
        return small[top : top + self.canvas, left : left + self.canvas]

    def finish(self, canvas: Picture) -> Picture:
        """The clip's picture from a canvas."""
        if self.canvas == self.size:
            return canvas
        picture: Picture = cv2.resize(canvas, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return picture

    def on_canvas(self, matrix: Matrix) -> Matrix:
        """A homography between frames of estimation size as one from the small picture to the canvas."""
        scale_x, scale_y = self.small[0] / self.estimation[0], self.small[1] / self.estimation[1]
        # Pixel centres lie at whole numbers, so scaling is about (-1/2, -1/2).
        scale = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
        left, top = self.corner
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
        placed: Matrix = shift @ scale @ matrix @ np.linalg.inv(scale)
        return placed


@dataclass(frozen=True)
class Stabilized:
    """A clip and how it came out."""

    pixels: NDArray[np.uint8]  # T x size x size x 3
    psnr: float  # dB between neighbours, over pixels that both frames show
    filled_share: float  # of all pixels, taken from an earlier frame
    worst_filled_share: float  # in the frame with most of them


def stabilize(smalls: Sequence[Picture], motions: Sequence[Motion], geometry: Geometry) -> Stabilized:
    """Warp each frame of a window onto the first; what it does not show is taken from the frame before.

    Args:
        smalls: the window's frames, made small (`Geometry.shrink`).
        motions: of each frame against the one before, at estimation size; the first frame's is not read.
        geometry: of the video.

    Raises:
        ValueError: a motion is unknown.
    """
    chain = np.eye(3)  # from the frame at hand to the first
    canvas = geometry.crop(smalls[0])
    shown: Mask | None = None  # size x size, 255 where the frame shows the scene; None: everywhere
    pictures = [geometry.finish(canvas)]
    square, filled = 0.0, [0.0]
    for small, motion in zip(smalls[1:], motions[1:], strict=True):
        if motion.matrix is None:
            raise ValueError("expected a window whose motions are all known")
        before = shown
        if not motion.still:
            chain = chain @ motion.matrix
            chain /= chain[2, 2]
        if np.abs(chain - np.eye(3)).max() < _UNMOVED_PX:
            canvas, shown = geometry.crop(small), None
            filled.append(0.0)
        else:
            canvas, hole = _warp(small, geometry.on_canvas(chain), geometry.canvas, canvas)
            shown = None if hole is None else _shown(hole, geometry.size)
            filled.append(0.0 if hole is None else float(np.count_nonzero(hole)) / hole.size)
        pictures.append(geometry.finish(canvas))
        square += mean_square(pictures[-2], pictures[-1], _both(before, shown))
    return Stabilized(
        pixels=np.stack(pictures),
        psnr=psnr(square / (len(smalls) - 1)),
        filled_share=float(np.mean(filled)),
        worst_filled_share=max(filled),
    )


def _warp(small: Picture, matrix: Matrix, side: int, last: Picture) -> tuple[Picture, Mask | None]:
    """The canvas seen by a moved frame, holes filled from `last`, and the holes (255) if there are any."""
    warped = cv2.warpPerspective(small, matrix, (side, side), flags=cv2.INTER_LINEAR)
    if _covers(matrix, small.shape, side):
        return warped, None
    whole = np.full(small.shape[:2], 255, np.uint8)
    valid = cv2.warpPerspective(whole, matrix, (side, side), flags=cv2.INTER_NEAREST)
    # Beyond the canvas counts as shown: only the frame's own border is doubtful.
    hole = cv2.bitwise_not(cv2.erode(valid, _ERODE, borderType=cv2.BORDER_CONSTANT, borderValue=255))
    cv2.copyTo(last, hole, warped)
    return warped, hole


def _covers(matrix: Matrix, shape: tuple[int, ...], side: int) -> bool:
    """Whether the frame, less the doubtful border, covers the whole canvas."""
    corners = np.array([(0, 0, 1), (side, 0, 1), (side, side, 1), (0, side, 1)], np.float64)
    back = corners @ np.linalg.inv(matrix).T
    if (back[:, 2] <= 0).any():
        return False
    place = back[:, :2] / back[:, 2:]
    return bool((place >= 3).all() and (place <= np.array([shape[1] - 4, shape[0] - 4])).all())


def _shown(hole: Mask, size: int) -> Mask:
    shown: Mask = cv2.bitwise_not(cv2.resize(hole, (size, size), interpolation=cv2.INTER_NEAREST))
    return shown


def _both(one: Mask | None, two: Mask | None) -> Mask | None:
    if one is None or two is None:
        return one if two is None else two
    both: Mask = cv2.bitwise_and(one, two)
    return both


def mean_square(one: Picture, two: Picture, shown: Mask | None = None) -> float:
    """Mean squared difference of two pictures, over the pixels that `shown` marks; 0 where it marks none."""
    count = one.size if shown is None else 3 * cv2.countNonZero(shown)
    return float(cv2.norm(one, two, cv2.NORM_L2SQR, shown)) / count if count else 0.0


def psnr(square: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared difference of 8-bit values, at most 100."""
    return float(min(_PSNR_MAX_DB, 10 * np.log10(255**2 / square))) if square > 0 else _PSNR_MAX_DB
