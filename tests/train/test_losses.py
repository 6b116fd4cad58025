import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgan.train.losses import discriminator_loss, generator_loss, mask_penalty

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
    np.testing.assert_allclose(generator_loss(torch.tensor(fake), "cross_entropy"), _surprise(fake, 0), atol=1e-4)


def test_losses_are_computed_in_float32() -> None:
    logits = torch.tensor([[300.0, 1.0]], dtype=torch.bfloat16)
    for kind in ("cross_entropy", "hinge"):
        assert generator_loss(logits, kind).dtype == torch.float32
        assert discriminator_loss(logits, logits, kind).dtype == torch.float32


@given(real=_logits, fake=_logits)
def test_hinge_asks_for_a_margin(real: list[tuple[float, float]], fake: list[tuple[float, float]]) -> None:
    ahead_real, ahead_fake = (np.array([r - f for r, f in logits]) for logits in (real, fake))
    expected = np.maximum(1 - ahead_real, 0).mean() + np.maximum(1 + ahead_fake, 0).mean()
    np.testing.assert_allclose(discriminator_loss(torch.tensor(real), torch.tensor(fake), "hinge"), expected, atol=1e-4)
    np.testing.assert_allclose(generator_loss(torch.tensor(fake), "hinge"), -ahead_fake.mean(), atol=1e-4)


def test_mask_penalty_is_a_mean() -> None:
    mask = torch.full((2, 1, 4, 8, 8), 0.25)
    assert mask_penalty(mask, 0.1).item() == np.float32(0.1) * np.float32(0.25)
    mask[0] = 0.75
    np.testing.assert_allclose(mask_penalty(mask, 0.1), 0.05, rtol=1e-6)
