"""The picture that goes with the numbers: frames of real clips on the left, of generated ones on the right."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.pictures import GAP, tile

__all__ = ["beside"]

_BETWEEN = 16  # white columns between real and generated
_HEADER = 20  # rows above, for the words
_SMALLEST = 64  # pixels of a frame's side in the picture; smaller frames are enlarged


def beside(real: NDArray[np.uint8], generated: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """One row per clip, `columns` frames of each, evenly spaced from its first to its last.

    `real` and `generated` are uint8 N x T x S x S x 3 of the same shape; returns H x W x 3.
    """
    left, right = _strips(real, columns), _strips(generated, columns)
    height, width, _ = left.shape
    picture = np.full((_HEADER + height, 2 * width + _BETWEEN, 3), 255, np.uint8)
    picture[_HEADER:, :width] = left
    picture[_HEADER:, width + _BETWEEN :] = right
    for text, x in (("real", 0), ("generated", width + _BETWEEN)):
        cv2.putText(picture, text, (x + GAP, _HEADER - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def _strips(clips: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """N x T x S x S x 3 to N rows of `columns` frames, H x W x 3."""
    shown = np.linspace(0, clips.shape[1] - 1, columns).round().astype(int)
    frames = clips[:, shown].reshape(-1, 1, *clips.shape[2:])  # N columns x 1 x S x S x 3
    factor = -(-_SMALLEST // clips.shape[2])
    strips: NDArray[np.uint8] = tile(frames.repeat(factor, axis=2).repeat(factor, axis=3), columns)[0]
    return strips
