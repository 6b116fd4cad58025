"""Whether a training still learns: looked at on a schedule, told in the figures, and warned about when it turns bad.

N videos, T frames, S size.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["diversity", "warning"]

_ALIKE = 0.1  # of real clips' spread: the grey videos of an untrained generator measured 0.02 to 0.05
_ALWAYS_RIGHT = 0.995  # of clips known for what they are
_NEVER_RIGHT = 0.005


def diversity(samples: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """How far samples differ from each other, pixel by pixel, in units of how far real clips do.

    Both are N x T x S x S x 3.

    Root mean squares of the standard deviation over the videos: about 1 is as it should be, 0 is one video for all
    noise. NaN where real clips are all the same, or one.
    """
    if len(real) < 2:
        return float("nan")
    spread = [float(np.sqrt(np.var(videos.astype(np.float32), axis=0, ddof=1).mean())) for videos in (samples, real)]
    return spread[0] / spread[1] if spread[1] > 0 else float("nan")


def warning(figures: dict[str, float]) -> str:
    """What is wrong by a row's figures, and what to try; empty where nothing is."""
    if figures.get("diversity", 1.0) < _ALIKE:
        return (
            f"the generated videos are nearly all alike (diversity {figures['diversity']:.3f} of real clips' 1): the "
            "generator has collapsed; stop, and try another train.seed, a lower train.learning_rate_g, or "
            "train.loss: relativistic with r1_gamma and r2_gamma"
        )
    real, fake = figures["accuracy_real"], figures["accuracy_fake"]
    if min(real, fake) >= _ALWAYS_RIGHT:
        return (
            f"the discriminator knows {100 * real:.1f} % of real and {100 * fake:.1f} % of generated clips: the "
            "generator learns little from it; try train.discriminator_norm: spectral, more footage, "
            "train.diffaugment_colour and train.diffaugment_shift, or a lower train.learning_rate_d"
        )
    if max(real, fake) <= _NEVER_RIGHT:
        return (
            f"the discriminator takes {100 - 100 * real:.1f} % of real clips for generated ones and the other way "
            "round: it has stopped learning; try a higher train.learning_rate_d"
        )
    return ""
