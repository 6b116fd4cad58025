"""The layers that double a generator's time and space: fast on a CPU, and where wanted without checkerboard.

They are transposed convolutions of kernel 4, stride 2 and padding 1: along each axis an output at an even or odd place
sees two inputs and two of the four taps.

B batch, C inputs, D outputs, T frames, H height, W width.
"""

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Doubling2d", "Doubling3d", "hold_to_resizing", "release"]

_TAPS, _HELD_TAPS = 4, 3
_FEW_OUTPUTS = 4


class Doubling2d(nn.ConvTranspose2d):
    """B x C x H x W to B x D x 2H x 2W."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, _TAPS, stride=2, padding=1)

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """B x C x H x W to B x D x 2H x 2W; `output_size` is not used."""
        return functional.conv_transpose2d(x, _kernel(self.weight), self.bias, stride=2, padding=1)


class Doubling3d(nn.ConvTranspose3d):
    """B x C x T x H x W to B x D x 2T x 2H x 2W."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, _TAPS, stride=2, padding=1)

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """B x C x T x H x W to B x D x 2T x 2H x 2W; `output_size` is not used."""
        assert self.bias is not None
        kernel = _kernel(self.weight)
        if x.device.type == "cpu" and self.out_channels <= _FEW_OUTPUTS:
            return _by_parity(x, kernel, self.bias)
        return functional.conv_transpose3d(x, kernel, self.bias, stride=2, padding=1)


def hold_to_resizing(network: nn.Module) -> None:
    """Let all doubling layers do no more than repeat pixels and convolve with a kernel of 3, at the same cost.

    Such layers draw no checkerboard (Odena et al., 2016, https://distill.pub/2016/deconv-checkerboard). A kernel of 3
    over repeated pixels is a kernel of 4 whose taps are the sum of the 3 and of the 3 moved by one; the layers learn
    the 3, which start as the first of the 4. The functions stay within the paper's: see `release`.
    """
    for layer in _doublings(network):
        held = layer.weight.detach()
        for axis in range(2, held.dim()):
            held = held.narrow(axis, 0, _HELD_TAPS)
        layer.weight = nn.Parameter(held.clone())


def release(network: nn.Module) -> None:
    """Write the held layers' kernels out, so that `network` is the paper's; its functions do not change."""
    for layer in _doublings(network):
        layer.weight = nn.Parameter(_kernel(layer.weight.detach()))


def _doublings(network: nn.Module) -> list[Doubling2d | Doubling3d]:
    return [layer for layer in network.modules() if isinstance(layer, Doubling2d | Doubling3d)]


def _kernel(weight: torch.Tensor) -> torch.Tensor:
    """C x D x 3 (x 3) x 3, held, or C x D x 4 (x 4) x 4 to C x D x 4 (x 4) x 4."""
    if weight.shape[2] == _TAPS:
        return weight
    for axis in range(2, weight.dim()):
        zeros = torch.zeros_like(weight.narrow(axis, 0, 1))
        weight = torch.cat([weight, zeros], axis) + torch.cat([zeros, weight], axis)
    return weight


def _by_parity(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`conv_transpose3d(x, weight, bias, stride=2, padding=1)` as one ordinary convolution.

    All 8 parities are outputs of a convolution of kernel 2, interleaved afterwards. With few outputs, as in a
    generator's last layer, a CPU takes about half the time so; with more there is nothing to gain.
    """
    B, C, T, H, W = x.shape
    D = weight.shape[1]
    # Taps 3, 1 make the even outputs and taps 2, 0 the odd ones: reversed and split in two, axis by axis.
    taps = weight.flip(2, 3, 4).reshape(C, D, 2, 2, 2, 2, 2, 2)  # C x D x (tap x parity) x 3
    kernel = taps.permute(3, 5, 7, 1, 0, 2, 4, 6).reshape(8 * D, C, 2, 2, 2)
    planes = functional.conv3d(x, kernel, bias.repeat(8), padding=1)  # B x 8D x T+1 x H+1 x W+1
    # Output 2i + p of an axis lies at place i + p of its parity's plane: a step in parity is also a step in place.
    split = planes.contiguous().view(B, 2, 2, 2, D, T + 1, H + 1, W + 1)
    b, pt, ph, pw, d, t, h, w = split.stride()
    shape, stride = (B, D, T, 2, H, 2, W, 2), (b, d, t, pt + t, h, ph + h, w, pw + w)
    return torch.as_strided(split, shape, stride).reshape(B, D, 2 * T, 2 * H, 2 * W)
