"""Still pictures of videos: grids of frames, and PNG files; and frames cut to the square of a clip.

N videos, T frames, H rows, W columns of pixels.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.atomic import write_bytes

__all__ = ["GAP", "fit", "tile", "write_png"]

GAP = 2  # white pixels between neighbours, none at the rim
_WHITE = 255


def tile(videos: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay videos N x T x H x W x 3 out in rows of `columns`, first one top left: one video T x H' x W' x 3.

    Video i begins at row (i // columns) * (H + GAP), column (i % columns) * (W + GAP); what no video covers is white.
    """
    N, T, H, W, _ = videos.shape
    rows = -(-N // columns)
    grid = np.full((T, rows * (H + GAP) - GAP, columns * (W + GAP) - GAP, 3), _WHITE, np.uint8)
    for index, video in enumerate(videos):
        top, left = index // columns * (H + GAP), index % columns * (W + GAP)
        grid[:, top : top + H, left : left + W] = video
    return grid


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write H x W x 3 RGB to `path`, whole or not at all; the same pixels give the same bytes."""
    _, content = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))  # OpenCV's order is BGR
    write_bytes(path, content.tobytes())


def fit(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """H x W x 3 to size x size x 3, as clips are cut: the shorter side is scaled to `size` and the middle kept."""
    H, W, _ = frame.shape
    width, height = max(size, round(W * size / min(H, W))), max(size, round(H * size / min(H, W)))
    smooth = cv2.INTER_AREA if size < min(H, W) else cv2.INTER_CUBIC
    scaled = cv2.resize(frame, (width, height), interpolation=smooth)
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(scaled[top : top + size, left : left + size]).astype(np.uint8)
