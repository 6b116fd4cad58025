import numpy as np
import torch

from vgan.models.conditions import Conditions, given_by, standing


def _bytes(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(len(shape)))


def test_rows_are_counted_round_and_the_picture_is_the_first_frame() -> None:
    clips = _bytes(3, 2, 4, 4, 3)
    given = Conditions(clips).rows(2, 4, torch.device("cpu"))
    assert given.clip.shape == (4, 3, 2, 4, 4) and given.picture.shape == (4, 3, 4, 4)
    for row, place in enumerate([2, 0, 1, 2]):
        expected = clips[place].numpy().astype(np.float32) / 127.5 - 1
        np.testing.assert_allclose(given.clip[row].permute(1, 2, 3, 0), expected, atol=1e-6)
        np.testing.assert_allclose(given.picture[row].permute(1, 2, 0), expected[0], atol=1e-6)


def test_pictures_of_their_own_take_the_place_of_first_frames() -> None:
    clips, pictures = _bytes(2, 2, 4, 4, 3), _bytes(2, 4, 4, 3)
    given = Conditions(clips, pictures).rows(1, 1, torch.device("cpu"))
    np.testing.assert_allclose(given.picture[0].permute(1, 2, 0), pictures[1].numpy() / 127.5 - 1, atol=1e-6)
    assert torch.equal(given.clip, Conditions(clips).rows(1, 1, torch.device("cpu")).clip)


def test_a_standing_clip_is_its_picture_all_along() -> None:
    picture = torch.randn(2, 3, 4, 4)
    clip = standing(picture, 5)
    assert clip.shape == (2, 3, 5, 4, 4)
    assert all(torch.equal(clip[:, :, t], picture) for t in range(5))
    assert torch.equal(given_by(clip).picture, picture)
