"""Two sides' trials as a table, as figures and as a picture."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.learning.trials import Outcome, Trial, trial_folder, videos_of
from vgan.clips.store import ClipStore
from vgan.errors import VganError
from vgan.pictures import GAP, tile

__all__ = ["Figure", "figures", "picture", "table"]

Figure = dict[str, float | str]
_DISTANCES = ("frechet_train", "frechet_held_out")
_COLUMNS = ("steps", "steps_per_s", *_DISTANCES, "diversity", "pixels", "moving")
_SHOWN, _ABREAST, _FRAMES = 6, 2, 6  # clips of a set in the picture, of them in a row, and frames of each
_HEADER = 20  # pixels for the words
_SEED = 3  # of the noise and of the choice of real clips


def _median(outcomes: Sequence[Outcome], name: str) -> float:
    """Over the seeds; a training that diverged counts as farther away than any other."""
    return statistics.median(math.inf if (value := getattr(one, name)) is None else value for one in outcomes)


def figures(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, Figure]:
    """The medians of the sides "ours" and "reference"; ratios above 1 are in favour of ours.

    Raises:
        VganError: so many of a side's trainings gave no generator that there is no median.
    """
    sides = {side: {name: _median(outcomes[side], name) for name in _COLUMNS} for side in ("ours", "reference")}
    if not all(
        math.isfinite(one[name]) and one[name] > 0 for one in sides.values() for name in ("diversity", *_COLUMNS[:4])
    ):
        raise VganError(
            "expected most trainings of each preset to end with a generator that has learnt for a step at least, but "
            "they diverged or had no time (see the table): give more --minutes, or --set a lower learning rate"
        )
    result: dict[str, Figure] = {}
    units = dict.fromkeys(_DISTANCES, "TransNetV2 Fréchet distance") | {
        "diversity": "of real clips'",
        "steps_per_s": "steps/s",
    }
    for name, unit in units.items():
        ours, reference = sides["ours"][name], sides["reference"][name]
        ratio = reference / ours if name in _DISTANCES else ours / reference
        result[name] = {"ours": ours, "reference": reference, "ratio": ratio, "unit": unit}
    lost = {side: sum(bool(one.collapsed) for one in outcomes[side]) for side in sides}
    ratio = (lost["reference"] + 1) / (lost["ours"] + 1)
    result["collapsed"] = {**lost, "ratio": ratio, "unit": "seeds"}
    return result


def table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """A line for each seed, the medians, and what real clips measure."""
    lines: list[tuple[str, ...]] = [("", "seed", *_COLUMNS, "collapsed")]
    for side, of_seeds in outcomes.items():
        name = f"{side} ({of_seeds[0].preset})"
        for one in of_seeds:
            values = (_number(getattr(one, column)) for column in _COLUMNS)
            lines.append((name, str(one.seed), *values, one.collapsed or "no"))
        medians = (_number(_median(of_seeds, column)) for column in _COLUMNS)
        lost = sum(bool(one.collapsed) for one in of_seeds)
        lines.append((name, "median", *medians, f"{lost} of {len(of_seeds)}"))
    judged = [one for of_seeds in outcomes.values() for one in of_seeds if one.floor_train is not None]
    if judged:
        one = judged[0]
        real = ("", "", _number(one.floor_train), _number(one.floor_held_out), "1", "1", _number(one.moving_real))
        lines.append(("real (the floors)", "", *real, ""))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(row.rstrip() for row in rows)


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def picture(
    trials: Mapping[str, Sequence[Trial]], outcomes: Mapping[str, Sequence[Outcome]], clips: Path, folder: Path
) -> NDArray[np.uint8]:
    """Frames of real training clips, and of each side's videos, some from each seed: H x W x 3."""
    store = ClipStore(clips)
    lots = np.random.default_rng(_SEED)
    bands = [_band("real", store.gather(lots.permutation(store.indices("train"))[:_SHOWN]))]
    for side, of_side in trials.items():
        made = [
            videos_of(trial_folder(trial, store, folder) / "models" / "generator.safetensors", clips, _SHOWN, _SEED)
            for trial, outcome in zip(of_side, outcomes[side], strict=True)
            if outcome.frechet_train is not None
        ]
        if made:
            in_turns = np.stack(made, 1)  # videos x seeds x T x S x S x 3
            videos = in_turns.reshape(-1, *in_turns.shape[2:])[:_SHOWN]
            bands.append(_band(f"{side}: {of_side[0].preset}", videos))
    return np.concatenate(bands)


def _band(title: str, videos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """N x T x S x S x 3 to rows of frames under a title, H x W x 3."""
    shown = np.linspace(0, videos.shape[1] - 1, _FRAMES).round().astype(int)
    frames = videos[:, shown].reshape(-1, 1, *videos.shape[2:])  # N frames x 1 x S x S x 3
    rows = tile(frames, _ABREAST * _FRAMES)[0]
    header = np.full((_HEADER, rows.shape[1], 3), 255, np.uint8)
    cv2.putText(header, title, (GAP, _HEADER - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([header, rows])
