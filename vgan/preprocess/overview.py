"""What a person looks at of a clips folder: curves and counts that DVC plots, and a picture of kept and dropped clips.

`write` puts them into `overview/` of the folder; they depend on the folder alone.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vgan.atomic import write_bytes
from vgan.clips import manifest, shards
from vgan.clips import stats as stats_module
from vgan.clips.checksums import file_sha256
from vgan.clips.stats import figures, kinds, stats
from vgan.preprocess.glimpses import FRAMES
from vgan.preprocess.records import glimpses_path, read_record, record_path

__all__ = ["CURVES", "INPUTS", "LABELS", "PICTURE", "REASONS", "clips_picture", "png", "write"]

CURVES = "overview/figures.csv"
LABELS = "overview/labels.csv"
REASONS = "overview/reasons.csv"
PICTURE = "overview/clips.png"
INPUTS = "overview/inputs"  # the manifest and the code that the rest follows from

_POINTS = 51  # of a curve
_SHOWN = 8  # clips of a kind
_TRIES = 20  # rows looked at for one that has a glimpse
_SIDE = 64
_GAP = 2
_CAPTION = 14  # lines
_TITLE = 22
_WHITE, _BLACK = 255, (0, 0, 0)
_SEED = 0
_COLUMNS = ("id", "source", "start", "label", "split", "shard", "offset", "kept", "reason")


def write(clips: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Bring the overview of `clips`, whose manifest is there, up to date; returns the SHA-256 of each file, by name.

    Args:
        clips: the folder.
        known: the SHA-256 of each file after the last run; where manifest and code are the same since, nothing is done.
    """
    inputs = f"{file_sha256(clips / manifest.MANIFEST)} {_code_digest()}\n".encode()
    names = (CURVES, LABELS, REASONS, PICTURE)
    try:
        now = {name: file_sha256(clips / name) for name in (*names, INPUTS)}
        if (clips / INPUTS).read_bytes() == inputs and all(known.get(name) == digest for name, digest in now.items()):
            return now
    except OSError:  # one is missing
        pass
    found = stats(clips)
    contents = {
        CURVES: _curves(clips),
        LABELS: _csv(("label", "clips"), [(name or "-", row["clips"]) for name, row in found["labels"].items()]),
        REASONS: _csv(("reason", "candidates"), [("kept", sum(found["clips"].values())), *found["dropped"].items()]),
        PICTURE: png(clips_picture(clips, _SEED)),
        INPUTS: inputs,
    }
    for name, content in contents.items():
        path = clips / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


@cache
def _code_digest() -> str:
    files = (Path(__file__), Path(stats_module.__file__))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _curves(clips: Path) -> bytes:
    """Each figure's quantiles: what share of the clips lies at or below which value."""
    shares = np.linspace(0, 1, _POINTS)
    found = {name: np.quantile(values, shares) for name, values in figures(clips) if len(values)}
    rows = [
        (f"{share:.2f}", *(f"{found[name][place]:.4f}" for name in sorted(found)))
        for place, share in enumerate(shares)
    ]  # fmt: skip
    return _csv(("share_of_clips", *sorted(found)), rows if found else [])


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue().encode()


@dataclass(frozen=True)
class _Strip:
    """A few frames of a clip, and what is said of it."""

    frames: list[NDArray[np.uint8]]
    caption: str


def clips_picture(clips: Path, seed: int) -> NDArray[np.uint8]:
    """Random kept clips on the left and dropped ones on the right, all reasons in turn: H x W x 3.

    Args:
        clips: the folder.
        seed: another one shows others.

    Raises:
        VganError: there is no manifest, or it is damaged.
    """
    rng = np.random.default_rng(seed)
    rows = manifest.read_table(clips, _COLUMNS, coded=True)
    kept = np.flatnonzero(rows["kept"].to_numpy())
    chosen = np.sort(rng.permutation(kept)[:_SHOWN])
    left = [strip for place in chosen.tolist() if (strip := _kept_strip(clips, rows, place)) is not None]
    return _beside(_column("kept", left), _column("dropped", _dropped(clips, rows, rng)))


def _kept_strip(clips: Path, rows: pa.Table, place: int) -> _Strip | None:
    row = {name: rows[name][place].as_py() for name in ("shard", "offset", "label", "source", "start", "split")}
    pixels = _clip(clips, row["shard"], row["offset"])
    where = f"{_file(row['source'])}, frame {row['start']}"
    caption = " | ".join(part for part in (row["label"], row["split"], where) if part)
    return None if pixels is None else _Strip(_spread(pixels), caption)


def _file(source: str) -> str:
    return source.rpartition("/")[2]


