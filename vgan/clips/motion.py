"""How much clips move, counted in pixels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOVING_LEVELS", "moving_share", "quantiles"]

# Levels of 255 by which a pixel has to change from one frame to the next to count as moving: above what coding noise
# leaves on a still background, below what a moving edge does.
MOVING_LEVELS = 8


def moving_share(clips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of moving pixels in each of the uint8 clips B x T x H x W x 3, float64 B, between 0 and 1.

    A pixel moves if the mean of its three colours' absolute changes is above MOVING_LEVELS.
    """
    shares = np.empty(len(clips))
    for index, clip in enumerate(clips):  # one at a time: the differences take as much memory as the clip
        before, after = clip[:-1], clip[1:]
        change = np.maximum(before, after) - np.minimum(before, after)  # T-1 x H x W x 3, no overflow
        # Three terms written out: summing over an axis of three is eight times slower.
        total = change[..., 0].astype(np.uint16) + change[..., 1] + change[..., 2]
        shares[index] = (total > 3 * MOVING_LEVELS).mean()
    return shares


def quantiles(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """The 0, 1/steps, …, 1 quantiles of `values`: curves that compare sets of different sizes."""
    result: NDArray[np.float64] = np.quantile(values, np.linspace(0, 1, steps + 1))
    return result
