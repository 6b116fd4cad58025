import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgan.models.discriminator import Discriminator
from vgan.models.initialisation import initialise
from vgan.train.losses import discriminator_loss, first_frame_loss, generator_loss, gradient_penalty, mask_penalty

_logits = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=1, max_size=5)


def _surprise(logits: list[tuple[float, float]], label: int) -> float:
    """Mean of -log softmax(logits)[label], in numpy."""
    values = np.array(logits, np.float64)
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - values[:, label]))


@given(real=_logits, fake=_logits)
def test_losses_are_two_class_cross_entropies(real: list[tuple[float, float]], fake: list[tuple[float, float]]) -> None:
    expected = _surprise(real, 0) + _surprise(fake, 1)
    np.testing.assert_allclose(
        discriminator_loss(torch.tensor(real), torch.tensor(fake), "cross_entropy"), expected, atol=1e-4
    )
    np.testing.assert_allclose(generator_loss(None, torch.tensor(fake), "cross_entropy"), _surprise(fake, 0), atol=1e-4)


def test_losses_are_computed_in_float32() -> None:
    logits = torch.tensor([[300.0, 1.0]], dtype=torch.bfloat16)
    for kind in ("cross_entropy", "hinge", "relativistic"):
        assert generator_loss(logits, logits, kind).dtype == torch.float32
        assert discriminator_loss(logits, logits, kind).dtype == torch.float32


@given(real=_logits, fake=_logits)
def test_hinge_asks_for_a_margin(real: list[tuple[float, float]], fake: list[tuple[float, float]]) -> None:
    ahead_real, ahead_fake = (np.array([r - f for r, f in logits]) for logits in (real, fake))
    expected = np.maximum(1 - ahead_real, 0).mean() + np.maximum(1 + ahead_fake, 0).mean()
    np.testing.assert_allclose(discriminator_loss(torch.tensor(real), torch.tensor(fake), "hinge"), expected, atol=1e-4)
    np.testing.assert_allclose(generator_loss(None, torch.tensor(fake), "hinge"), -ahead_fake.mean(), atol=1e-4)


def test_mask_penalty_is_a_mean() -> None:
    mask = torch.full((2, 1, 4, 8, 8), 0.25)
    assert mask_penalty(mask, 0.1).item() == np.float32(0.1) * np.float32(0.25)
    mask[0] = 0.75
    np.testing.assert_allclose(mask_penalty(mask, 0.1), 0.05, rtol=1e-6)


@given(pairs=st.lists(st.tuples(*[st.floats(-20, 20)] * 4), min_size=1, max_size=5))
def test_relativistic_asks_which_of_a_pair_is_real(pairs: list[tuple[float, float, float, float]]) -> None:
    logits = torch.tensor(pairs)
    real, fake = logits[:, :2], logits[:, 2:]
    ahead = [(a - b) - (c - d) for a, b, c, d in pairs]
    loss_d = np.mean([np.logaddexp(0, -gap) for gap in ahead])
    loss_g = np.mean([np.logaddexp(0, gap) for gap in ahead])
    np.testing.assert_allclose(discriminator_loss(real, fake, "relativistic"), loss_d, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(generator_loss(real, fake, "relativistic"), loss_g, rtol=1e-4, atol=1e-5)


def test_gradient_penalty_by_finite_differences() -> None:
    """Against differences of the discriminator itself, in double precision, and so its own gradient."""
    rng = torch.Generator().manual_seed(0)
    network = Discriminator(channels=1, frames=16, size=16, norm="none")
    initialise(network, rng)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    network.double()
    video = torch.randn(2, 3, 16, 16, 16, generator=rng, dtype=torch.float64)

    def margin(clips: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = network(clips)
        return logits[:, 0] - logits[:, 1]

    def expected() -> float:
        total = 0.0
        for clip in video:
            jacobian = torch.func.jacrev(lambda pixels: margin(pixels[None])[0])(clip).detach()
            total += jacobian.square().sum().item()
            direction = torch.randn(clip.shape, generator=rng, dtype=torch.float64)
            ahead, behind = (margin((clip + step * direction)[None])[0] for step in (1e-6, -1e-6))
            assert ((ahead - behind) / 2e-6).item() == pytest.approx((jacobian * direction).sum().item(), rel=1e-5)
        return 0.5 * 3.0 * total / len(video)

    seen = video.clone().requires_grad_()
    penalty = gradient_penalty(network(seen), seen, 3.0)
    assert penalty.item() == pytest.approx(expected(), rel=1e-5)
    weight = network.layers[0][0].weight  # type: ignore[index]
    (slope,) = torch.autograd.grad(penalty, weight)
    place = (0, 1, 2, 1, 3)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight[place] += step
            values.append(expected())
            weight[place] -= step
    assert slope[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3)


def test_first_frame_loss_is_the_mean_difference_of_the_first_frame_alone() -> None:
    rng = np.random.default_rng(0)
    video, picture = rng.uniform(-1, 1, (2, 3, 4, 5, 5)), rng.uniform(-1, 1, (2, 3, 5, 5))
    expected = np.abs(video[:, :, 0] - picture).mean()
    loss = first_frame_loss(torch.tensor(video, dtype=torch.bfloat16), torch.tensor(picture, dtype=torch.float32))
    assert loss.dtype == torch.float32
    np.testing.assert_allclose(loss, expected, rtol=1e-2)
    np.testing.assert_allclose(first_frame_loss(torch.tensor(video), torch.tensor(picture)), expected, rtol=1e-6)
