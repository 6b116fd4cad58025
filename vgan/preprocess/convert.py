"""One video to its shards and its record.

The record, `videos/<key>.json`, is written last: where it lies, the shards are whole. Videos that gave nothing have one
too, with the reason, so that they are not tried again until they, the parameters or this code change.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan import video
from vgan.atomic import write_text
from vgan.clips import shards
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import ShardWriter
from vgan.config import PreprocessParams
from vgan.preprocess.sources import Source
from vgan.preprocess.ticks import ticking
from vgan.preprocess.windows import Candidate, candidates, decoding_side

__all__ = ["Converted", "convert", "load_record", "record_path", "ticks_path", "video_key"]

# Everything else shapes pixels, or which candidates there are.
_ONLY_MANIFEST = {"test_by", "test_share", "max_failed_share", "timeout_s"}


@dataclass(frozen=True)
class Converted:
    """What a video gave: a row per candidate clip (splits not yet chosen), each with its shot, and what went wrong."""

    rows: list[ClipRow]
    shots: list[int]
    reason: str  # why it could not be used, or not to its end; empty if it could
    lasting: bool = True  # whether the same would come out another time; False: nothing is recorded

    @property
    def failed(self) -> bool:
        """Whether the video gave no candidate at all."""
        return not self.rows


def video_key(source: Source, digest: str, params: PreprocessParams) -> str:
    """16 hex digits that stand for a video's content and name, the parameters and the code that shape its clips.

    The name is in it, so that two files of one content have clips of their own.
    """
    shaping = params.model_dump(exclude=_ONLY_MANIFEST)
    parts = [digest, source.name, json.dumps(shaping, sort_keys=True), _code_digest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@cache
def _code_digest() -> str:
    folders = Path(__file__).parent, Path(video.__file__).parent
    files = [*(path for folder in folders for path in sorted(folder.glob("*.py"))), Path(shards.__file__)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def record_path(clips: Path, key: str) -> Path:
    """Where a video's record lies."""
    return clips / "videos" / f"{key}.json"


def ticks_path(clips: Path) -> Path:
    """Where workers count frames while a run is under way: beside the folder, which holds results only."""
    return clips.parent / f".{clips.name}.frames"


def load_record(clips: Path, key: str) -> Converted | None:
    """What was recorded of a video; None if there is nothing, or a shard is not as it was written."""
    try:
        record = json.loads(record_path(clips, key).read_text(encoding="utf-8"))
        whole = all((clips / name).stat().st_size == size for name, size in record["shards"].items())
    except (OSError, ValueError):
        return None
    if not whole:
        return None
    rows = [ClipRow(**_with_nan(row)) for row in record["rows"]]
    return Converted(rows=rows, shots=record["shots"], reason=record["reason"])


def _with_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in row.items()}


def convert(source: Source, key: str, params: PreprocessParams, clips: Path) -> Converted:
    """Decode one video, write its kept clips to shards below `clips`, then its record. Never raises for a bad video."""
    cv2.setNumThreads(1)  # the videos are what runs at the same time
    rows: list[ClipRow] = []
    shots: list[int] = []
    reason, lasting = "", True
    counted = _Counted()
    try:
        info = video.probe(source.path, timeout_s=params.timeout_s)
        fps = None if params.fps == "native" else float(params.fps)
        with ShardWriter(clips, key) as writer:
            frames = video.read_frames(
                source.path, info, short_side=decoding_side(params), timeout_s=params.timeout_s, fps=fps
            )
            try:
                for candidate in candidates(ticking(counted.through(frames), ticks_path(clips)), params):
                    rows.append(_stored(candidate, source, key, fps or info.fps, writer))
                    shots.append(candidate.shot)
            except video.UnusableVideo as error:  # midway: the clips before the damage are good
                reason, lasting = error.reason, not error.reason.startswith("timed out")
    except video.UnusableVideo as error:
        reason, lasting = error.reason, not error.reason.startswith("timed out")
    except cv2.error as error:
        reason = f"OpenCV cannot work on it: {' '.join(str(error).split())[:200]}"
    if not rows and not reason:
        few = counted.frames < params.frames
        reason = f"too short: {counted.frames} frames, a clip needs {params.frames}"
        reason = reason if few else f"no shot of {params.frames} frames"
    converted = Converted(rows=rows, shots=shots, reason=reason, lasting=lasting)
    if lasting:
        _record(converted, key, clips)
    return converted


class _Counted:
    """Counts the frames that pass."""

    def __init__(self) -> None:
        self.frames = 0

    def through(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Hand the frames on."""
        for frame in frames:
            self.frames += 1
            yield frame


def _stored(candidate: Candidate, source: Source, key: str, fps: float, writer: ShardWriter) -> ClipRow:
    clip_id, shard, offset = f"{key}-{candidate.start:06d}", "", -1
    if candidate.pixels is not None:
        about: dict[str, object] = {
            "source": source.name, "start": candidate.start, "label": source.label, "fps": fps
        }  # fmt: skip
        shard, offset = writer.add(clip_id, candidate.pixels, about)
    return ClipRow(
        id=clip_id,
        source=source.name,
        start=candidate.start,
        label=source.label,
        fps=fps,
        shard=shard,
        offset=offset,
        kept=candidate.pixels is not None,
        reason=candidate.reason,
        psnr_before=round(candidate.psnr_before, 3),
        psnr_after=round(candidate.psnr_after, 3),
        reprojection_error=round(candidate.reprojection_error, 4),
        inlier_share=round(candidate.inlier_share, 4),
        filled_share=round(candidate.filled_share, 4),
    )


def _record(converted: Converted, key: str, clips: Path) -> None:
    names = sorted({row.shard for row in converted.rows if row.shard})
    record = {
        "reason": converted.reason,
        "rows": [{name: _text(value) for name, value in asdict(row).items()} for row in converted.rows],
        "shards": {name: (clips / name).stat().st_size for name in names},
        "shots": converted.shots,
    }
    write_text(record_path(clips, key), json.dumps(record, sort_keys=True, allow_nan=False))


def _text(value: object) -> object:
    return None if value != value else value  # JSON has no NaN
