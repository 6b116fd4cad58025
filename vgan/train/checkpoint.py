"""Training at one step in one file: `step-00000250.safetensors`, everything to go on as if never stopped.

Of one training the newest two are kept. A checkpoint off the cadence (a stop, the end) goes once the next regular one
is written, so that an interrupted training leaves the same files as an uninterrupted one.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors

from vgan.models import tensorfile
from vgan.train.fingerprint import Fingerprint
from vgan.train.state import TrainState

__all__ = ["Found", "NotFiniteError", "find", "hand_out", "prune", "save"]

_KIND = "vgan checkpoint 1"
_NAME = re.compile(r"step-(\d{8,})\.safetensors")
_KEPT = 2
_HEADER = "handed out"  # beside the tensors


class NotFiniteError(Exception):
    """Some weight is no number: a state that must not replace a good checkpoint."""


@dataclass(frozen=True)
class Found:
    """What `find` saw in a folder."""

    place: dict[str, int] | None  # of the batches at the restored step; None where no checkpoint was usable
    said: list[str]  # sentences about checkpoints that were passed over


def save(folder: Path, state: TrainState, place: dict[str, int], fingerprint: Fingerprint) -> Path:
    """Write a checkpoint of `state`, with the batches at `place`, into `folder`.

    Raises:
        NotFiniteError: a weight or an optimiser's average is not finite; nothing is written.
    """
    tensors = _tensors(state)
    for name, tensor in tensors.items():
        if not name.startswith("history.") and not torch.isfinite(tensor).all():
            raise NotFiniteError(name)
    path = folder / f"step-{state.step:08d}.safetensors"
    header = {"kind": _KIND, "step": state.step, "place": place, "fingerprint": fingerprint.parts}
    tensorfile.write(path, tensors, header)
    return path


def find(folder: Path, state: TrainState, fingerprint: Fingerprint, last_step: int) -> Found:
    """Restore into `state` the newest usable checkpoint of this training, up to `last_step`.

    A damaged one and one of another training are passed over, and `said` tells so; `state` is then as it was.
    """
    said: list[str] = []
    for path in reversed(_listed(folder)):
        try:
            tensors, header = tensorfile.read(path)
        except (OSError, tensorfile.DamagedFileError) as error:
            said.append(f"the checkpoint {path} is damaged ({error}) and is passed over")
            continue
        if header.get("kind") != _KIND:
            said.append(f"the checkpoint {path} is of a kind that this version does not read and is passed over")
        elif header["fingerprint"] != fingerprint.parts:
            difference = fingerprint.difference(header["fingerprint"])
            said.append(f"the checkpoint {path} is of another training ({difference}) and is passed over")
        elif header["step"] > last_step:
            said.append(f"the checkpoint {path} is beyond the {last_step} steps asked for and is passed over")
        else:
            _restore(state, tensors, header["step"])
            return Found(header["place"], said)
    return Found(None, said)


def hand_out(state: TrainState, place: dict[str, int] | None) -> dict[str, int] | None:
    """Give the state and the place that the first rank has restored to all ranks, which may lie on other machines.

    Returns:
        The first rank's place; None where it begins afresh, as all do then.
    """
    content = b""
    if state.ranks.count > 1 and state.ranks.first and place is not None:
        header = json.dumps({"step": state.step, "place": place}).encode()
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(state).items()}
        content = safetensors.save({**held, _HEADER: torch.frombuffer(bytearray(header), dtype=torch.uint8)})
    content = state.ranks.from_first(content)
    if state.ranks.first or not content:
        return place if state.ranks.first else None
    tensors = safetensors.load(content)
    told = json.loads(tensors.pop(_HEADER).numpy().tobytes())
    _restore(state, tensors, told["step"])
    handed: dict[str, int] = told["place"]
    return handed


def prune(folder: Path, fingerprint: Fingerprint, every: int, step: int) -> None:
    """Delete what the checkpoint at `step`, the newest of this training, makes superfluous; `every` is the cadence."""
    ours = [path for path in _listed(folder) if _step(path) <= step and _is_ours(path, fingerprint)]
    regular = [path for path in ours if _step(path) % every == 0]
    kept = regular[-_KEPT:] if step % every == 0 else [*regular[1 - _KEPT :], ours[-1]]
    for path in set(_listed(folder)) - set(kept):
        path.unlink()


def _listed(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _is_ours(path: Path, fingerprint: Fingerprint) -> bool:
    try:
        return bool(tensorfile.read_header(path).get("fingerprint") == fingerprint.parts)
    except (OSError, tensorfile.DamagedFileError):
        return False


def _tensors(state: TrainState) -> dict[str, torch.Tensor]:
    tensors = {f"generator.{name}": tensor for name, tensor in state.generator.state_dict().items()}
    tensors |= {f"discriminator.{name}": tensor for name, tensor in state.discriminator.state_dict().items()}
    if state.frame_discriminator is not None:
        named = state.frame_discriminator.state_dict()
        tensors |= {f"frame_discriminator.{name}": tensor for name, tensor in named.items()}
    for prefix, optimizer in (("optimizer_g", state.optimizer_g), ("optimizer_d", state.optimizer_d)):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{prefix}.{index}.{name}": tensor for name, tensor in values.items()}
    tensors |= {f"average.{index}": tensor for index, tensor in enumerate(state.average)}
    tensors |= {f"history.{name}": tensor for name, tensor in state.history.tensors().items()}
    tensors["noise"], tensors["chances"] = state.noise.get_state(), state.chances.get_state()
    return tensors


def _restore(state: TrainState, tensors: dict[str, torch.Tensor], step: int) -> None:
    state.generator.load_state_dict(_under(tensors, "generator"))
    state.discriminator.load_state_dict(_under(tensors, "discriminator"))
    if state.frame_discriminator is not None:
        state.frame_discriminator.load_state_dict(_under(tensors, "frame_discriminator"))
    for prefix, optimizer in (("optimizer_g", state.optimizer_g), ("optimizer_d", state.optimizer_d)):
        _restore_optimizer(optimizer, _under(tensors, prefix))
    for index, tensor in enumerate(state.average):
        tensor.copy_(tensors[f"average.{index}"])
    state.history.restore(_under(tensors, "history"))
    state.noise.set_state(tensors["noise"])
    state.chances.set_state(tensors["chances"])
    state.step = step


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    values: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, _, quantity = name.partition(".")
        values.setdefault(int(index), {})[quantity] = tensor
    # Rates and betas are this run's: where they differed, the fingerprint would too, and a step sets its rates itself.
    optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
