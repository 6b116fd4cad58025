"""From pictures and short clips to maps of features, for the generators that start from them.

B batch, C given frames, S size, c channels, s = S/16. Kernels of 4 and stride 2 halve, as in the paper's networks.
"""

from torch import nn

__all__ = ["clip_encoder", "picture_encoder"]

_NORM_EPS = 1e-3  # the authors' encoder sets it; torch's default is 1e-5
_HALVINGS = 4


def picture_encoder(channels: int) -> nn.Sequential:
    """B x 3 x S x S to B x 8c x s x s: the encoder of the authors' main_conditional.lua, there with c = 128."""
    c = channels
    return nn.Sequential(
        nn.Conv2d(3, c, 4, stride=2, padding=1),  # B x c x S/2 x S/2
        nn.ReLU(inplace=True),
        nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),  # B x 2c x S/4 x S/4
        nn.BatchNorm2d(2 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1),  # B x 4c x S/8 x S/8
        nn.BatchNorm2d(4 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        nn.Conv2d(4 * c, 8 * c, 4, stride=2, padding=1),  # B x 8c x s x s
        nn.BatchNorm2d(8 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
    )


def clip_encoder(channels: int, frames: int) -> nn.Sequential:
    """B x 3 x C x S x S to B x 8c x 1 x s x s: `picture_encoder` in 3D, for any number of frames.

    Each layer halves time as long as it is even; a last one reads all that is left of it at once. With 16 frames time
    goes 16, 8, 4, 2, 1; with 12 it goes 12, 6, 3, 3, 3 and to 1 by the last layer.
    """
    layers: list[nn.Module] = []
    inputs, left = 3, frames
    for step in range(_HALVINGS):
        outputs = channels * 2**step
        layers.append(_halving(inputs, outputs, left))
        left = left // 2 if left % 2 == 0 else left
        if step > 0:
            layers.append(nn.BatchNorm3d(outputs, eps=_NORM_EPS))
        layers.append(nn.ReLU(inplace=True))
        inputs = outputs
    if left > 1:
        layers += [
            nn.Conv3d(inputs, inputs, (left, 1, 1)),
            nn.BatchNorm3d(inputs, eps=_NORM_EPS),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _halving(inputs: int, outputs: int, frames: int) -> nn.Conv3d:
    """B x inputs x frames x H x W to B x outputs x (frames/2 if even, else frames) x H/2 x W/2."""
    if frames % 2 == 0:
        return nn.Conv3d(inputs, outputs, 4, stride=2, padding=1)
    if frames == 1:
        return nn.Conv3d(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))
    return nn.Conv3d(inputs, outputs, (3, 4, 4), stride=(1, 2, 2), padding=1)
