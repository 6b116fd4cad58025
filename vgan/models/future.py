"""A still picture to its future: the paper's conditional generator (section 4.4; layers as in main_conditional.lua).

B batch, Z latent, T frames, S size, c channels (128 in the paper, twice those of the generators from noise), t = T/16
and s = S/16. 68.22 M parameters at the paper's sizes.
"""

import torch
from torch import nn

from vgan.models.encoders import picture_encoder
from vgan.models.streams import FACTOR, Streams, check_shape, compose, motion_layers, seeding, still_layers
from vgan.models.upsampling import Doubling2d, Doubling3d

__all__ = ["FutureGenerator"]


class FutureGenerator(nn.Module):
    """T frames of which the first is to be the picture given.

    With `latent_dim` 0 it is the paper's: one future per picture. Otherwise noise is laid beside the code, the same at
    every place, where the moving stream begins: futures of one picture differ in foreground and mask, and share the
    background, which is made from the code alone.
    """

    context = 1  # frames it is given
    repeats = 1  # of them, how many it makes again at the start of its video

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int) -> None:
        super().__init__()
        check_shape(frames, size)
        self.latent_dim, self.frames = latent_dim, frames
        self.encoder = picture_encoder(channels)
        kernel = (frames // FACTOR, 1, 1)
        self.motion = nn.Sequential(
            *seeding(8 * channels + latent_dim, 8 * channels, kernel),  # B x 8c x t x s x s
            *motion_layers(channels),  # B x c x T/2 x S/2 x S/2
        )
        # The paper's foreground and mask layers read the same input: one convolution with 3 + 1 outputs is both.
        self.motion_head = Doubling3d(channels, 4)
        self.still = nn.Sequential(*still_layers(channels))
        self.still_head = Doubling2d(channels, 3)

    def forward(self, noise: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """B x Z and B x 3 x S x S in [-1, 1] to B x 3 x T x S x S in [-1, 1]."""
        return self.streams(noise, picture).video

    def streams(self, noise: torch.Tensor, picture: torch.Tensor) -> Streams:
        """B x Z and B x 3 x S x S in [-1, 1] to the composed video and the three streams it is made of."""
        code = self.encoder(picture)  # B x 8c x s x s
        spread = noise[:, :, None, None].expand(-1, -1, *code.shape[2:])  # B x Z x s x s
        seed = torch.cat([code, spread.to(code.dtype)], 1).unsqueeze(2)  # B x 8c+Z x 1 x s x s
        moving = self.motion_head(self.motion(seed))  # B x 4 x T x S x S
        background = torch.tanh(self.still_head(self.still(code)))  # B x 3 x S x S
        return compose(moving, background.unsqueeze(2))