def _clip(clips: Path, shard: str, offset: int) -> NDArray[np.uint8] | None:
    try:
        with (clips / shard).open("rb") as file:
            file.seek(offset - shards.NPY_HEADER_BYTES)
            shape = shards.read_shape(file.read(shards.NPY_HEADER_BYTES))
            return np.frombuffer(file.read(int(np.prod(shape))), np.uint8).reshape(shape)
    except (OSError, ValueError):
        return None


def _spread(frames: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    places = np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)
    return [frames[place] for place in places]


def _dropped(clips: Path, rows: pa.Table, rng: np.random.Generator) -> list[_Strip]:
    """Dropped windows that there is a picture of, the reasons in turn."""
    codes, names = kinds(rows["reason"])
    dropped = ~rows["kept"].to_numpy() & (rows["start"].to_numpy() >= 0)
    waiting = {
        name: rng.permutation(np.flatnonzero(dropped & (codes == code)))[: _SHOWN * _TRIES].tolist()
        for code, name in enumerate(names)
    }
    found: list[_Strip] = []
    shown: set[tuple[str, int]] = set()
    while len(found) < _SHOWN and any(waiting.values()):
        for name, places in waiting.items():
            for _ in range(min(_TRIES, len(places))):
                strip = _dropped_strip(clips, rows, places.pop(), name, shown)
                if strip is not None and len(found) < _SHOWN:
                    found.append(strip)
                    break
    return found


def _dropped_strip(clips: Path, rows: pa.Table, place: int, name: str, shown: set[tuple[str, int]]) -> _Strip | None:
    """The window itself where its clip is in a shard, else a glimpse of one that its video lost for the same reason."""
    key, start = rows["id"][place].as_py().rpartition("-")[0], rows["start"][place].as_py()
    try:
        record = read_record(record_path(clips, key))
    except (OSError, ValueError):
        return None
    own = record.clips_table()
    row = own.filter(pc.equal(own["start"], start)).to_pylist()
    if row and row[0]["kept"]:  # dropped beside other videos
        pixels = _clip(clips, row[0]["shard"], row[0]["offset"])
        frames = None if pixels is None else _spread(pixels)
    else:
        codes, names = kinds(own["reason"])
        lost = {int(at) for at in own["start"].to_numpy()[codes == names.index(name)]} if name in names else set()
        seen = [one for one in record.glimpses if one in lost and (key, one) not in shown]
        start = seen[0] if seen else -1
        frames = _glimpse(clips, key, record.glimpses.index(start)) if seen else None
    if frames is None or (key, start) in shown:
        return None
    shown.add((key, start))
    return _Strip(frames, f"{name} | {_file(record.source)}, frame {start}")


def _glimpse(clips: Path, key: str, row: int) -> list[NDArray[np.uint8]] | None:
    picture = cv2.imread(str(glimpses_path(clips, key)))
    if picture is None:
        return None
    side = picture.shape[1] // FRAMES
    strip = picture[row * side : (row + 1) * side, :, ::-1]
    return [np.ascontiguousarray(strip[:, at : at + side]) for at in range(0, FRAMES * side, side)]


def _column(title: str, strips: Sequence[_Strip]) -> NDArray[np.uint8]:
    """Strips below each other, each above its caption."""
    width = FRAMES * (_SIDE + _GAP) - _GAP
    parts = [_text(title, _TITLE, width, 0.6)]
    for strip in strips:
        row = np.full((_SIDE, width, 3), _WHITE, np.uint8)
        for number, frame in enumerate(strip.frames):
            left = number * (_SIDE + _GAP)
            row[:, left : left + _SIDE] = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        parts += [row, _text(strip.caption, _CAPTION, width, 0.35)]
    if not strips:
        parts.append(_text("none", _CAPTION, width, 0.35))
    return np.concatenate(parts)


def _text(words: str, height: int, width: int, scale: float) -> NDArray[np.uint8]:
    """A line of words, cut where it is full; OpenCV's letters are ASCII."""
    line = np.full((height, width, 3), _WHITE, np.uint8)
    plain = words.encode("ascii", "replace").decode()
    while plain and cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > width:
        plain = plain[:-1]
    cv2.putText(line, plain, (0, height - 4), cv2.FONT_HERSHEY_SIMPLEX, scale, _BLACK, 1, cv2.LINE_AA)
    return line


def _beside(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = max(len(left), len(right))
    space = np.full((height, 4 * _GAP, 3), _WHITE, np.uint8)
    filled = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=_WHITE) for part in (left, right)]
    return np.concatenate([filled[0], space, filled[1]], axis=1)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture as PNG; the same pixels give the same bytes."""
    return bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())
