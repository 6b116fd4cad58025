import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.conftest import PARAMS
from vgan.config import TrainParams
from vgan.train.augmentation import AUGMENTED_DRAWS, DISTURBED_DRAWS, augmented, augments, disturbed, disturbs

_MIDDLE = 0.5  # the chance that changes nothing


def _with(**changes: object) -> TrainParams:
    return PARAMS.model_copy(update=changes)


def _video(clips: int = 2, frames: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(clips, 3, frames, size, size, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def _augmented(video: torch.Tensor, changes: dict[int, float], params: TrainParams) -> torch.Tensor:
    chances = torch.full((len(video), AUGMENTED_DRAWS), _MIDDLE)
    for column, chance in changes.items():
        chances[:, column] = chance
    return augmented(video, chances, params)


def _disturbed(video: torch.Tensor, changes: dict[int, float], params: TrainParams) -> torch.Tensor:
    chances = torch.full((len(video), DISTURBED_DRAWS), _MIDDLE)
    for column, chance in changes.items():
        chances[:, column] = chance
    return disturbed(video, chances, params)


_REAL = ("augment_flip", "augment_crop", "augment_scale", "augment_jitter", "augment_hue")
_BOTH = ("diffaugment_colour", "diffaugment_shift", "diffaugment_cutout")


def test_says_whether_there_is_anything_to_do() -> None:
    assert not augments(PARAMS) and not disturbs(PARAMS)
    video = _video()
    assert augmented(video, torch.rand(2, AUGMENTED_DRAWS), PARAMS) is video
    assert disturbed(video, torch.rand(2, DISTURBED_DRAWS), PARAMS) is video
    for name in _REAL:
        assert augments(_with(**{name: 0.1}))
    for name in _BOTH:
        assert disturbs(_with(**{name: 0.1}))


def test_flips_half_of_the_clips_whole() -> None:
    video = _video(4)
    chances = torch.full((4, AUGMENTED_DRAWS), _MIDDLE)
    chances[:, 0] = torch.tensor([0.0, 0.49, 0.5, 0.99])
    for params in (_with(augment_flip=True), _with(augment_flip=True, augment_scale=1e-9)):
        result = augmented(video, chances, params)
        torch.testing.assert_close(result[:2], video[:2].flip(-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(result[2:], video[2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)])
def test_window_is_where_it_was_drawn(right: float, down: float) -> None:
    """Half of the sides: each pixel of the window is four times repeated, and the corners are its corners."""
    video = _video()
    result = _augmented(video, {2: right, 3: down}, _with(augment_crop=0.5))
    x, y = int(8 * right), int(8 * down)
    window = video[..., y : y + 8, x : x + 8]
    blurred = result.reshape(2, 3, 3, 8, 2, 8, 2).mean((4, 6))
    torch.testing.assert_close(blurred[..., 1:-1, 1:-1], _smooth(window), atol=1e-5, rtol=0)


def _smooth(window: torch.Tensor) -> torch.Tensor:
    """What the mean of four bilinear samples at ± 1/4 of a pixel gives: taps 1/8, 3/4, 1/8 along both sides."""
    rows = window[..., :-2, :] / 8 + window[..., 1:-1, :] * 3 / 4 + window[..., 2:, :] / 8
    return rows[..., :-2] / 8 + rows[..., 1:-1] * 3 / 4 + rows[..., 2:] / 8


def test_scale_makes_the_window_smaller() -> None:
    video = _video()
    whole = _augmented(video, {1: 0.0}, _with(augment_scale=0.5))
    torch.testing.assert_close(whole, video, atol=1e-5, rtol=0)
    half = _augmented(video, {1: 1.0, 2: 1.0}, _with(augment_scale=0.5))
    torch.testing.assert_close(half, _augmented(video, {2: 1.0}, _with(augment_crop=0.5)))


@settings(deadline=None, max_examples=30)
@given(chances=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_colours_by_another_route(chances: list[float]) -> None:
    """Brightness, contrast and saturation pixel by pixel in numpy, in [0, 1], in double precision."""
    video = _video(1, 2, 4) * 0.4
    params = _with(augment_jitter=0.2, augment_hue=0.0)
    result = _augmented(video, dict(enumerate(chances, start=4)), params)
    pixels = (video[0].double().numpy() + 1) / 2
    b, c, s = (1 + 0.2 * (2 * chance - 1) for chance in chances[:3])
    luma = np.array([0.299, 0.587, 0.114])
    pixels = pixels * b
    pixels = c * pixels + (1 - c) * np.tensordot(luma, pixels, 1).mean()
    pixels = s * pixels + (1 - s) * np.tensordot(luma, pixels, 1)
    np.testing.assert_allclose((result[0].numpy() + 1) / 2, np.clip(pixels, 0, 1), atol=1e-5)


def test_hue_turns_and_grey_stays() -> None:
    grey = torch.full((1, 3, 2, 4, 4), 0.3)
    torch.testing.assert_close(_augmented(grey, {7: 1.0}, _with(augment_hue=0.4)), grey)
    colours = torch.tensor([0.1, -0.1, 0.0])[None, :, None, None, None].expand(1, 3, 1, 2, 2)
    once = _augmented(colours, {7: 1.0}, _with(augment_hue=1 / 3))
    thrice = _augmented(_augmented(once, {7: 1.0}, _with(augment_hue=1 / 3)), {7: 1.0}, _with(augment_hue=1 / 3))
    torch.testing.assert_close(thrice, colours)
    hues = [colorsys.rgb_to_hsv(*((x[0, :, 0, 0, 0] + 1) / 2).tolist())[0] for x in (colours, once)]
    assert min((hues[1] - hues[0]) % 1, (hues[0] - hues[1]) % 1) == pytest.approx(1 / 3, abs=0.08)


def test_augmented_stays_in_range_and_is_the_same_for_all_frames() -> None:
    params = _with(augment_flip=True, augment_crop=0.2, augment_scale=0.3, augment_jitter=0.9, augment_hue=0.5)
    video = torch.rand(6, 3, 1, 16, 16).mul(2).sub(1).expand(-1, -1, 4, -1, -1)
    chances = torch.rand(6, AUGMENTED_DRAWS, generator=torch.Generator().manual_seed(3))
    result = augmented(video, chances, params)
    assert result.shape == video.shape and result.abs().max() <= 1
    torch.testing.assert_close(result, result[:, :, :1].expand_as(result))
    assert not torch.allclose(result, video, atol=0.1)
    # Each clip by its own row alone.
    torch.testing.assert_close(augmented(video[2:3], chances[2:3], params), result[2:3])


@pytest.mark.parametrize(("column", "chance"), [(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0), (2, 0.0), (2, 1.0)])
def test_tints_as_published(column: int, chance: float) -> None:
    """DiffAugment's three changes of colour, one after the other, in numpy."""
    video = _video()
    result = _disturbed(video, {column: chance}, _with(diffaugment_colour=1.0))
    u = np.full(3, 0.5)
    u[column] = chance
    for clip, ours in zip(video.double().numpy(), result, strict=True):
        x = clip + u[0] - 0.5
        x = (x - x.mean(0)) * (2 * u[1]) + x.mean(0)
        x = (x - x.mean()) * (u[2] + 0.5) + x.mean()
        np.testing.assert_allclose(ours, x, atol=1e-5)


@pytest.mark.parametrize(("u", "v"), [(0.0, 0.5), (0.999, 0.0), (0.5, 0.999), (0.3, 0.7)])
def test_shift_moves_all_frames_and_fills_with_grey(u: float, v: float) -> None:
    video = _video()
    result = _disturbed(video, {3: u, 4: v}, _with(diffaugment_shift=0.25))
    dx, dy = (math.floor(chance * 9) - 4 for chance in (u, v))
    expected = torch.zeros_like(video)
    for row in range(16):
        for column in range(16):
            if 0 <= row - dy < 16 and 0 <= column - dx < 16:
                expected[..., row, column] = video[..., row - dy, column - dx]
    assert torch.equal(result, expected)


@pytest.mark.parametrize(("u", "v"), [(0.0, 0.0), (0.999, 0.0), (0.5, 0.5), (0.2, 0.9)])
def test_cutout_greys_one_square(u: float, v: float) -> None:
    video = _video()
    result = _disturbed(video, {5: u, 6: v}, _with(diffaugment_cutout=0.5))
    x, y = (math.floor(chance * 17) - 4 for chance in (u, v))
    expected = video.clone()
    expected[..., max(y, 0) : max(y + 8, 0), max(x, 0) : max(x + 8, 0)] = 0
    assert torch.equal(result, expected)


def test_gradients_pass_through_what_disturbs() -> None:
    params = _with(diffaugment_colour=1.0, diffaugment_shift=0.2, diffaugment_cutout=0.4)
    chances = torch.rand(2, DISTURBED_DRAWS, generator=torch.Generator().manual_seed(5))
    video = _video(2, 2, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda clips: disturbed(clips, chances, params), video)


def test_keeps_the_type() -> None:
    video = _video().bfloat16()
    every = dict.fromkeys((*_REAL, *_BOTH), 0.2) | {"augment_flip": True}
    assert augmented(video, torch.rand(2, AUGMENTED_DRAWS), _with(**every)).dtype == torch.bfloat16
    assert disturbed(video, torch.rand(2, DISTURBED_DRAWS), _with(**every)).dtype == torch.bfloat16


def test_autocast_does_not_move_pixels() -> None:
    params = _with(augment_flip=True, augment_crop=0.1, augment_scale=0.2, augment_jitter=0.3, augment_hue=0.1)
    video = _video(4, 2, 64)
    chances = torch.rand(4, AUGMENTED_DRAWS, generator=torch.Generator().manual_seed(3))
    expected = augmented(video, chances, params)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augmented(video, chances, params), expected)
