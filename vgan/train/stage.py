"""The stage `train`: clips in, a trained generator out.

models/generator.safetensors        averaged weights, ready to sample from
models/history.csv                  loss curves, a row every `log_every` steps
models/samples/step-00000250.png    first, middle and last frame of sixteen videos from the same noise each time
models/checkpoints/                 the newest two, to go on from

Interrupted at any moment and started again, it leaves the same bytes as if it had never stopped (on one machine's CPU).
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from vgan.atomic import remove_partial, write_text
from vgan.clips.batches import ClipBatches
from vgan.clips.store import ClipStore
from vgan.config import TrainParams
from vgan.errors import VganError
from vgan.models.weights import GeneratorInfo, save_generator
from vgan.train import checkpoint
from vgan.train.conditioning import fixed_conditions
from vgan.train.export import finished_generator
from vgan.train.fingerprint import fingerprint_of
from vgan.train.loop import RunFolder, train
from vgan.train.state import TrainState, new_state
from vgan.train.stopping import Stop
from vgan.train.tracker import Tracker

__all__ = ["run"]

_GENERATOR = "generator.safetensors"
_LOCK_WAIT_S = 600.0


def run(params: TrainParams, clips: Path, models: Path, *, tracker: Tracker, lock_wait_s: float = _LOCK_WAIT_S) -> None:
    """Train on the clips in `clips` and write into `models`, going on from its newest checkpoint of this training.

    SIGTERM and SIGINT end it after the step at hand with a checkpoint and exit code 143 or 130; `params.max_minutes`
    ends it as if it were finished.

    Raises:
        VganError: no clips to train on, no such device, another writer that does not end, or training diverged.
        SystemExit: a signal came.
    """
    device = _device(params.device)
    store = ClipStore(clips)
    indices = store.indices("train")
    if len(indices) == 0:
        raise VganError(f"expected training clips in {clips}, found only held-out ones: lower preprocess.test_share")
    with _only_writer(models, lock_wait_s), Stop(params.max_minutes) as stop:
        remove_partial(models)
        folder = RunFolder(models, fingerprint_of(params, store.digest))
        batches = ClipBatches(store, indices, params.batch_size * params.discriminator_steps, params.seed)
        state = _state(params, store, device)
        _resume(state, batches, folder, params)
        inputs = {"clips": store.digest, "code": folder.fingerprint.parts["code"]}
        tracker.start(folder.fingerprint.digest, inputs)
        train(state, batches, folder, params=params, tracker=tracker, stop=stop.due)
        if stop.signal is not None:
            _say(f"stopped by {signal.Signals(stop.signal).name} after step {state.step}; started again, it goes on")
            raise SystemExit(128 + stop.signal)
        if state.step < params.steps:
            _say(f"train.max_minutes = {params.max_minutes:g} is over: ends after {state.step} of {params.steps} steps")
        _export(state, folder, params, store)


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise VganError("train.device: expected a CUDA device, PyTorch finds none: set it to auto or cpu")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def _state(params: TrainParams, store: ClipStore, device: torch.device) -> TrainState:
    try:
        state = new_state(params, frames=store.frames, size=store.size, device=device)
    except ValueError as error:
        raise VganError(
            f"train: {error}: the clips in the store have {store.frames} frames of {store.size} pixels; change "
            "train.context or train.show_condition, or run `vgan preprocess` again"
        ) from None
    state.conditions = fixed_conditions(state.generator, store, params)
    return state


def _resume(state: TrainState, batches: ClipBatches, folder: RunFolder, params: TrainParams) -> None:
    """Go to the newest usable checkpoint, or begin afresh, and clear away what lies beyond that step.

    Checkpoints of another training stay until this one has its first, for whoever changed a parameter by mistake.
    """
    found = checkpoint.find(folder.checkpoints, state, folder.fingerprint, params.steps)
    for sentence in found.said:
        _say(sentence)
    if found.place is not None:
        batches.restore(found.place)
        write_text(folder.history, state.history.csv())
        _say(f"goes on after step {state.step}")
    else:
        folder.history.unlink(missing_ok=True)
        if found.said:
            _say("starts afresh")
    (folder.path / _GENERATOR).unlink(missing_ok=True)
    for picture in folder.samples.glob("step-*.png"):
        if found.place is None or int(picture.stem.removeprefix("step-")) > state.step:
            picture.unlink()


def _export(state: TrainState, folder: RunFolder, params: TrainParams, store: ClipStore) -> None:
    info = GeneratorInfo(
        generator=params.generator,
        channels=params.channels,
        latent_dim=params.latent_dim,
        frames=store.frames,
        size=store.size,
        fps=store.fps,
        step=state.step,
        clips_digest=store.digest,
        context=state.generator.context,
    )
    save_generator(folder.path / _GENERATOR, finished_generator(state), info)


@contextmanager
def _only_writer(models: Path, wait_s: float) -> Iterator[None]:
    """Hold `models.lock` beside the folder, waiting for another holder up to `wait_s` seconds."""
    models.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(models.with_name(f"{models.name}.lock"))
    holder = models.with_name(f"{models.name}.lock.pid")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"waits for process {_pid(holder)}, which trains into {models}")
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            raise VganError(
                f"expected to be the only training into {models}, but process {_pid(holder)} has held it for "
                f"{wait_s:g} more seconds: wait for it to end, or end it"
            ) from None
    try:
        write_text(holder, f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _pid(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "unknown"


def _say(sentence: str) -> None:
    print(f"train: {sentence}", file=sys.stderr, flush=True)
