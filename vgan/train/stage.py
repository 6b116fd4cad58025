"""The stage `train`: clips in, a trained generator out.

models/generator.safetensors        averaged weights, ready to sample from
models/history.csv                  loss curves, a row every `log_every` steps
models/samples/step-00000250.png    first, middle and last frame of sixteen videos from the same noise each time
models/checkpoints/                 the newest two, to go on from

Interrupted at any moment and started again, it leaves the same bytes as if it had never stopped (on one machine's CPU).
"""

import json
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
from vgan.train.ranks import Ranks, connected
from vgan.train.state import TrainState, new_state
from vgan.train.stopping import Stop
from vgan.train.tracker import NoTracker, Tracker

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
    with connected() as ranks, _only_writer(models, lock_wait_s, ranks), Stop(params.max_minutes) as stop:
        folder = RunFolder(models, fingerprint_of(params, store.digest))
        _agree(folder, params, ranks)
        clips_a_step = params.batch_size * params.discriminator_steps
        batches = ClipBatches(store, indices, clips_a_step, params.seed, ranks.share)
        state = _state(params, store, device, ranks)
        _resume(state, batches, folder, params)
        told = tracker if ranks.first else NoTracker()
        told.start(folder.fingerprint.digest, {"clips": store.digest, "code": folder.fingerprint.parts["code"]})
        train(state, batches, folder, params=params, tracker=told, stop=stop.due)
        if ranks.any(stop.signal is not None):
            number = signal.SIGTERM if stop.signal is None else stop.signal
            if ranks.first:
                _say(f"stopped by {signal.Signals(number).name} after step {state.step}; started again, it goes on")
            raise SystemExit(128 + number)
        if ranks.first:
            if state.step < params.steps:
                minutes = f"train.max_minutes = {params.max_minutes:g}"
                _say(f"{minutes} is over: ends after {state.step} of {params.steps} steps")
            _export(state, folder, params, store)


def _agree(folder: RunFolder, params: TrainParams, ranks: Ranks) -> None:
    """See to it that all ranks train the same, and can share its batches."""
    first = json.loads(ranks.from_first(json.dumps(folder.fingerprint.parts).encode()))
    if first != folder.fingerprint.parts:
        raise VganError(
            f"expected the same training on all processes, but on number {ranks.rank} "
            f"{folder.fingerprint.difference(first)}: give every machine the same params.yaml, clips and code"
        )
    shares = ranks.count * params.accumulate
    if params.batch_size % shares:
        raise VganError(
            f"train.batch_size: expected a multiple of {ranks.count} processes times train.accumulate = "
            f"{params.accumulate}, got {params.batch_size}"
        )


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise VganError("train.device: expected a CUDA device, PyTorch finds none: set it to auto or cpu")
    # Which CUDA device, where there are several, `connected` has chosen.
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def _state(params: TrainParams, store: ClipStore, device: torch.device, ranks: Ranks) -> TrainState:
    try:
        state = new_state(params, frames=store.frames, size=store.size, device=device, ranks=ranks)
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
    found = checkpoint.Found(None, [])
    if state.ranks.first:
        found = checkpoint.find(folder.checkpoints, state, folder.fingerprint, params.steps)
    for sentence in found.said:
        _say(sentence)
    place = checkpoint.hand_out(state, found.place)
    if place is not None:
        batches.restore(place)
    if not state.ranks.first:
        return
    if place is not None:
        write_text(folder.history, state.history.csv())
        _say(f"goes on after step {state.step}")
    else:
        folder.history.unlink(missing_ok=True)
        if found.said:
            _say("starts afresh")
    (folder.path / _GENERATOR).unlink(missing_ok=True)
    for picture in folder.samples.glob("step-*.png"):
        if place is None or int(picture.stem.removeprefix("step-")) > state.step:
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
def _only_writer(models: Path, wait_s: float, ranks: Ranks) -> Iterator[None]:
    """Hold `models.lock` beside the folder, waiting for another holder up to `wait_s` seconds.

    The first rank alone writes, so it alone does.
    """
    if not ranks.first:
        yield
        return
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
        remove_partial(models)
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
