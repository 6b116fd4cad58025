import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.models.generator import TwoStreamGenerator, draw_noise
from vgan.train.state import TrainState, new_state
from vgan.train.step import train_step


def _state(**changes: object) -> TrainState:
    return new_state(PARAMS.model_copy(update=changes), frames=FRAMES, size=SIZE, device=torch.device("cpu"))


def _clips(count: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(8)
    return torch.randint(0, 256, (count, FRAMES, SIZE, SIZE, 3), dtype=torch.uint8, generator=rng)


def _train_step(state: TrainState, **changes: object) -> None:
    train_step(state, _clips(), params=PARAMS.model_copy(update=changes))


def _adams_first_step(weight: nn.Parameter, gradient: torch.Tensor, rate: float) -> torch.Tensor:
    # After one step both of Adam's averages, bias-corrected, are the gradient and its square.
    return weight.detach() - rate * gradient / (gradient.abs() + 1e-8)


def test_is_the_papers_step_written_out() -> None:
    state = _state(channels=4, discriminator_norm="batch")
    G, D = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    assert isinstance(G, TwoStreamGenerator)
    noise = draw_noise(3, 5, torch.Generator().manual_seed(0).set_state(state.noise.get_state()))
    real = _clips().permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    streams = G.streams(noise)
    real_verdict, fake_verdict = D(real).softmax(1), D(streams.video).softmax(1)
    loss_d = -real_verdict[:, 0].log().mean() - fake_verdict[:, 1].log().mean()
    gradients_d = torch.autograd.grad(loss_d, list(D.parameters()), retain_graph=True)
    with torch.no_grad():
        for weight, gradient in zip(D.parameters(), gradients_d, strict=True):
            weight.copy_(_adams_first_step(weight, gradient, 2e-4))
    streams = G.streams(noise)
    loss_g = functional.cross_entropy(D(streams.video), torch.zeros(3, dtype=torch.long)) + 0.1 * streams.mask.mean()
    gradients_g = torch.autograd.grad(loss_g, list(G.parameters()))
    with torch.no_grad():
        for weight, gradient in zip(G.parameters(), gradients_g, strict=True):
            weight.copy_(_adams_first_step(weight, gradient, 2e-4))

    before = [weight.detach().clone() for weight in state.generator.parameters()]
    _train_step(state, loss="cross_entropy")
    # A gradient next to nothing (a bias before batch norm) has no sure sign, and Adam's first step is its sign.
    for ours, theirs, gradients in ((state.generator, G, gradients_g), (state.discriminator, D, gradients_d)):
        for weight, sure, gradient in zip(ours.parameters(), theirs.parameters(), gradients, strict=True):
            clear = gradient.abs() > 1e-6
            torch.testing.assert_close(weight[clear], sure[clear], rtol=0, atol=2e-6)
        assert sum(int((gradient.abs() > 1e-6).sum()) for gradient in gradients) > 1000
    kept = 0.5**0.25
    for average, old, new in zip(state.average, before, state.generator.parameters(), strict=True):
        torch.testing.assert_close(average, kept * old + (1 - kept) * new.detach())

    assert state.step == 1
    figures = state.history.close_row(1)
    assert figures["loss_d"] == pytest.approx(loss_d.item(), rel=1e-4)
    assert figures["loss_g"] == pytest.approx(loss_g.item() - 0.1 * streams.mask.mean().item(), rel=1e-3)
    assert figures["mask"] == pytest.approx(streams.mask.mean().item(), rel=1e-5)
    assert figures["accuracy_real"] == pytest.approx((real_verdict[:, 0] > 0.5).float().mean().item())
    assert figures["accuracy_fake"] == pytest.approx((fake_verdict[:, 1] > 0.5).float().mean().item())


def test_discriminator_learns_again_after_the_generators_step() -> None:
    state = _state()
    for _ in range(2):
        before = [weight.detach().clone() for weight in state.discriminator.parameters()]
        _train_step(state, loss="cross_entropy")
        assert all(weight.requires_grad for weight in state.discriminator.parameters())
        assert not any(torch.equal(a, b) for a, b in zip(before, state.discriminator.parameters(), strict=True))


def test_bf16_keeps_float32_weights_and_comes_close() -> None:
    plain, mixed = _state(channels=16), _state(channels=16)
    _train_step(plain)
    _train_step(mixed, precision="bf16")
    assert {weight.dtype for weight in mixed.generator.parameters()} == {torch.float32}
    one, two = plain.history.close_row(1), mixed.history.close_row(1)
    assert one != two
    assert two["loss_d"] == pytest.approx(one["loss_d"], abs=0.05)


def test_one_stream_has_no_mask() -> None:
    state = _state(generator="one_stream")
    _train_step(state)
    assert state.history.finite()
    assert state.history.close_row(1).keys() == {"loss_d", "loss_g", "accuracy_real", "accuracy_fake"}


def test_same_state_same_step() -> None:
    one, two = _state(), _state()
    for state in (one, two):
        for _ in range(3):
            _train_step(state)
    for a, b in zip(one.generator.state_dict().values(), two.generator.state_dict().values(), strict=True):
        assert torch.equal(a, b)
