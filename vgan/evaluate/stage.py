"""The stage `evaluate`: generated clips against real ones, in numbers, curves and one picture.

Four sets of clips are measured alike. `held_out` is real and was kept from training (split "test"). `train` and
`reference` are two halves of the clips trained on, drawn by lot. `generated` has as many clips as they have, because a
Fréchet distance shrinks as sets grow. The distances, by name in evaluate.json:

    frechet_transnetv2.model            generated against held_out: looks and motion not seen in training count
    frechet_transnetv2.floor            train against held_out: what replaying training clips would score
    frechet_transnetv2.model_to_train   generated against reference: how well the training clips are matched
    frechet_transnetv2.floor_to_train   train against reference: what replaying training clips would score there

A conditional generator is given the beginnings of the held-out clips for `generated`, and for `model_to_train`, in a
set of their own, those of `train`; all sets then have one size. Frames that it does not make itself are judged with
those that it makes, so its distances are smaller than those of a generator from noise and no measure against them.

A floor is no proven bound, but a generator has little reason to get below it. The first one contains how far the
held-out videos are from the others; with few held-out people or places that is most of it. Windows that overlap make
neighbouring clips alike: clips tell less than their number says. With 128 clips a side, drawing other ones moved both
floors by up to 0.05 (Weizmann actions, two people held out: floor 0.53 to 0.58, floor_to_train 0.04 to 0.06).
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vgan.atomic import write_text
from vgan.clips import motion
from vgan.clips.store import MIN_CLIPS, ClipStore
from vgan.config import EvaluateParams
from vgan.errors import VganError
from vgan.evaluate import distances, features
from vgan.evaluate.figure import beside
from vgan.evaluate.mask import mask_coverage
from vgan.models.conditions import Conditions
from vgan.models.generator import generate
from vgan.models.weights import GeneratorInfo, load_generator
from vgan.pictures import write_png
from vgan.progress import Progress

__all__ = ["run"]

_DIGITS = 5  # significant ones in what is written
_SHOWN_CLIPS, _SHOWN_FRAMES = 6, 6  # rows and columns of either half of the picture
_QUANTILE_STEPS = 20
_UNSHOWN = ("reference", "generated_from_train")  # sets that only a distance is taken from


class _Measured(NamedTuple):
    features: NDArray[np.float32]  # N x 448
    motion: NDArray[np.float64]  # N, share of moving pixels
    shown: NDArray[np.uint8]  # the first few clips


def run(params: EvaluateParams, clips: Path, generator: Path, out: Path) -> dict[str, object]:
    """Judge `generator` against the clips and write into `out` evaluate.json, two curves and a picture.

    motion.csv is how much of the picture moves, by share of the clips; spectrum.csv how far clips vary along each
    principal direction; real_vs_generated.png shows frames of both. The same input gives the same bytes on one machine.

    Returns:
        What evaluate.json holds: numbers and short texts in sections.

    Raises:
        VganError: too few clips, no or another generator.
    """
    store = ClipStore(clips)
    network, info = load_generator(generator)
    _check_match(store, info)
    drawn = _draw(store, params, alike=network.context > 0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    trunk = features.load_trunk(params.precision, device)
    count = len(drawn["train"])
    given = _given(store, drawn, network.context)
    with Progress("evaluate", count * len(given) + sum(map(len, drawn.values())), "clips") as progress:
        sets = {
            name: _measure(trunk, _batches(store, indices, params.batch_size), progress)
            for name, indices in drawn.items()
        }
        for name, conditions in given.items():
            videos = generate(network, count, params.seed, params.batch_size, conditions)
            sets[name] = _measure(trunk, (batch.numpy() for batch in videos), progress)
    directions = _directions(sets, params.directions)
    coverage = mask_coverage(network, count, params.seed, params.batch_size, given["generated"])
    result = _rounded(_result(sets, directions) | {"mask": None if coverage is None else coverage._asdict()})
    result["protocol"] = _protocol(store, info, params) | {
        "clips": {name: len(measured.features) for name, measured in sets.items()},
        "directions": directions.basis.shape[1],
    }
    _write(out, result, sets, directions)
    return result


def _check_match(store: ClipStore, info: GeneratorInfo) -> None:
    if (info.frames, info.size) != (store.frames, store.size):
        raise VganError(
            f"expected a generator of clips like those at hand, {store.frames} frames of {store.size} pixels, got one "
            f"of {info.frames} frames of {info.size}: train again with `vgan train`"
        )


def _draw(store: ClipStore, params: EvaluateParams, alike: bool) -> dict[str, NDArray[np.int64]]:
    """Indices of the clips to judge by, at most `params.samples` of each set, in the order in which they were drawn.

    Where they are `alike`, all sets have as many.
    """
    lots = np.random.default_rng(params.seed)
    held_out, trained = (lots.permutation(store.indices(split)) for split in ("test", "train"))
    half = min(params.samples, len(trained) // 2)
    for kind, clips, least, less in (
        ("held-out", held_out, MIN_CLIPS, "raise preprocess.test_share"),
        ("training", trained, 2 * MIN_CLIPS, "lower preprocess.test_share"),
    ):
        if len(clips) < least:
            raise VganError(
                f"expected at least {least} {kind} clips to judge by, got {len(clips)}: {less}, lower "
                "preprocess.stride, or add footage to data/raw"
            )
    count = min(params.samples, len(held_out))
    half = min(half, count) if alike else half
    count = half if alike else count
    return {"held_out": held_out[:count], "train": trained[:half], "reference": trained[half : 2 * half]}


def _given(store: ClipStore, drawn: dict[str, NDArray[np.int64]], context: int) -> dict[str, Conditions | None]:
    """What the sets of generated clips are made from, by the sets' names."""
    if context == 0:
        return {"generated": None}
    sources = {"generated": "held_out", "generated_from_train": "train"}
    return {
        name: Conditions(torch.from_numpy(store.gather(drawn[source])[:, :context].copy()))
        for name, source in sources.items()
    }


