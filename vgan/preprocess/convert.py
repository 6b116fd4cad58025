"""One video to its shards and its record."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan import video
from vgan.atomic import write_bytes
from vgan.clips import motion, shards
from vgan.clips.shards import ShardWriter
from vgan.config import PreprocessParams
from vgan.preprocess import scenes
from vgan.preprocess.filters import Look, look_at
from vgan.preprocess.glimpses import Glimpses
from vgan.preprocess.records import Record, RowBuffer, glimpses_path, write_record
from vgan.preprocess.sources import Source
from vgan.preprocess.ticks import ticking, ticks_path
from vgan.preprocess.windows import Candidate, candidates, decoding_side

__all__ = ["code_digest", "convert", "video_key"]

# Everything else shapes pixels, or which candidates there are.
_ONLY_MANIFEST = {"duplicate_bits", "test_by", "test_share", "max_failed_share", "timeout_s", "engine", "scheduler"}
# Modules of this room that see no frame of a video: a test holds that nothing here imports them.
_NO_PIXELS = {
    *("assemble", "cluster", "digests", "duplicates", "engine", "overview", "splits", "stage", "stills", "summary"),
    *("verify", "wishes"),
}

_Into = tuple[RowBuffer, ShardWriter, Glimpses]


def video_key(source: Source, digest: str, params: PreprocessParams, classifier: str = "") -> str:
    """16 hex digits that stand for a video's content, what splits.csv says of it, the parameters and the code.

    The name is in it, so that two files of one content have clips of their own; the label, as shards name it.
    `classifier` is what `scenes.check` gives.
    """
    shaping = params.model_dump(exclude=_ONLY_MANIFEST)
    known = json.dumps([source.name, source.label, source.start_s, source.end_s])
    parts = [digest, known, json.dumps(shaping, sort_keys=True), code_digest(), classifier]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """SHA-256 of the code that shapes clips."""
    room = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.stem not in _NO_PIXELS]
    files = [*room, *sorted(Path(video.__file__).parent.glob("*.py")), Path(motion.__file__), Path(shards.__file__)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise video.UnusableVideo(f"unreadable: {error.strerror}", lasting=False) from None


def convert(source: Source, key: str, params: PreprocessParams, clips: Path) -> Record:
    """Decode one video, write its kept clips to shards below `clips`, then its record. Never raises for a bad video."""
    cv2.setNumThreads(1)  # the videos are what runs at the same time
    rows = RowBuffer()
    writer = ShardWriter(clips, key)
    counted, glimpses = _Counted(), Glimpses(params.frames, params.size)
    reason, lasting = "", True
    classifier = scenes.load(params)
    try:
        info = video.probe(source.path, timeout_s=params.timeout_s)
        if info.duration_s is not None and source.start_s >= info.duration_s:
            raise video.UnusableVideo(f"splits.csv takes it from {source.start_s:g} s on, it has {info.duration_s:g} s")
        fps = None if params.fps == "native" else float(params.fps)
        frames = video.read_frames(
            source.path,
            info,
            short_side=decoding_side(params),
            timeout_s=params.timeout_s,
            fps=fps,
            span=None if (source.start_s, source.end_s) == (0.0, None) else (source.start_s, source.end_s),
        )
        seconds = (source.end_s or info.duration_s or 0) - source.start_s
        size = _size(source.path)
        frames = glimpses.through(counted.through(frames))
        frames = ticking(frames, ticks_path(clips), expected=seconds * (fps or info.fps), size=size)
        looked = _looked(frames, params, classifier)
        with writer:
            reason, lasting = _store_all(looked, source, key, fps or info.fps, (rows, writer, glimpses))
    except video.UnusableVideo as error:
        reason, lasting = error.reason, error.lasting
    if not len(rows) and not reason:
        few = counted.frames < params.frames
        reason = f"too short: {counted.frames} frames, a clip needs {params.frames}"
        reason = reason if few else f"no shot of {params.frames} frames"
    if picture := glimpses.jpeg():
        write_bytes(glimpses_path(clips, key), picture)
    record = Record(
        key=key,
        source=source.name,
        label=source.label,
        table=rows.table(),
        reason=reason,
        lasting=lasting,
        shards=writer.files,
        glimpses=glimpses.starts,
        glimpses_sha256=hashlib.sha256(picture).hexdigest() if picture else "",
    )
    write_record(clips, record)
    return record


class _Counted:
    """Counts the frames that pass."""

    def __init__(self) -> None:
        self.frames = 0

    def through(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Hand the frames on."""
        for frame in frames:
            self.frames += 1
            yield frame


def _looked(
    frames: Iterator[NDArray[np.uint8]], params: PreprocessParams, classifier: scenes.SceneClassifier | None
) -> Iterator[tuple[Candidate, Look]]:
    """Every candidate with its figures, and with the reason why stabilising or a filter drops it."""
    scene_of = None
    if classifier is not None:
        sampler = scenes.SceneSampler(classifier, params.frames)
        frames, scene_of = sampler.through(frames), sampler.scene_of
    for candidate in candidates(frames, params):
        yield candidate, look_at(candidate, params, scene_of)


def _store_all(
    looked: Iterator[tuple[Candidate, Look]],
    source: Source,
    key: str,
    fps: float,
    into: _Into,
) -> tuple[str, bool]:
    """Write every candidate; returns what was wrong with the video, if anything, and whether it would be another time.

    The clips before the damage are good.
    """
    try:
        for candidate, look in looked:
            _store(candidate, look, source, key, fps, into)
    except video.UnusableVideo as error:
        return error.reason, error.lasting
    except cv2.error as error:
        return f"OpenCV cannot work on it: {' '.join(str(error).split())[:200]}", True
    return "", True


def _store(candidate: Candidate, look: Look, source: Source, key: str, fps: float, into: _Into) -> None:
    rows, writer, glimpses = into
    number, offset = -1, -1
    kept = candidate.pixels is not None and not look.reason
    if candidate.pixels is not None and kept:
        about: dict[str, object] = {
            "source": source.name, "start": candidate.start, "label": source.label, "fps": fps
        }  # fmt: skip
        _, offset = writer.add(f"{key}-{candidate.start:06d}", candidate.pixels, about)
        number = len(writer.files)
    else:
        glimpses.dropped(candidate.start, look.reason)
    rows.add(
        start=candidate.start,
        shot=candidate.shot,
        fps=fps,
        shard=number,
        offset=offset,
        kept=kept,
        reason=look.reason,
        psnr_before=round(candidate.psnr_before, 3),
        psnr_after=round(candidate.psnr_after, 3),
        reprojection_error=round(candidate.reprojection_error, 4),
        inlier_share=round(candidate.inlier_share, 4),
        filled_share=round(candidate.filled_share, 4),
        motion=round(look.motion, 4),
        phash=look.phash,
        scene=look.scene,
    )
