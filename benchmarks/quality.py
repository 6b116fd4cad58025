"""What two presets learn from the same footage in the same time on this machine, over several seeds.

Each preset is trained from each seed for so many minutes, in turns, so that a machine that slows down hits both. The
figures are medians over the seeds, of clips that `vgan evaluate` judges:

frechet_train, frechet_held_out   distance of generated clips to those trained on, and to those held out
diversity                         mean distance between two generated clips' features; held-out clips: 1
steps_per_s                       of training
collapsed                         seeds that did; the ratio counts one more on both sides

Presets are trained as they are, but for their width, how long they run and when they log and save. `--set` changes
ours, `--both` both: a preset made for a GPU may ask for fp32 and large batches.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning.footage import found_footage, lay_footage
from benchmarks.learning.report import figures, picture, table
from benchmarks.learning.trials import COLLAPSED, Outcome, Trial, run_trial, train_params
from vgan.clips.store import ClipStore
from vgan.config import PreprocessParams, load
from vgan.errors import VganError
from vgan.pictures import write_png
from vgan.preprocess.stage import run as preprocess

__all__ = ["main"]

_PRESET = Path(__file__).resolve().parent.parent / "presets" / "demo.yaml"
_INTO = Path("build") / "quality"
_EXAMPLES = """examples:
  python -m benchmarks.quality --minutes 10 --seeds 3
  python -m benchmarks.quality --ours demo --set train.loss=hinge --both train.batch_size=16
  python -m benchmarks.quality --quick"""


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    clip: dict[str, int]  # preprocess's frames, size and stride
    channels: int
    minutes: float
    seeds: int
    samples: int  # clips of each set that is judged
    steps: int  # at most
    overrides: tuple[str, ...] = ()  # of both presets

    @property
    def preprocess(self) -> PreprocessParams:
        """The demo preset's section at this scale."""
        return load(_PRESET).preprocess.model_copy(update=self.clip)


_FULL = Scale({"frames": 32, "size": 64, "stride": 2}, channels=16, minutes=10, seeds=3, samples=256, steps=10**9)
_QUICK = Scale(
    {"frames": 16, "size": 16, "stride": 4},
    channels=2,
    minutes=1,
    seeds=1,
    samples=16,
    steps=10,
    overrides=("train.batch_size=4", "train.accumulate=1"),
)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "benchmarks.quality",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ours", default="demo", metavar="PRESET", help="a file of presets/ (default: demo)")
    parser.add_argument("--reference", default="paper", metavar="PRESET", help="another one (default: paper)")
    parser.add_argument("--minutes", type=float, help=f"of each training (default: {_FULL.minutes:g})")
    parser.add_argument("--seeds", type=int, help=f"trainings of each preset (default: {_FULL.seeds})")
    parser.add_argument("--channels", type=int, help=f"width of both (default: {_FULL.channels})")
    parser.add_argument(
        "--footage",
        type=Path,
        metavar="DIR",
        help="videos to learn from (default: the Weizmann actions beside the project, else the demo's)",
    )
    override: dict[str, Any] = {"action": "append", "default": [], "metavar": "train.KEY=VALUE"}
    parser.add_argument("--set", dest="ours_set", help="change this of ours; may be given several times", **override)
    parser.add_argument("--both", help="change this of both presets; may be given several times", **override)
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="where clips, trainings and results are kept, and are found by the next call (default: build/quality; "
        "with --quick, nothing is kept)",
    )
    parser.add_argument("--threads", type=int, help="of PyTorch, and workers of preprocessing (default: all cores)")
    parser.add_argument("--samples", type=int, help=f"clips of each set that is judged (default: {_FULL.samples})")
    parser.add_argument("--quick", action="store_true", help="tiny and short, seconds")
    options = parser.parse_args(arguments)
    for name in ("minutes", "seeds", "channels", "threads"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name}: expected more than 0, got {value:g}")
    if options.samples is not None and options.samples < _QUICK.samples:
        parser.error(f"--samples: expected at least {_QUICK.samples}, got {options.samples}")
    return options


def _trials(options: argparse.Namespace, scale: Scale) -> dict[str, list[Trial]]:
    """The trials of either side, one for each seed."""
    channels, minutes = options.channels or scale.channels, options.minutes or scale.minutes
    evaluate = load(_PRESET).evaluate.model_copy(update={"samples": options.samples or scale.samples})
    common = [*scale.overrides, *options.both]
    of_side = {
        "reference": (options.reference, train_params(options.reference, channels, scale.steps, common)),
        "ours": (options.ours, train_params(options.ours, channels, scale.steps, [*common, *options.ours_set])),
    }
    return {
        side: [
            Trial(preset, train.model_copy(update={"seed": seed}), evaluate, minutes)
            for seed in range(options.seeds or scale.seeds)
        ]
        for side, (preset, train) in of_side.items()
    }


def _preprocess(options: argparse.Namespace, scale: Scale, clips: Path) -> str:
    """Make the clips, or find them as they are; returns what they are of."""
    footage = options.footage or found_footage()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        raw.mkdir()
        what, params = lay_footage(footage, raw, scale.preprocess, few=options.quick)
        preprocess(params, raw, clips, workers=options.threads or 0)
    store = ClipStore(clips)
    train, test = (len(store.indices(split)) for split in ("train", "test"))
    return f"{what}: {train} clips of {store.frames} frames of {store.size} pixels to train on, {test} held out"


def _compare(options: argparse.Namespace, into: Path) -> None:
    scale = _QUICK if options.quick else _FULL
    trials = _trials(options, scale)  # a setting that is refused is told before anything is made
    if options.threads:
        torch.set_num_threads(options.threads)
    clips = into / "clips"
    print(f"footage: {_preprocess(options, scale, clips)}", flush=True)
    one = trials["ours"][0]
    print(
        f"{one.minutes:g} minutes each, {one.train.channels} channels, {torch.get_num_threads()} threads; {COLLAPSED}"
    )
    outcomes: dict[str, list[Outcome]] = {side: [] for side in trials}
    for together in zip(*trials.values(), strict=True):
        for side, trial in zip(trials, together, strict=True):
            outcome = run_trial(trial, clips, into / "trials")
            outcomes[side].append(outcome)
            print(f"{side}: {trial.preset}, seed {trial.train.seed}: {outcome.steps} steps", flush=True)
    print(table(outcomes))
    write_png(into / "quality.png", picture(trials, outcomes, clips, into / "trials"))
    if options.into or not options.quick:
        print(f"picture: {into / 'quality.png'}")
    print(json.dumps(figures(outcomes)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, show a table, and end with the medians as one line of JSON."""
    options = _options(arguments)
    try:
        if options.quick and not options.into:
            with tempfile.TemporaryDirectory() as folder:
                _compare(options, Path(folder))
        else:
            _compare(options, options.into or _INTO)
    except VganError as error:
        print(f"benchmarks.quality: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
