"""What conditional generators are given: pictures and short clips, as they are stored and as the networks see them.

N or B of them, C frames, S size.
"""

from typing import NamedTuple

import torch

from vgan.models.pixels import from_bytes

__all__ = ["Conditions", "Given", "given_by", "standing"]


class Given(NamedTuple):
    """A batch as the networks see it, in [-1, 1]."""

    picture: torch.Tensor  # B x 3 x S x S
    clip: torch.Tensor  # B x 3 x C x S x S


class Conditions(NamedTuple):
    """Many, as bytes on the CPU."""

    clips: torch.Tensor  # uint8 N x C x S x S x 3; a picture alone is a clip that stands still
    pictures: torch.Tensor | None = None  # uint8 N x S x S x 3; None: each clip's first frame

    def rows(self, first: int, count: int, device: torch.device) -> Given:
        """`count` of them from number `first` on, beginning again after the last."""
        places = torch.arange(first, first + count) % len(self.clips)
        clip = from_bytes(self.clips[places].to(device))
        if self.pictures is None:
            return given_by(clip)
        return Given(from_bytes(self.pictures[places][:, None].to(device))[:, :, 0], clip)


def given_by(clip: torch.Tensor) -> Given:
    """A clip B x 3 x C x S x S alone, whose first frame is the picture."""
    return Given(clip[:, :, 0], clip)


def standing(picture: torch.Tensor, frames: int) -> torch.Tensor:
    """B x 3 x S x S to B x 3 x frames x S x S: a clip in which nothing moves."""
    return picture.unsqueeze(2).expand(-1, -1, frames, -1, -1)
