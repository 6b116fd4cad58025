"""One preset trained from one seed, and what it has learnt; kept, so that it is not trained twice."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmarks.learning.budget import train_within
from vgan.atomic import write_text
from vgan.clips.store import ClipStore
from vgan.config import EvaluateParams, TrainParams, parse
from vgan.errors import VganError
from vgan.evaluate import stage as evaluate
from vgan.models.conditions import Conditions
from vgan.models.generator import generate
from vgan.models.weights import load_generator
from vgan.train import health
from vgan.train.fingerprint import fingerprint_of

__all__ = ["COLLAPSED", "Outcome", "Trial", "alike", "run_trial", "train_params", "trial_folder", "videos_of"]

_PRESETS = Path(__file__).resolve().parents[2] / "presets"
_NEVER = 10**9  # steps
_CLIPS_A_ROW = 160  # trained on from one logged step to the next
_ROWS_A_CHECKPOINT = 10
_ALIKE_FEATURES, _ALIKE_PIXELS = 0.25, 0.1
_LOOKED_AT = 16  # videos that are compared pixel by pixel
# What the comparison itself decides, and where to.
_DECIDED = {
    "seed": "use --seeds",
    "channels": "use --channels",
    "steps": "use --minutes",
    "max_minutes": "use --minutes",
    "device": "both use the same",
    "log_every": "it changes nothing that is learnt",
    "sample_every": "it changes nothing that is learnt",
    "checkpoint_every": "it changes nothing that is learnt",
}
COLLAPSED = (
    f"collapsed: diversity of features below {_ALIKE_FEATURES:g} or of pixels below {_ALIKE_PIXELS:g} (real clips: 1), "
    "or training diverged"
)


@dataclass(frozen=True)
class Trial:
    """What is trained, for how long and how it is judged."""

    preset: str
    train: TrainParams
    evaluate: EvaluateParams
    minutes: float


@dataclass(frozen=True)
class Outcome:
    """What a trial came to. Distances of a training that diverged are None, as nothing was there to judge."""

    preset: str
    seed: int
    steps: int
    steps_per_s: float
    frechet_train: float | None
    frechet_held_out: float | None
    floor_train: float | None
    floor_held_out: float | None
    diversity: float  # of features, mean distance between two videos; held-out clips: 1
    pixels: float  # diversity pixel by pixel; training clips: 1
    moving: float  # share of pixels
    moving_real: float
    collapsed: str  # in which way; empty where it did not


def train_params(preset: str, channels: int, most_steps: int, overrides: list[str]) -> TrainParams:
    """The training section of a preset at a width, with `overrides` such as train.loss=hinge, the last one counting.

    Raises:
        VganError: no such preset, an override that is none, or values that the schema refuses.
    """
    presets = {path.stem: path for path in sorted(_PRESETS.glob("*.yaml"))}
    if preset not in presets:
        raise VganError(f"expected one of the presets {', '.join(presets)}, got {preset!r}")
    content = YAML(typ="safe", pure=True).load(presets[preset].read_text(encoding="utf-8"))
    section = content["train"]
    section["channels"] = channels
    for override in overrides:
        key, value = _override(override)
        section[key] = value
    rows = max(1, _CLIPS_A_ROW // _positive(section["batch_size"]))
    section |= {
        "device": "auto",
        "log_every": rows,
        "checkpoint_every": _ROWS_A_CHECKPOINT * rows,
        "sample_every": _NEVER,  # looks cost time, and what was learnt is looked at in the end
        "max_minutes": 0,
        "steps": 1,
    }
    name = f"the preset {preset} with {', '.join(overrides) or 'no overrides'}"
    params = parse(json.dumps(content, default=str), name).train
    # Where rates fall to 0 there is nothing to learn behind that.
    end = params.decay_start + params.decay_steps if params.decay_steps > 0 else most_steps
    return params.model_copy(update={"steps": min(end, most_steps)})


def _positive(value: object) -> int:
    return max(value, 1) if isinstance(value, int) else 1  # what else it is, the schema refuses


def _override(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    section, _, key = name.strip().partition(".")
    if section != "train" or not key or not equals:
        raise VganError(f"expected train.KEY=VALUE, because all else is the same for both presets, got {text!r}")
    if key in _DECIDED:
        raise VganError(f"train.{key} is the comparison's own to set, so {text!r} cannot be: {_DECIDED[key]}")
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        raise VganError(f"expected a YAML value after {name}=, got {value!r}") from None


def trial_folder(trial: Trial, store: ClipStore, folder: Path) -> Path:
    """Where a trial's files lie below `folder`: under a digest of all that decides what comes out."""
    return folder / f"{trial.preset}-seed{trial.train.seed}-{_digest(_decides(trial, store))}"


