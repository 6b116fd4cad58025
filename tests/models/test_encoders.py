import pytest
import torch
from torch import nn

from vgan.models.encoders import clip_encoder, picture_encoder


def _times(network: nn.Sequential, frames: int) -> list[int]:
    """Frames after each convolution."""
    times: list[int] = []
    for layer in network:
        if isinstance(layer, nn.Conv3d):
            layer.register_forward_hook(lambda _layer, _inputs, output: times.append(output.shape[2]))
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, frames, 32, 32)).shape == (1, 16, 1, 2, 2)
    return times


@pytest.mark.parametrize(
    ("frames", "times"),
    [
        (1, [1, 1, 1, 1]),
        (2, [1, 1, 1, 1]),
        (7, [7, 7, 7, 7, 1]),
        (8, [4, 2, 1, 1]),
        (12, [6, 3, 3, 3, 1]),
        (16, [8, 4, 2, 1]),
        (48, [24, 12, 6, 3, 1]),
    ],
)
def test_clips_of_any_length_become_one_map(frames: int, times: list[int]) -> None:
    assert _times(clip_encoder(2, frames), frames) == times


def test_a_clip_of_one_frame_is_read_as_a_picture_is() -> None:
    of_clip, of_picture = clip_encoder(2, 1), picture_encoder(2)
    weights = dict(of_picture.named_parameters())
    for name, weight in of_clip.named_parameters():
        weight.data.copy_(weights[name].detach()[:, :, None] if weight.dim() == 5 else weights[name].detach())
    picture = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(of_clip(picture[:, :, None])[:, :, 0], of_picture(picture))
