import numpy as np
import torch

from vgan.models.pixels import from_bytes, to_bytes


def test_every_byte_survives_the_way_there_and_back() -> None:
    clips = torch.arange(2 * 4 * 8 * 4 * 3).remainder(256).to(torch.uint8).reshape(2, 4, 8, 4, 3)
    video = from_bytes(clips)
    assert video.shape == (2, 3, 4, 8, 4) and video.dtype == torch.float32 and video.is_contiguous()
    assert torch.equal(to_bytes(video), clips)


def test_ends_and_middle_of_the_range() -> None:
    clips = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 1, 3)
    np.testing.assert_allclose(from_bytes(clips).flatten().numpy(), [-1, -0.6, 1], atol=1e-6)


def test_to_bytes_rounds_and_stays_in_range() -> None:
    video = torch.tensor([-1.5, 0.0, 1.0 - 1.2 / 255]).reshape(1, 3, 1, 1, 1)
    assert to_bytes(video).flatten().tolist() == [0, 128, 254]


def test_one_channel_becomes_grey() -> None:
    mask = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 2, 2)
    grey = to_bytes(mask)
    assert grey.shape == (1, 4, 2, 2, 3)
    assert torch.equal(grey[..., 0], grey[..., 2]) and len(set(grey[..., 0].flatten().tolist())) == 16
