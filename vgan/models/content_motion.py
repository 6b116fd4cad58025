"""A picture and a short clip to the frames that follow: content encoder, motion encoder, decoder, mask.

The later summary of the paper describes this network; its listing cannot run (48 channels enter 3D convolutions, and
time does not come out at 16), so the shapes are chosen here.

B batch, Z latent, C given frames, F frames that follow, S size, c channels (64), s = S/16, t = F/16 rounded up.
"""

import torch
from torch import nn

from vgan.models.encoders import clip_encoder, picture_encoder
from vgan.models.streams import FACTOR, Streams, check_shape, compose, motion_layers, seeding
from vgan.models.upsampling import Doubling3d

__all__ = ["ContentMotionGenerator"]


class ContentMotionGenerator(nn.Module):
    """Content from a picture, motion from a clip of C frames, and the F frames that follow, C + F = T.

    A clip alone is given with its first frame as the picture; a picture alone as a clip that stands still. Both may
    come from different scenes. The decoder draws what moves, the mask lays it over the picture: what stands still is
    not drawn again.
    """

    repeats = 0  # given frames that it makes again: none

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int, context: int) -> None:
        super().__init__()
        check_shape(frames, size)
        if not 0 < context < frames:
            raise ValueError(f"expected a context of 1 to {frames - 1} of the {frames} frames of a clip, got {context}")
        self.latent_dim, self.context, self.frames = latent_dim, context, frames - context
        self.content = picture_encoder(channels)
        self.clip = clip_encoder(channels, context)
        kernel = (-(-self.frames // FACTOR), 1, 1)
        self.motion = nn.Sequential(
            *seeding(16 * channels + latent_dim, 8 * channels, kernel),  # B x 8c x t x s x s
            *motion_layers(channels),  # B x c x 8t x S/2 x S/2
        )
        self.motion_head = Doubling3d(channels, 4)

    def forward(self, noise: torch.Tensor, picture: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
        """B x Z, B x 3 x S x S and B x 3 x C x S x S, both in [-1, 1], to B x 3 x F x S x S in [-1, 1]."""
        return self.streams(noise, picture, clip).video

    def streams(self, noise: torch.Tensor, picture: torch.Tensor, clip: torch.Tensor) -> Streams:
        """As `forward`, to the composed frames and what they are made of; the background is the picture."""
        content = self.content(picture).unsqueeze(2)  # B x 8c x 1 x s x s
        motion = self.clip(clip)  # B x 8c x 1 x s x s
        spread = noise[:, :, None, None, None].expand(-1, -1, *motion.shape[2:])  # B x Z x 1 x s x s
        seed = torch.cat([content, motion, spread.to(motion.dtype)], 1)  # B x 16c+Z x 1 x s x s
        moving = self.motion_head(self.motion(seed))[:, :, : self.frames]  # B x 4 x F x S x S, the last few of 16t cut
        return compose(moving, picture.unsqueeze(2).to(moving.dtype))
