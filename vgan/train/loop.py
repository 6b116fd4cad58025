"""The loop: steps, and what happens every so many of them."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vgan.atomic import write_text
from vgan.config import TrainParams
from vgan.errors import VganError
from vgan.models.generator import generate
from vgan.pictures import tile, write_png
from vgan.progress import Progress
from vgan.train import checkpoint
from vgan.train.export import finished_generator
from vgan.train.fingerprint import Fingerprint
from vgan.train.health import diversity, warning
from vgan.train.state import TrainState
from vgan.train.step import train_step
from vgan.train.tracker import Tracker

__all__ = ["Batches", "RunFolder", "train"]

_PICTURED_VIDEOS = 16
_PICTURE_COLUMNS = 4
_PICTURE_SEED = 2


class Batches(Protocol):
    """Endless batches of clips with a place that can be stored."""

    def next(self) -> NDArray[np.uint8]:
        """B x T x S x S x 3."""

    def state(self) -> dict[str, int]:
        """The place after the last batch taken."""


@dataclass(frozen=True)
class RunFolder:
    """Where one training writes, and as what."""

    path: Path
    fingerprint: Fingerprint

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the sample pictures."""
        return self.path / "samples"

    @property
    def history(self) -> Path:
        """The loss curves."""
        return self.path / "history.csv"


def train(
    state: TrainState,
    batches: Batches,
    folder: RunFolder,
    *,
    params: TrainParams,
    tracker: Tracker,
    stop: Callable[[], bool],
) -> None:
    """Train `state` up to step `params.steps`, or until `stop()`, and leave a checkpoint of where it ended.

    The figures, pictures and checkpoints written do not depend on when and how often it was interrupted.

    Raises:
        VganError: a loss or weight is no longer a number; the last good checkpoint stays.
    """
    device, ranks = next(state.generator.parameters()).device, state.ranks
    since, saved_at = time.monotonic(), state.step
    warned = ""
    total, done = (steps * params.batch_size for steps in (params.steps, state.step))
    with Progress("train", total, "clips", done=done, shown=ranks.first) as progress:
        while state.step < params.steps and not ranks.any(stop()):
            clips = _next(batches, state)
            train_step(state, _on(device, clips), params=params)
            if state.history.diverged():
                raise _diverged(state, params, "a loss or gradient is")
            looked = state.step % params.sample_every == 0
            if looked and ranks.first:
                state.history.note(diversity(_picture(state, folder, tracker), clips))
            note = ""
            if state.step % params.log_every == 0:
                figures = _log(state, params)
                now = time.monotonic()
                rate = params.log_every * params.batch_size / (now - since)
                since = now
                tracker.metrics(state.step, {**figures, "clips_per_second": rate})
                note = f"D {figures['loss_d']:.2f} G {figures['loss_g']:.2f}"
            progress.advance(params.batch_size, note=note)
            if looked and ranks.first:
                warned = _warn(state, params, warned)
            if state.step % params.checkpoint_every == 0:
                _save(state, batches, folder, params)
                saved_at = state.step
    if saved_at != state.step:
        _save(state, batches, folder, params)
    if state.step > 0:  # also where a kill came after the last checkpoint and before this
        _tidy(state, folder, params)


def _next(batches: Batches, state: TrainState) -> NDArray[np.uint8]:
    try:
        return batches.next()
    except VganError as error:
        kept = "its checkpoints are kept, and started again it goes on" if state.step > 0 else "nothing is lost"
        raise VganError(f"training stops after step {state.step}: {error}; {kept}") from None


def _on(device: torch.device, clips: NDArray[np.uint8]) -> torch.Tensor:
    batch = torch.from_numpy(clips)
    return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch


def _log(state: TrainState, params: TrainParams) -> dict[str, float]:
    state.history.average(state.ranks)
    _demand_finite(state, params)
    return state.history.close_row(state.step)


def _save(state: TrainState, batches: Batches, folder: RunFolder, params: TrainParams) -> None:
    state.history.average(state.ranks)
    _demand_finite(state, params)
    if not state.ranks.first:
        return
    try:
        checkpoint.save(folder.checkpoints, state, batches.state(), folder.fingerprint)
    except checkpoint.NotFiniteError as error:
        raise _diverged(state, params, f"{error} is") from None
    _tidy(state, folder, params)


def _tidy(state: TrainState, folder: RunFolder, params: TrainParams) -> None:
    if not state.ranks.first:
        return
    checkpoint.prune(folder.checkpoints, folder.fingerprint, params.checkpoint_every, state.step)
    write_text(folder.history, state.history.csv())


def _demand_finite(state: TrainState, params: TrainParams) -> None:
    if not state.history.finite():
        raise _diverged(state, params, "a loss or gradient is")


def _diverged(state: TrainState, params: TrainParams, what: str) -> VganError:
    advice = "lower train.learning_rate_d and train.learning_rate_g"
    if params.precision == "bf16":
        advice += ", or set train.precision to fp32"
    return VganError(
        f"training diverged: {what} not a finite number at step {state.step}; the last good checkpoint is kept. "
        f"Try another train.seed, {advice}"
    )


def _warn(state: TrainState, params: TrainParams, warned: str) -> str:
    """Say what is wrong with the training, once while it is; returns what was said.

    It goes by the rows since the last look but one: once does not count, and all training begins with grey videos.
    """
    looks = 2 * params.sample_every
    figures = state.history.recent(state.step - looks) if state.step >= looks else {}
    sentence = warning(figures) if figures else ""
    if sentence and not warned:
        print(f"train: warning at step {state.step}: {sentence}", file=sys.stderr, flush=True)
    return sentence


def _picture(state: TrainState, folder: RunFolder, tracker: Tracker) -> NDArray[np.uint8]:
    """First, middle and last frame of videos from noise that is the same all training long; returns the videos."""
    generator = finished_generator(state)
    videos = torch.cat(
        list(generate(generator, _PICTURED_VIDEOS, _PICTURE_SEED, _PICTURED_VIDEOS, state.conditions))
    ).numpy()
    frames = videos.shape[1]
    three = np.concatenate([videos[:, [t]] for t in (0, frames // 2, frames - 1)], axis=3)  # N x 1 x S x 3S x 3
    picture = tile(three, _PICTURE_COLUMNS)[0]
    write_png(folder.samples / f"step-{state.step:08d}.png", picture)
    tracker.image("samples", state.step, picture)
    return videos
