import numpy as np
import torch
from torch.nn import functional

from vgan.models.spectral import SpectralConv3d


def _layer() -> SpectralConv3d:
    torch.manual_seed(0)
    return SpectralConv3d(3, 5, 4, stride=2, padding=1)


def test_divides_by_the_largest_singular_value() -> None:
    layer, x = _layer(), torch.randn(2, 3, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(200):
        layer(x)
    layer.eval()
    largest = np.linalg.svd(layer.weight.detach().flatten(1).numpy(), compute_uv=False)[0]
    expected = functional.conv3d(x, layer.weight / float(largest), layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_follows_the_value_in_training_alone() -> None:
    layer, x = _layer(), torch.zeros(1, 3, 4, 4, 4)
    start = layer.left.clone()
    layer.eval()(x)
    assert torch.equal(layer.left, start)
    layer.train()(x)
    matrix = layer.weight.detach().flatten(1)
    stepped = matrix @ functional.normalize(matrix.T @ start, dim=0)
    torch.testing.assert_close(layer.left, stepped / stepped.norm())


def test_scale_of_the_weights_changes_nothing_and_gets_no_gradient() -> None:
    layer, x = _layer(), torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(200):
        layer(x)
    before = layer(x)
    before.square().sum().backward()
    assert layer.weight.grad is not None
    along = (layer.weight.grad * layer.weight).sum() / (layer.weight.grad.norm() * layer.weight.norm())
    assert abs(along) < 1e-4
    layer.weight.data *= 7
    torch.testing.assert_close(layer(x), before)


def test_several_passes_before_one_backward() -> None:
    layer, x = _layer(), torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    (layer(x).sum() + layer(2 * x).sum()).backward()
    assert layer.weight.grad is not None and torch.isfinite(layer.weight.grad).all()
