"""Footage with a known truth: textured scenes, cameras that move by known homographies, things that pass, cuts."""

from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, run

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.config import PreprocessParams, load
from vgan.video import ffmpeg_binary

__all__ = ["ffmpeg", "filmed", "params", "scene", "shake", "with_passer"]

Frames = NDArray[np.uint8]  # T x H x W x 3
Matrix = NDArray[np.float64]  # 3 x 3
MARGIN = 40  # of a scene around what the camera sees


def params(**changes: object) -> PreprocessParams:
    """The demo preset's section with small clips and `changes`."""
    section = load(Path(__file__).resolve().parent.parent / "presets/demo.yaml").preprocess
    small: dict[str, object] = {"frames": 16, "size": 16, "stride": 8, "estimation_height": 120, "timeout_s": 20.0}
    return PreprocessParams.model_validate(section.model_dump() | small | changes)


def scene(seed: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """A picture with detail at several scales, `MARGIN` larger than the camera's view on every side."""
    rng = np.random.default_rng(seed)
    height, width = height + 2 * MARGIN, width + 2 * MARGIN
    picture = np.zeros((height, width, 3))
    for cell, weight in ((40, 1.0), (12, 0.7), (4, 0.8)):
        coarse = rng.random((height // cell + 2, width // cell + 2, 3))
        picture += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    # About the contrast of real footage.
    return np.asarray(np.clip(128 + 60 * (picture - picture.mean()) / picture.std(), 0, 255), np.uint8)


def shake(count: int, seed: int, *, shift: float = 2.0, turn: float = 0.01) -> list[Matrix]:
    """Camera places: maps from the scene to each frame. The first looks straight; the rest wander by random steps."""
    rng = np.random.default_rng(seed)
    places = [np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1]], np.float64)]
    for _ in range(count - 1):
        x, y = rng.normal(0, shift, 2)
        angle = rng.normal(0, turn)
        c, s = np.cos(angle), np.sin(angle)
        # About the middle of the picture, pulled back so that the camera stays near its first place.
        step = np.array([[c, -s, x + 80 * (1 - c) + 60 * s], [s, c, y + 60 * (1 - c) - 80 * s], [0, 0, 1]])
        home = places[0] @ np.linalg.inv(places[-1])
        places.append(step @ (0.9 * np.eye(3) + 0.1 * home) @ places[-1])
    return places


def filmed(picture: NDArray[np.uint8], places: Sequence[Matrix], height: int = 120, width: int = 160) -> Frames:
    """What the camera sees of a scene from each place."""
    return np.stack([cv2.warpPerspective(picture, place, (width, height), flags=cv2.INTER_CUBIC) for place in places])


def with_passer(frames: Frames, side: int = 40, step: int = 5) -> Frames:
    """The frames with a square of strong contrast that crosses from left to right."""
    blocks = np.random.default_rng(9).integers(0, 2, (side // 5, side // 5))
    checks = np.kron(blocks, np.ones((5, 5)))[..., None] * 200 + 30
    frames = frames.copy()
    for index, frame in enumerate(frames):
        left = 10 + index * step
        part = frame[40 : 40 + side, left : left + side]
        part[:] = checks[:, : part.shape[1]]
    return frames


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg for what the project itself does not need: sound, rotation, odd sizes."""
    command = [ffmpeg_binary(), "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
    run(command, check=True, stdin=DEVNULL)
