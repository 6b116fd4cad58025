import numpy as np
import pytest

from vgan.train.health import diversity, warning

_WELL = {"accuracy_real": 0.8, "accuracy_fake": 0.7, "diversity": 0.9}


def test_diversity_is_a_ratio_of_spreads() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (8, 2, 4, 4, 3), np.uint8)
    middle = real.astype(np.float64).mean(0)
    spread = np.sqrt(((real - middle) ** 2).sum(0) / 7).ravel()
    samples = rng.integers(100, 140, (16, 2, 4, 4, 3), np.uint8)
    others = np.sqrt(((samples - samples.astype(np.float64).mean(0)) ** 2).sum(0) / 15).ravel()
    expected = np.sqrt((others**2).mean() / (spread**2).mean())
    assert diversity(samples, real) == pytest.approx(expected, rel=1e-4)
    assert diversity(real, real) == 1.0
    assert diversity(samples[:1].repeat(16, axis=0), real) == 0.0


def test_diversity_is_unknown_where_real_clips_say_nothing() -> None:
    still = np.zeros((4, 2, 4, 4, 3), np.uint8)
    assert np.isnan(diversity(still, still))
    assert np.isnan(diversity(still, still[:1]))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"diversity": 0.09}, "nearly all alike (diversity 0.090"),
        ({"accuracy_real": 1.0, "accuracy_fake": 0.996}, "knows 100.0 % of real and 99.6 % of generated clips"),
        ({"accuracy_real": 0.004, "accuracy_fake": 0.0}, "takes 99.6 % of real clips for generated ones"),
    ],
)
def test_warns_of_what_is_wrong(figures: dict[str, float], said: str) -> None:
    sentence = warning({**_WELL, **figures})
    assert said in sentence and "try" in sentence


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"diversity": 0.11},
        {"accuracy_real": 1.0, "accuracy_fake": 0.99},
        {"accuracy_real": 0.0, "accuracy_fake": 1.0},
        {"accuracy_real": 0.5, "accuracy_fake": 0.5},
    ],
)
def test_is_silent_otherwise(figures: dict[str, float]) -> None:
    assert warning({**_WELL, **figures}) == ""
    without = {name: value for name, value in {**_WELL, **figures}.items() if name != "diversity"}
    assert warning(without) == ""