def _batches(store: ClipStore, indices: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.uint8]]:
    for first in range(0, len(indices), batch_size):
        yield store.gather(indices[first : first + batch_size])


def _measure(trunk: features.Trunk, batches: Iterable[NDArray[np.uint8]], progress: Progress) -> _Measured:
    """All that is asked of a set of clips, batch by batch, so that the clips need not fit into memory."""
    points, moving = [], []
    shown: list[NDArray[np.uint8]] = []
    for batch in batches:
        points.append(features.embed(trunk, batch))
        moving.append(motion.moving_share(batch))
        shown.append(batch[: _SHOWN_CLIPS - sum(len(clips) for clips in shown)])
        progress.advance(len(batch))
    return _Measured(np.concatenate(points), np.concatenate(moving), np.concatenate(shown))


def _directions(sets: dict[str, _Measured], count: int) -> distances.Directions:
    """Principal directions of the real features; at most half as many as clips, or noise would fill the rest."""
    fewest = min(len(measured.features) for measured in sets.values())
    real = np.concatenate([sets[name].features for name in ("held_out", "train", "reference")])
    return distances.principal_directions(real, min(count, fewest // 2))


def _result(sets: dict[str, _Measured], directions: distances.Directions) -> dict[str, object]:
    points = {name: directions.project(measured.features) for name, measured in sets.items()}
    shown = [name for name in sets if name not in _UNSHOWN]
    near_train = points.get("generated_from_train", points["generated"])
    diversity = {name: distances.mean_distance(sets[name].features) for name in shown}
    varied = diversity["held_out"] > 0
    return {
        "frechet_transnetv2": {
            "model": distances.frechet(points["generated"], points["held_out"]),
            "floor": distances.frechet(points["train"], points["held_out"]),
            "model_to_train": distances.frechet(near_train, points["reference"]),
            "floor_to_train": distances.frechet(points["train"], points["reference"]),
        },
        # Mean distance between two clips' features; the ratio is 1 where generated clips vary as held-out ones do.
        "diversity": diversity | {"ratio": diversity["generated"] / diversity["held_out"] if varied else None},
        "motion": {name: float(sets[name].motion.mean()) for name in shown},
        # What lies outside the directions is not judged by the distance.
        "variance_judged": {name: directions.variance_kept(sets[name].features) for name in shown},
    }


def _protocol(store: ClipStore, info: GeneratorInfo, params: EvaluateParams) -> dict[str, object]:
    """What two results have to share to be comparable, and which generator was judged."""
    return {
        **features.describe(),
        "frames": store.frames,
        "generator_step": info.step,
        "given_frames": info.context,
        "moving_levels": motion.MOVING_LEVELS,
        "precision": params.precision,
        "size": store.size,
    }


def _rounded(values: dict[str, object]) -> dict[str, object]:
    """Floats cut to the digits that are worth reading, in nested dicts."""
    result: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result[key] = _rounded(value)
        else:
            result[key] = float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
    return result


def _write(out: Path, result: dict[str, object], sets: dict[str, _Measured], directions: distances.Directions) -> None:
    names = [name for name in sets if name not in _UNSHOWN]
    curves = [motion.quantiles(sets[name].motion, _QUANTILE_STEPS) for name in names]
    shares = [step / _QUANTILE_STEPS for step in range(_QUANTILE_STEPS + 1)]
    write_text(out / "motion.csv", _csv(["share_of_clips", *names], shares, curves))
    spectra = [directions.project(sets[name].features).var(0) for name in names]
    write_text(out / "spectrum.csv", _csv(["direction", *names], range(1, len(spectra[0]) + 1), spectra))
    real, generated = sets["held_out"].shown, sets["generated"].shown
    write_png(out / "real_vs_generated.png", beside(real, generated, _SHOWN_FRAMES))
    write_text(out / "evaluate.json", json.dumps(result, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _csv(header: Sequence[str], x: Iterable[float], curves: Sequence[NDArray[np.float64]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for place, *values in zip(x, *curves, strict=True):
        writer.writerow([f"{place:g}", *(f"{value:.{_DIGITS}g}" for value in values)])
    return text.getvalue()
