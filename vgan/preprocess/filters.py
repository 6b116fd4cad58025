"""What the filters look at in a clip, and why they drop it: each is off by default.

The figures are taken of every clip, so that the manifest shows where a bar may be set. Duplicates are not dropped here:
which clips repeat others is known once all are there (`duplicates.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.clips.motion import moving_share
from vgan.config import PreprocessParams
from vgan.preprocess.scenes import same_category
from vgan.preprocess.windows import Candidate

__all__ = ["Look", "look_at", "perceptual_hash", "residual"]

_DCT_SIDE = 32  # pixels of the picture whose lowest frequencies make the hash
# The 32 lowest frequencies, diagonal by diagonal, without the mean: that is brightness.
_LOWEST = sorted(((i, j) for i in range(8) for j in range(8) if i + j > 0), key=lambda place: (sum(place), place))[:32]
_ROWS, _COLUMNS = (np.array(axis) for axis in zip(*_LOWEST, strict=True))


@dataclass(frozen=True)
class Look:
    """A candidate's figures, and why it is dropped; empty if it is not."""

    motion: float  # share of moving pixels; NaN without pixels
    phash: str  # 16 hex digits; empty without pixels
    scene: str  # category, where a classifier was asked
    reason: str


def look_at(candidate: Candidate, params: PreprocessParams, scene_of: Callable[[int], str] | None) -> Look:
    """Take a candidate's figures and hold them against the bars; one that stabilising dropped keeps its reason.

    Args:
        candidate: a window, stabilised or dropped.
        params: the section `preprocess`.
        scene_of: names the scene of the clip that starts at a frame; asked last, since it costs most. None: nobody
            asks.
    """
    if candidate.pixels is None:
        return Look(motion=float("nan"), phash="", scene="", reason=candidate.reason)
    motion = float(moving_share(candidate.pixels[None])[0])
    phash = perceptual_hash(candidate.pixels)
    reason, scene = "", ""
    if motion < params.min_motion:
        reason = f"moves less than min_motion = {params.min_motion:g}"
    elif params.max_residual > 0 and residual(candidate.psnr_after) > params.max_residual:
        reason = f"stabilised neighbours differ by more than max_residual = {params.max_residual:g}"
    elif scene_of is not None:
        scene = scene_of(candidate.start)
        if not scene:
            reason = "the scene classifier gives no finite scores"
        elif not any(same_category(scene, wanted) for wanted in params.scene_categories):
            reason = f"scene is {scene!r}, not one of scene_categories"
    return Look(motion=motion, phash=phash, scene=scene, reason=reason)


def residual(psnr: float) -> float:
    """Grey levels, root mean square, of a peak signal-to-noise ratio in dB of 8-bit pictures."""
    return float(255 / 10 ** (psnr / 20))


def perceptual_hash(clip: NDArray[np.uint8]) -> str:
    """64 bits, as hex digits, that a copy of the clip shares but for a few.

    As in the perceptual hash of a picture (Zauner 2010, https://www.phash.org/docs/pubs/thesis_zauner.pdf, section
    3.2.1), each bit says whether one of the lowest frequencies of a 32 x 32 picture is above their median. Half of the
    bits are of the clip's mean picture, how it looks; half of its mean change from frame to frame, where it moves. So
    two things that happen before one fixed camera differ.

    Args:
        clip: uint8, T x H x W x 3, RGB.
    """
    frames, height, width, _ = clip.shape
    tall = np.ascontiguousarray(clip).reshape(frames * height, width, 3)
    gray = cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY).reshape(frames, height * width)
    change = cv2.absdiff(gray[1:], gray[:-1])
    bits = []
    for pictures in (gray, change):
        mean = cv2.reduce(pictures, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).reshape(height, width)
        small = cv2.resize(mean, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA)
        lowest = cv2.dct(small)[_ROWS, _COLUMNS]
        bits.append(lowest > np.median(lowest))
    return np.packbits(np.concatenate(bits)).tobytes().hex()
