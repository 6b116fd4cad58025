"""What a clips folder holds, in numbers: counts by label, split and reason, durations, how motion was undone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.table import Column, Table

from vgan.clips import manifest, shards
from vgan.progress import duration

__all__ = ["QUANTILES", "codes", "figures", "kinds", "quantiles", "stats", "tables"]

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_NOT_FIGURES = {"fps"}
_SIDES = ("train", "test")
_COLUMNS = ("source", "start", "label", "split", "fps", "shard", "offset", "kept", "reason")


def stats(folder: Path) -> dict[str, Any]:
    """Numbers of a clips folder, ready for JSON. A column at a time, since there may be millions of rows.

    Raises:
        VganError: there is no manifest, or it is damaged.
    """
    table = manifest.read_table(folder, _COLUMNS, coded=True)
    start, kept = table["start"].to_numpy(), table["kept"].to_numpy()
    window, fps = start >= 0, table["fps"].to_numpy()
    source, _ = codes(table["source"])
    split, splits = codes(table["split"])
    reason, reasons = kinds(table["reason"])
    frames = _frames(folder, table, kept)
    return {
        "videos": len(np.unique(source)),
        "videos_with_clips": len(np.unique(source[kept])),
        "videos_not_used_to_the_end": _counts(reason[~window], reasons),
        "candidates": int(window.sum()),
        "clips": {side: int((kept & (split == splits.index(side))).sum()) if side in splits else 0 for side in _SIDES},
        "dropped": _counts(reason[window & ~kept], reasons),
        "labels": _labels(table, source, window),
        "seconds": {
            "of_candidates": _seconds(source[window], start[window], fps[window], frames),  # each frame once
            "of_clips": _seconds(source[kept], start[kept], fps[kept], frames),
            "of_clips_end_to_end": float(np.sum(frames / fps[kept])),
        },
        "figures": {name: quantiles(values) for name, values in figures(folder)},
    }


def codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """A text column as numbers, and the text that each number stands for."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = coded.unify_dictionaries().combine_chunks()
    return whole.indices.to_numpy(), whole.dictionary.to_pylist()


def kinds(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """As `codes`, of reasons without what follows a colon, which tells of one clip alone."""
    places, texts = codes(column)
    names = sorted({text.split(": ")[0] for text in texts})
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[text.split(": ")[0]] for text in texts], np.int64)[places], names


def figures(folder: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What was measured of the kept clips, a name and its values in turn, unknown values left out."""
    kept = manifest.read_table(folder, ["kept"])["kept"].to_numpy()

    def values(name: str) -> NDArray[np.float64]:
        return np.asarray(manifest.read_table(folder, [name])[name].to_numpy()[kept])

    for column in manifest.SCHEMA:
        if pa.types.is_floating(column.type) and column.name not in _NOT_FIGURES:
            yield column.name, _known(values(column.name))
    yield "psnr_gain", _known(values("psnr_after") - values("psnr_before"))


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Count, mean and `QUANTILES` (as p0, p5, ... p100); only the count if there is nothing."""
    if not len(values):
        return {"count": 0}
    found = np.quantile(values, QUANTILES)
    named = {f"p{share * 100:g}": float(value) for share, value in zip(QUANTILES, found, strict=True)}
    return {"count": len(values), "mean": float(values.mean())} | named


def tables(found: dict[str, Any]) -> list[Table]:
    """What `stats` gives, as tables for a terminal."""
    seconds, clips = found["seconds"], found["clips"]
    counts = _table("clips", "", "number")
    counts.add_row("videos", f"{found['videos']:,}")
    counts.add_row("videos with clips", f"{found['videos_with_clips']:,}")
    counts.add_row("candidates", f"{found['candidates']:,}")
    for split, count in clips.items():
        counts.add_row(f"clips, {split}", f"{count:,}")
    counts.add_row("footage in candidates", duration(seconds["of_candidates"]))
    counts.add_row("footage in clips", duration(seconds["of_clips"]))
    counts.add_row("clips end to end", duration(seconds["of_clips_end_to_end"]))
    labels = _table("labels", "label", "videos", "train", "test", "dropped")
    for label, row in found["labels"].items():
        labels.add_row(label or "-", *(f"{row[name]:,}" for name in ("videos", "train", "test", "dropped")))
    reasons = _table("dropped", "reason", "candidates")
    for reason, count in found["dropped"].items():
        reasons.add_row(reason, f"{count:,}")
    videos = _table("videos not used to their end", "reason", "videos")
    for reason, count in found["videos_not_used_to_the_end"].items():
        videos.add_row(reason, f"{count:,}")
    names = [f"p{share * 100:g}" for share in QUANTILES]
    measured = _table("what was measured of the clips (quantiles)", "figure", "mean", *names)
    for name, row in found["figures"].items():
        if row["count"]:
            measured.add_row(name, *(f"{row[column]:.3f}" for column in ("mean", *names)))
    return [table for table in (counts, labels, reasons, videos, measured) if table.row_count]


def _table(title: str, first: str, *numbers: str) -> Table:
    return Table(first, *(Column(name, justify="right") for name in numbers), title=title, title_justify="left")


def _counts(places: NDArray[np.int64], names: list[str]) -> dict[str, int]:
    """How often each name comes, the most frequent first."""
    counts = np.bincount(places, minlength=len(names)).tolist()
    found = [(name, count) for name, count in zip(names, counts, strict=True) if count]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _labels(table: pa.Table, source: NDArray[np.int32], window: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """Videos, clips and dropped candidates of each label."""
    label, labels = codes(table["label"])
    split, splits = codes(table["split"])
    pairs = np.unique(np.stack([label[window].astype(np.int64), source[window]]), axis=1)[0]
    videos = np.bincount(pairs, minlength=len(labels))
    counts = {
        side: np.bincount(label[window & (split == place)], minlength=len(labels)) for place, side in enumerate(splits)
    }
    none = np.zeros(len(labels), np.int64)
    found = {}
    for name, place in sorted((name, place) for place, name in enumerate(labels) if videos[place]):
        train, test, dropped = (int(counts.get(side, none)[place]) for side in ("train", "test", ""))
        found[name] = {"videos": int(videos[place]), "train": train, "test": test, "dropped": dropped}
        found[name]["clips"] = train + test
    return found


def _frames(folder: Path, table: pa.Table, kept: NDArray[np.bool_]) -> int:
    """Frames of a clip; 0 where no shard can be read."""
    if not kept.any():
        return 0
    place = int(np.argmax(kept))
    try:
        with (folder / table["shard"][place].as_py()).open("rb") as file:
            file.seek(table["offset"][place].as_py() - shards.NPY_HEADER_BYTES)
            return shards.read_shape(file.read(shards.NPY_HEADER_BYTES))[0]
    except (OSError, ValueError):
        return 0


def _seconds(source: NDArray[np.int32], start: NDArray[np.int64], fps: NDArray[np.float64], frames: int) -> float:
    """Footage that windows of `frames` frames cover, each frame once."""
    covered = np.full(len(start), frames)
    same = source[1:] == source[:-1]
    covered[:-1][same] = np.minimum(frames, np.diff(start)[same])
    return float(np.sum(covered / fps))
