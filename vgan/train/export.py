"""The generator as it is used: averaged weights, and batch-norm statistics that belong to them."""

import copy

import torch
from torch import nn

from vgan.models.generator import Generator, draw_noise, video_of
from vgan.models.upsampling import release
from vgan.train.state import TrainState
from vgan.train.synchronised import localise

__all__ = ["finished_generator"]

_CALIBRATION_BATCHES = 4
_CALIBRATION_BATCH = 64
_CALIBRATION_SEED = 2016


@torch.no_grad()
def finished_generator(state: TrainState) -> Generator:
    """A copy of the generator with the averaged weights, in eval mode on the training's device; `state` stays as is.

    Kernels held to resizing become plain weights, so the copy is always the paper's network.

    Training's running statistics follow the raw weights of its last steps. Sampled with them, averaged weights are
    clearly worse, so the statistics are taken anew: the mean over batches of noise, and of what a conditional generator
    is given (`state.conditions`), always the same ones.
    """
    generator = copy.deepcopy(state.generator)
    for weight, average in zip(generator.parameters(), state.average, strict=True):
        weight.copy_(average)
    release(generator)
    localise(generator)
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    generator.train()
    rng = torch.Generator().manual_seed(_CALIBRATION_SEED)
    device = next(generator.parameters()).device
    for batch in range(_CALIBRATION_BATCHES):
        noise = draw_noise(_CALIBRATION_BATCH, generator.latent_dim, rng).to(device)
        if state.conditions is None:
            video_of(generator, noise, None)
        else:
            given = state.conditions.rows(batch * _CALIBRATION_BATCH, _CALIBRATION_BATCH, device)
            video_of(generator, noise, given)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return generator.eval()
