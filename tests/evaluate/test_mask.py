import pytest
import torch

from tests.evaluate.generators import lively_generator
from vgan.evaluate.mask import mask_coverage
from vgan.models.conditions import Conditions
from vgan.models.generator import TwoStreamGenerator, draw_noise, streams_of


def _two_stream() -> TwoStreamGenerator:
    generator = lively_generator("two_stream", size=16)
    assert isinstance(generator, TwoStreamGenerator)
    return generator


def test_coverage_is_that_of_the_masks_of_the_same_noise() -> None:
    generator = _two_stream()
    with torch.no_grad():
        masks = generator.streams(draw_noise(7, 5, torch.Generator().manual_seed(3))).mask
    coverage = mask_coverage(generator, 7, seed=3, batch_size=3)
    assert coverage is not None
    assert coverage.mean == pytest.approx(masks.mean().item(), rel=1e-5)
    assert coverage.above_half == pytest.approx((masks > 0.5).float().mean().item(), abs=1e-4)
    assert 0.01 < coverage.above_half < 0.99 and coverage.above_half != pytest.approx(coverage.mean, abs=1e-6)
    assert mask_coverage(generator, 7, seed=3, batch_size=7) == pytest.approx(coverage, abs=1e-6)
    assert mask_coverage(generator, 7, seed=4, batch_size=3) != coverage


@pytest.mark.parametrize(("bias", "expected"), [(-30.0, 0.0), (30.0, 1.0)])
def test_closed_and_open_masks_are_the_ends_of_the_scale(bias: float, expected: float) -> None:
    generator = _two_stream()
    torch.nn.init.zeros_(generator.motion_head.weight)
    torch.nn.init.constant_(generator.motion_head.bias, bias)  # type: ignore[arg-type]  # it has one
    assert mask_coverage(generator, 2, seed=0, batch_size=2) == pytest.approx((expected, expected), abs=1e-9)


@pytest.mark.parametrize("kind", ["future", "content_motion"])
def test_coverage_of_a_conditional_generator_is_that_of_what_it_is_given(kind: str) -> None:
    generator = lively_generator(kind, size=16)
    rng = torch.Generator().manual_seed(0)
    bytes_ = torch.randint(0, 256, (3, generator.context, 16, 16, 3), dtype=torch.uint8, generator=rng)
    conditions = Conditions(bytes_)
    with torch.no_grad():
        noise = draw_noise(7, 5, torch.Generator().manual_seed(3))
        streams = streams_of(generator, noise, conditions.rows(0, 7, torch.device("cpu")))
    assert streams is not None
    coverage = mask_coverage(generator, 7, 3, 3, conditions)
    assert coverage is not None and coverage.mean == pytest.approx(streams.mask.mean().item(), rel=1e-4)


def test_one_stream_has_no_mask() -> None:
    assert mask_coverage(lively_generator("one_stream", size=16), 2, seed=0, batch_size=2) is None
