import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from vgan.models.upsampling import Doubling, double

_side = st.integers(1, 5)


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), _side, _side, _side), outputs=_side)
@settings(max_examples=30, deadline=None)
def test_is_the_transposed_convolution_with_its_gradients(shape: tuple[int, int, int, int, int], outputs: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, generator=rng, requires_grad=True)
    weight = torch.randn(shape[1], outputs, 4, 4, 4, dtype=torch.float64, generator=rng, requires_grad=True)
    bias = torch.randn(outputs, dtype=torch.float64, generator=rng, requires_grad=True)
    ours, theirs = double(x, weight, bias), functional.conv_transpose3d(x, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn(ours.shape, dtype=torch.float64, generator=rng)
    for one, two in zip(
        torch.autograd.grad(ours, [x, weight, bias], towards),
        torch.autograd.grad(theirs, [x, weight, bias], towards),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_layer_takes_the_fast_way_with_the_same_outcome() -> None:
    layer = Doubling(3, 4)
    assert [tuple(weight.shape) for weight in layer.parameters()] == [(3, 4, 4, 4, 4), (4,)]
    x = torch.randn(2, 3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = functional.conv_transpose3d(x, layer.weight, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(x), expected)
    with torch.device("meta"):
        assert Doubling(3, 4)(torch.empty(2, 3, 2, 5, 4)).shape == (2, 4, 4, 10, 8)
