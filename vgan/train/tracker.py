"""What training tells an experiment tracker; the tracker itself lives outside."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoTracker", "Tracker"]


class Tracker(Protocol):
    """Receives a training's identity, figures and pictures. Must not raise: tracking never fails a training."""

    def start(self, fingerprint: str, inputs: dict[str, str]) -> None:
        """Called once before the first step: what is trained, and digests of what it is trained on."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Figures at a step."""

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        """A picture at a step, H x W x 3, RGB."""


class NoTracker:
    """Tracks nothing."""

    def start(self, fingerprint: str, inputs: dict[str, str]) -> None:
        """Ignore it."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Ignore them."""

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        """Ignore it."""
