"""A convolution that cannot stretch its input by more than a factor (spectral normalisation, Miyato et al., 2018,
arXiv 1802.05957). torch's own version starts from the global random state and rounds to bf16 under autocast.
"""

import torch
from torch import nn
from torch.nn import functional

__all__ = ["SpectralConv3d"]

_Sides = int | tuple[int, int, int]


class SpectralConv3d(nn.Conv3d):
    """A Conv3d whose kernel, as a matrix of outputs by all else, is divided by its largest singular value.

    The value is followed by one step of power iteration each time the layer runs in training.
    """

    def __init__(self, inputs: int, outputs: int, kernel: _Sides, *, stride: _Sides = 1, padding: _Sides = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)
        self.left: torch.Tensor  # the left singular vector that belongs to the value, as far as followed
        self.register_buffer("left", functional.normalize(torch.ones(outputs), dim=0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x T x H x W to what the convolution of the divided kernel makes of it."""
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.weight / self._largest_singular_value()
        return functional.conv3d(x, kernel, self.bias, self.stride, self.padding)

    def _largest_singular_value(self) -> torch.Tensor:
        matrix = self.weight.flatten(1)  # D x (C k k k)
        with torch.no_grad():
            right = functional.normalize(matrix.T @ self.left, dim=0)
            left = functional.normalize(matrix @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return left @ (matrix @ right)
