"""Starting weights of both networks (authors' code, `weights_init` in main.lua)."""

import torch
from torch import nn
from torch.nn import functional

from vgan.models.spectral import SpectralConv3d

__all__ = ["initialise"]

_CONVOLUTION_STD = 0.01
_NORM_STD = 0.02
_SLOPE = 0.2  # of the leaky ReLU behind them


@torch.no_grad()
def initialise(network: nn.Module, rng: torch.Generator) -> None:
    """Draw convolution weights from N(0, 0.01) and batch-norm weights from N(1, 0.02), and zero all biases.

    Convolutions of a network without batch norm, which the paper has none of, are drawn as He et al. (2015, arXiv
    1502.01852) do: nothing else would bring their outputs back to size. Where they are spectrally normalised, their
    size does not change what they compute, but how fast they learn.

    `rng` is a CPU generator; the network must be on the CPU, so that a seed gives the same weights on every machine.
    """
    normed = any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d) for layer in network.modules())
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            if normed:
                layer.weight.normal_(0.0, _CONVOLUTION_STD, generator=rng)
            else:
                nn.init.kaiming_normal_(layer.weight, _SLOPE, generator=rng)
            assert layer.bias is not None
            layer.bias.zero_()
            if isinstance(layer, SpectralConv3d):
                layer.left.copy_(functional.normalize(torch.randn(layer.left.shape, generator=rng), dim=0))
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.weight.normal_(1.0, _NORM_STD, generator=rng)
            layer.bias.zero_()
