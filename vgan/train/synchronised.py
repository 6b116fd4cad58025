"""Batch norm whose statistics are of the whole batch and not of one process's share of it.

torch's own `SyncBatchNorm` runs on GPUs alone. B batch, C channels.
"""

import torch
from torch import distributed, nn
from torch.nn import functional

__all__ = ["SynchronisedBatchNorm", "localise", "synchronise"]

_Plain = nn.BatchNorm2d | nn.BatchNorm3d


class SynchronisedBatchNorm(nn.Module):
    """A batch norm of the same weights and statistics as `plain`, for equal shares of a batch on all ranks."""

    def __init__(self, plain: _Plain) -> None:
        super().__init__()
        assert plain.running_mean is not None and plain.running_var is not None
        assert plain.num_batches_tracked is not None and plain.momentum is not None
        self.kind, self.eps, self.momentum = type(plain), plain.eps, plain.momentum
        self.weight, self.bias = plain.weight, plain.bias
        self.running_mean: torch.Tensor
        self.running_var: torch.Tensor
        self.num_batches_tracked: torch.Tensor
        self.register_buffer("running_mean", plain.running_mean)
        self.register_buffer("running_var", plain.running_var)
        self.register_buffer("num_batches_tracked", plain.num_batches_tracked)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x ... to the same shape."""
        if not self.training:
            known = (self.running_mean, self.running_var, self.weight, self.bias)
            return functional.batch_norm(x, *known, False, 0.0, self.eps)
        axes = [0, *range(2, x.dim())]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        ranks = distributed.get_world_size()
        here = x.float()
        variance, mean = torch.var_mean(here, axes, correction=0)  # C each
        # Means first and variances around them then: a difference of large squares would lose what it is after.
        whole = _mean(mean, ranks)
        spread = _mean(variance + (mean - whole).square(), ranks)
        self._follow(whole.detach(), spread.detach(), ranks * x.numel() // x.shape[1])
        scale = torch.rsqrt(spread + self.eps) * self.weight
        return (here * scale.view(shape) + (self.bias - whole * scale).view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)
        self.num_batches_tracked += 1


def _mean(values: torch.Tensor, ranks: int) -> torch.Tensor:
    """The mean over the ranks; gradients flow back to the values of all of them."""
    total = _total(values.detach())
    if not values.requires_grad:
        return total / ranks
    shared = values + (total - values.detach())  # the total, seen from here as a function of our own values
    shared.register_hook(_total)  # type: ignore[no-untyped-call]
    return shared / ranks


def _total(values: torch.Tensor) -> torch.Tensor:
    total = values.clone()
    distributed.all_reduce(total)
    return total


def synchronise(network: nn.Module) -> None:
    """Replace every batch norm within `network` by a synchronised one with the same weights."""
    for name, layer in [*network.named_children()]:
        if isinstance(layer, _Plain):
            network.add_module(name, SynchronisedBatchNorm(layer))
        else:
            synchronise(layer)


def localise(network: nn.Module) -> None:
    """Undo `synchronise`, for where one process works alone."""
    for name, layer in [*network.named_children()]:
        if isinstance(layer, SynchronisedBatchNorm):
            plain = layer.kind(len(layer.weight), layer.eps, layer.momentum)
            plain.weight, plain.bias = layer.weight, layer.bias
            plain.running_mean, plain.running_var = layer.running_mean, layer.running_var
            plain.num_batches_tracked = layer.num_batches_tracked
            network.add_module(name, plain.train(layer.training))
        else:
            localise(layer)
