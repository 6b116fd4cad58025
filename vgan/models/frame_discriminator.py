"""A second discriminator that judges some frames of a clip one by one, as pictures (DVD-GAN's spatial discriminator,
Clark et al., 2019, arXiv 1907.06571; MoCoGAN, Tulyakov et al., 2018, arXiv 1707.04993).

B batch, K frames, S size, c channels. Its layers are the paper's discriminator's without time: 2.77 M parameters at 64
channels and 64 pixels.
"""

import torch
from torch import nn

from vgan.models.spectral import SpectralConv3d

__all__ = ["FrameDiscriminator"]

_HALVINGS = 4
_NORM_EPS = 1e-3  # as in the paper's discriminator
_SLOPE = 0.2


class FrameDiscriminator(nn.Module):
    """Five convolutions over each frame; each of the first four halves its sides, the last one reads what is left.

    `norm` is "batch", "spectral" or "none", as in `Discriminator`.
    """

    def __init__(self, *, channels: int, size: int, norm: str) -> None:
        super().__init__()
        if norm not in ("batch", "spectral", "none"):
            raise ValueError(f"expected the norm batch, spectral or none, got {norm!r}")
        if size % 2**_HALVINGS or size < 2**_HALVINGS:
            raise ValueError(f"expected a size that is a multiple of {2**_HALVINGS}, got {size}")
        convolution = SpectralConv3d if norm == "spectral" else nn.Conv3d
        layers: list[nn.Module] = []
        inputs = 3
        for halving in range(_HALVINGS):
            outputs = channels * 2**halving
            layers.append(convolution(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1)))
            if norm == "batch" and halving > 0:
                layers.append(nn.BatchNorm3d(outputs, eps=_NORM_EPS))
            layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
            inputs = outputs
        side = size // 2**_HALVINGS
        self.layers = nn.Sequential(*layers, convolution(inputs, 2, (1, side, side)))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """B x 3 x K x S x S in [-1, 1] to logits (B K) x 2, `REAL` and `FAKE` as in `Discriminator`."""
        logits: torch.Tensor = self.layers(frames)  # B x 2 x K x 1 x 1
        return logits.flatten(2).transpose(1, 2).flatten(0, 1)
