import copy
from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.models.generator import TwoStreamGenerator, draw_noise
from vgan.train.history import COLUMNS
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


def test_future_also_learns_its_first_frame_and_has_no_mask_penalty_where_it_weighs_nothing() -> None:
    changes = {"generator": "future", "latent_dim": 0, "mask_weight": 0.0, "show_condition": False, "channels": 4}
    state = _state(**changes, discriminator_norm="batch", upsampling="transposed")
    G, D = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    real = _clips().permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    video = G(torch.zeros(3, 0), real[:, :, 0])
    labels = torch.zeros(3, dtype=torch.long)
    loss_d = functional.cross_entropy(D(real), labels) + functional.cross_entropy(D(video), labels + 1)
    gradients_d = torch.autograd.grad(loss_d, list(D.parameters()), retain_graph=True)
    with torch.no_grad():
        for weight, gradient in zip(D.parameters(), gradients_d, strict=True):
            weight.copy_(_adams_first_step(weight, gradient, 2e-4))
    unlike = (video[:, :, 0] - real[:, :, 0]).abs().mean()
    loss_g = functional.cross_entropy(D(video), labels)
    gradients_g = torch.autograd.grad(loss_g + 10 * unlike, list(G.parameters()))
    _train_step(state, **changes, loss="cross_entropy")
    for weight, old, gradient in zip(state.generator.parameters(), G.parameters(), gradients_g, strict=True):
        clear = gradient.abs() > 1e-6
        torch.testing.assert_close(
            weight[clear], _adams_first_step(old, gradient, 2e-4)[clear], rtol=0, atol=2e-6, check_layout=False
        )
    figures = state.history.close_row(1)
    assert figures["loss_d"] == pytest.approx(loss_d.item(), rel=1e-4)
    assert figures["loss_g"] == pytest.approx(loss_g.item(), rel=1e-3)
    assert figures["first_frame"] == pytest.approx(unlike.item(), rel=1e-4)


@pytest.mark.parametrize(("generator", "shown"), [("future", True), ("content_motion", True), ("future", False)])
def test_discriminator_sees_the_given_frames_first(generator: str, shown: bool) -> None:
    state = _state(generator=generator)
    seen: list[torch.Tensor] = []
    state.discriminator.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0].detach().clone()))
    params = PARAMS.model_copy(update={"generator": generator, "show_condition": shown, "image_only_share": 0.0})
    train_step(state, _clips(12), params=params)
    real = _clips(12).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    known, fake, again = seen
    given = {"future": 1, "content_motion": 4}[generator]
    torch.testing.assert_close(known, real)
    torch.testing.assert_close(fake, again)
    assert fake.shape == real.shape and not torch.allclose(fake[:, :, given:], real[:, :, given:], atol=0.1)
    same = [torch.allclose(a[:, :given], b[:, :given]) for a, b in zip(fake, real, strict=True)]
    assert any(same) == shown and all(same) == (generator == "content_motion")


@pytest.mark.parametrize("generator", ["future", "content_motion"])
def test_conditional_generators_learn_in_bf16(generator: str) -> None:
    state = _state(generator=generator, precision="bf16")
    before = [weight.detach().clone() for weight in state.generator.parameters()]
    _train_step(state, generator=generator, precision="bf16")
    assert state.history.finite()
    known = {"loss_d", "loss_g", "accuracy_real", "accuracy_fake", "gradient_d", "gradient_g", "mask"}
    assert state.history.close_row(1).keys() == known | ({"first_frame"} if generator == "future" else set())
    assert not any(torch.equal(a, b) for a, b in zip(before, state.generator.parameters(), strict=True))


def test_content_motion_without_its_frames_shown_is_judged_by_what_follows() -> None:
    changes = {"generator": "content_motion", "show_condition": False, "context": 16}
    state = new_state(PARAMS.model_copy(update=changes), frames=32, size=SIZE, device=torch.device("cpu"))
    seen: list[torch.Size] = []
    state.discriminator.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0].shape))
    clips = torch.randint(0, 256, (3, 32, SIZE, SIZE, 3), dtype=torch.uint8)
    train_step(state, clips, params=PARAMS.model_copy(update=changes))
    assert seen == [torch.Size([3, 3, 16, SIZE, SIZE])] * 3


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
    assert state.history.close_row(1).keys() == set(COLUMNS) - {"mask", "penalty", "first_frame", "diversity"}