def _decides(trial: Trial, store: ClipStore) -> dict[str, object]:
    return {
        "training": fingerprint_of(trial.train, store.digest).digest,  # parameters, clips and code
        "steps": trial.train.steps,
        "minutes": trial.minutes,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "evaluate": trial.evaluate.model_dump(),
    }


def _digest(decides: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


def run_trial(trial: Trial, clips: Path, folder: Path) -> Outcome:
    """Train and judge, or read what an earlier call has found; what is interrupted goes on the next time.

    Raises:
        VganError: as training and judging do, but for a training that diverges: that is an outcome.
        SystemExit: a signal came.
    """
    store = ClipStore(clips)
    place = trial_folder(trial, store, folder)
    found = place / "outcome.json"
    if found.exists():
        return Outcome(**json.loads(found.read_text(encoding="utf-8")))
    write_text(
        place / "params.json", json.dumps(_decides(trial, store) | {"train": trial.train.model_dump()}, indent=2) + "\n"
    )
    try:
        rate = train_within(trial.minutes, trial.train, clips, place / "models")
    except VganError as error:
        if not str(error).startswith("training diverged"):
            raise
        outcome = _nothing(trial, str(error))
    else:
        outcome = _judged(trial, clips, place, rate)
    write_text(found, json.dumps(asdict(outcome), indent=2, allow_nan=False) + "\n")
    return outcome


def _nothing(trial: Trial, why: str) -> Outcome:
    return Outcome(trial.preset, trial.train.seed, 0, 0.0, None, None, None, None, 0.0, 0.0, 0.0, 0.0, why)


def _judged(trial: Trial, clips: Path, place: Path, rate: float) -> Outcome:
    generator = place / "models" / "generator.safetensors"
    result = evaluate.run(trial.evaluate, clips, generator, place / "evaluate")
    distance, diversity, motion, protocol = (
        _section(result, name) for name in ("frechet_transnetv2", "diversity", "motion", "protocol")
    )
    store = ClipStore(clips)
    lots = np.random.default_rng(trial.evaluate.seed)
    real = store.gather(lots.permutation(store.indices("train"))[:_LOOKED_AT])
    pixels = health.diversity(videos_of(generator, clips, _LOOKED_AT, trial.evaluate.seed), real)
    features = diversity["ratio"]
    if features is None or not np.isfinite(pixels):
        raise VganError("expected real clips that differ from one another, found them all the same: use other footage")
    return Outcome(
        preset=trial.preset,
        seed=trial.train.seed,
        steps=int(protocol["generator_step"]),
        steps_per_s=rate,
        frechet_train=distance["model_to_train"],
        frechet_held_out=distance["model"],
        floor_train=distance["floor_to_train"],
        floor_held_out=distance["floor"],
        diversity=features,
        pixels=pixels,
        moving=motion["generated"],
        moving_real=motion["held_out"],
        collapsed=alike(features, pixels),
    )


def alike(features: float, pixels: float) -> str:
    """Which of the two diversities is so small that the generator has collapsed; empty where neither is."""
    found = (("features", features, _ALIKE_FEATURES), ("pixels", pixels, _ALIKE_PIXELS))
    return "; ".join(f"diversity of {name} is {value:.3f}" for name, value, least in found if value < least)


def _section(result: dict[str, object], name: str) -> dict[str, float]:
    section = result[name]
    assert isinstance(section, dict)
    return section


def videos_of(generator: Path, clips: Path, count: int, seed: int) -> NDArray[np.uint8]:
    """`count` generated videos, uint8 N x T x S x S x 3; a conditional generator is given held-out beginnings."""
    network, _ = load_generator(generator)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    conditions = None
    if network.context > 0:
        store = ClipStore(clips)
        drawn = np.random.default_rng(seed).permutation(store.indices("test"))[:count]
        conditions = Conditions(torch.from_numpy(store.gather(drawn)[:, : network.context].copy()))
    return torch.cat(list(generate(network, count, seed, count, conditions))).numpy()
