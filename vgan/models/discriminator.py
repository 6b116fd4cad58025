"""Video to real or fake: the paper's discriminator (section 2.2; layers as in the authors' code).

B batch, T frames, S size, c channels (64 in the paper). 11.06 M parameters at the paper's sizes.
"""

import torch
from torch import nn

from vgan.models.spectral import SpectralConv3d

__all__ = ["FAKE", "REAL", "Discriminator"]

# Which of the two logits says what: the authors' labels 1 and 2, counted from 0.
REAL, FAKE = 0, 1

_HALVINGS = 4
_NORM_EPS = 1e-3  # the authors' discriminator sets it; torch's default is 1e-5
_SLOPE = 0.2


class Discriminator(nn.Module):
    """Five convolutions; each of the first four halves time and space, the last one reads what is left at once.

    `norm` is "batch", the paper's; "none", for losses that look at gradients clip by clip, which the statistics of a
    batch would mix; or "spectral": no batch norm, and every convolution spectrally normalised.
    """

    def __init__(self, *, channels: int, frames: int, size: int, norm: str) -> None:
        super().__init__()
        factor = 2**_HALVINGS
        if frames % factor or size % factor or min(frames, size) < factor:
            raise ValueError(f"expected multiples of {factor}, got {frames} frames of size {size}")
        c = channels
        self.layers = nn.ModuleList(
            [
                _halving(3, c, "none" if norm == "batch" else norm),  # B x 3 x T x S x S to B x c x T/2 x S/2 x S/2
                _halving(c, 2 * c, norm),  # to B x 2c x T/4 x S/4 x S/4
                _halving(2 * c, 4 * c, norm),  # to B x 4c x T/8 x S/8 x S/8
                _halving(4 * c, 8 * c, norm),  # to B x 8c x T/16 x S/16 x S/16
            ]
        )
        convolution = SpectralConv3d if norm == "spectral" else nn.Conv3d
        self.verdict = convolution(8 * c, 2, (frames // factor, size // factor, size // factor))

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """B x 3 x T x S x S in [-1, 1] to logits B x 2: index `REAL` and index `FAKE`."""
        last = self.features(video)[-1]  # B x 8c x T/16 x S/16 x S/16
        logits: torch.Tensor = self.verdict(last).flatten(1)  # B x 2
        return logits

    def features(self, video: torch.Tensor) -> list[torch.Tensor]:
        """B x 3 x T x S x S in [-1, 1] to the activations of the four hidden layers, the first layer's first."""
        activations = []
        for layer in self.layers:
            video = layer(video)
            activations.append(video)
        return activations


def _halving(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    activation = nn.LeakyReLU(_SLOPE, inplace=True)
    if norm == "spectral":
        return nn.Sequential(SpectralConv3d(inputs, outputs, 4, stride=2, padding=1), activation)
    convolution = nn.Conv3d(inputs, outputs, 4, stride=2, padding=1)
    if norm == "none":
        return nn.Sequential(convolution, activation)
    if norm == "batch":
        return nn.Sequential(convolution, nn.BatchNorm3d(outputs, eps=_NORM_EPS), activation)
    raise ValueError(f"expected the norm batch, spectral or none, got {norm!r}")