def test_same_state_same_step() -> None:
    one, two = _state(), _state()
    for state in (one, two):
        for _ in range(3):
            _train_step(state)
    for a, b in zip(one.generator.state_dict().values(), two.generator.state_dict().values(), strict=True):
        assert torch.equal(a, b)


_EVERYTHING = {
    "loss": "relativistic",
    "discriminator_norm": "none",
    "frame_discriminator": 2,
    "r1_gamma": 1.0,
    "r2_gamma": 0.5,
    "penalty_interval": 2,
    "augment_flip": True,
    "augment_crop": 0.1,
    "augment_jitter": 0.2,
    "diffaugment_colour": 0.5,
    "diffaugment_shift": 0.1,
    "diffaugment_cutout": 0.3,
}


def test_everything_at_once_and_the_penalty_on_its_interval() -> None:
    state = _state(**_EVERYTHING)
    figures = []
    for step in range(1, 4):
        before = copy.deepcopy(state.discriminators)
        _train_step(state, **_EVERYTHING)
        after = [weight for judge in state.discriminators for weight in judge.parameters()]
        old = [weight for judge in before for weight in judge.parameters()]
        # A bias of the last layers is in the verdict on both of a pair alike.
        assert not any(torch.equal(a, b) for a, b in zip(old, after, strict=True) if a.dim() > 1)
        assert all(weight.requires_grad for weight in after)
        figures.append(state.history.close_row(step))
    assert [row["penalty"] > 0 for row in figures] == [True, False, True]


def test_relativistic_step_with_penalties_written_out() -> None:
    """R1 and R2 by `torch.func`, each clip's own gradient; what Adam is given are the gradients of the sum."""
    changes = {"loss": "relativistic", "discriminator_norm": "none", "r1_gamma": 2.0, "r2_gamma": 3.0}
    changes |= {"penalty_interval": 4, "optimizer": "sgd", "learning_rate_d": 0.5, "learning_rate_g": 0.5}
    state = _state(**changes)
    with torch.no_grad():
        for weight in state.discriminator.parameters():
            weight.mul_(0.4)
    G, D = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    noise = draw_noise(3, 5, torch.Generator().manual_seed(0).set_state(state.noise.get_state()))
    real, fake = _clips().permute(0, 4, 1, 2, 3).float() / 127.5 - 1, G(noise)
    weights = dict(D.named_parameters())

    def margin(named: Mapping[str, torch.Tensor], clip: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = torch.func.functional_call(D, named, (clip[None],))[0]  # type: ignore[arg-type]
        return logits[0] - logits[1]

    def loss_d(named: Mapping[str, torch.Tensor]) -> torch.Tensor:
        total = torch.zeros(())
        for clip, other in zip(real, fake.detach(), strict=True):
            r1 = torch.func.grad(margin, argnums=1)(named, clip).square().sum()
            r2 = torch.func.grad(margin, argnums=1)(named, other).square().sum()
            ahead = margin(named, clip) - margin(named, other)
            total = total + torch.log1p(torch.exp(-ahead)) + 4 * (2.0 * r1 + 3.0 * r2) / 2
        return total / 3

    slopes = torch.func.grad(loss_d)(weights)
    _train_step(state, **changes)
    for name, weight in state.discriminator.named_parameters():
        torch.testing.assert_close(weight, weights[name] - 0.5 * slopes[name], rtol=1e-3, atol=1e-6)
    new = dict(state.discriminator.named_parameters())
    ahead = torch.stack([margin(new, clip) - margin(new, other) for clip, other in zip(real, fake, strict=True)])
    figures = state.history.close_row(1)
    assert figures["loss_g"] == pytest.approx(torch.log1p(torch.exp(ahead)).mean().item(), rel=1e-3)


def test_two_discriminator_steps_are_two_updates() -> None:
    changes = {"discriminator_norm": "none", "discriminator_steps": 2, "optimizer": "sgd", "momentum": 0.0}
    one, two = _state(**changes), _state(**changes)
    rng = one.noise.get_state()
    train_step(two, _clips(6), params=PARAMS.model_copy(update=changes))
    # The same by single steps: the generator, put back after the first, learns from the second alone.
    alone = {**changes, "discriminator_steps": 1}
    weights = copy.deepcopy(one.generator.state_dict())
    train_step(one, _clips(6)[:3], params=PARAMS.model_copy(update=alone))
    one.generator.load_state_dict(weights)
    train_step(one, _clips(6)[3:], params=PARAMS.model_copy(update=alone))
    for name, judge in two.discriminator.state_dict().items():
        torch.testing.assert_close(judge, one.discriminator.state_dict()[name])
    for ours, theirs in zip(two.generator.parameters(), one.generator.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (two.step, one.step) == (1, 2)
    assert torch.equal(two.noise.get_state(), one.noise.get_state()) and not torch.equal(rng, one.noise.get_state())


def test_parts_of_a_batch_give_the_gradient_of_the_whole() -> None:
    """For networks without batch statistics; the generator's batch norm is set to what it has learnt."""
    changes = {"discriminator_norm": "none", "optimizer": "sgd", "learning_rate_g": 0.5, "learning_rate_d": 0.5}
    one, parts = _state(**changes), _state(**changes)
    for state, accumulate in ((one, 1), (parts, 3)):
        state.generator.eval()
        train_step(state, _clips(6), params=PARAMS.model_copy(update={**changes, "accumulate": accumulate}))
    for network in ("generator", "discriminator"):
        pair = zip(vars(one)[network].parameters(), vars(parts)[network].parameters(), strict=True)
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pair)
    figures, others = one.history.close_row(1), parts.history.close_row(1)
    assert others == pytest.approx(figures, rel=1e-3)


def test_gradient_norms_are_those_of_the_update() -> None:
    state = _state(optimizer="sgd", momentum=0.0, learning_rate_g=0.5, learning_rate_d=0.25)
    before = copy.deepcopy(state)
    _train_step(state, optimizer="sgd", learning_rate_g=0.5, learning_rate_d=0.25)
    figures = state.history.close_row(1)
    for name, network, rate in (("gradient_g", "generator", 0.5), ("gradient_d", "discriminator", 0.25)):
        pairs = zip(vars(before)[network].parameters(), vars(state)[network].parameters(), strict=True)
        length = sum(((a - b) / rate).square().sum().item() for a, b in pairs) ** 0.5
        assert figures[name] == pytest.approx(length, rel=1e-2)


@pytest.mark.parametrize("bias", [-100.0, 100.0])
def test_relativistic_accuracy_is_about_the_middle(bias: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only differences count in that loss, so a verdict that is "real" of all may still tell them apart."""
    state = _state(discriminator_norm="none", loss="relativistic")
    real = _clips().permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    some_weight = next(state.discriminator.parameters())

    def verdict(video: torch.Tensor) -> torch.Tensor:
        ahead = bias + torch.where(torch.isclose(video, real).flatten(1).all(1), 1.0, -1.0)
        return torch.stack([ahead, torch.zeros_like(ahead)], 1) + 0.0 * video.mean() * some_weight.sum()

    monkeypatch.setattr(state.discriminator, "forward", verdict)
    _train_step(state, loss="relativistic", discriminator_norm="none")
    figures = state.history.close_row(1)
    assert (figures["accuracy_real"], figures["accuracy_fake"]) == (1.0, 1.0)


def test_rates_and_average_follow_the_steps() -> None:
    changes = {"decay_start": 0, "decay_steps": 1, "steps": 1, "ema_half_life": 8.0, "ema_ramp": 0.5}
    state = _state(**changes)
    old = copy.deepcopy(state.average)
    _train_step(state, **changes)
    # The first step's half-life is 0.5, so a quarter of the old is left.
    for average, before, now in zip(state.average, old, state.generator.parameters(), strict=True):
        torch.testing.assert_close(average, 0.25 * before + 0.75 * now.detach())
    settled = copy.deepcopy([*state.generator.parameters(), *state.discriminator.parameters()])
    _train_step(state, **changes)
    after = [*state.generator.parameters(), *state.discriminator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(settled, after, strict=True))  # the rates are 0 by then
