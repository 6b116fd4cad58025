"""What a clips folder holds, in numbers: counts by label, split and reason, durations, how motion was undone."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.table import Column, Table

from vgan.clips import manifest, shards
from vgan.progress import duration

__all__ = ["QUANTILES", "figures", "kind", "quantiles", "stats", "tables"]

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_NOT_FIGURES = {"fps"}


def stats(folder: Path) -> dict[str, Any]:
    """Numbers of a clips folder, ready for JSON.

    Raises:
        VganError: there is no manifest, or it is damaged.
    """
    table = manifest.read_table(folder)
    table = table.set_column(table.schema.get_field_index("reason"), "reason", kind(table["reason"]))
    videos = pc.equal(table["start"], -1)
    rows = table.filter(pc.invert(videos))
    kept = rows.filter(rows["kept"])
    frames = _frames(folder, kept)
    return {
        "videos": pc.count_distinct(table["source"]).as_py(),
        "videos_with_clips": pc.count_distinct(kept["source"]).as_py(),
        "videos_not_used_to_the_end": _counts(table.filter(videos)["reason"]),
        "candidates": rows.num_rows,
        "clips": {split: pc.sum(pc.equal(kept["split"], split), min_count=0).as_py() for split in ("train", "test")},
        "dropped": _counts(rows.filter(pc.invert(rows["kept"]))["reason"]),
        "labels": _labels(rows),
        "seconds": {
            "of_candidates": _seconds(rows, frames),  # each frame once
            "of_clips": _seconds(kept, frames),
            "of_clips_end_to_end": float(np.sum(frames / kept["fps"].to_numpy())) if kept.num_rows else 0.0,
        },
        "figures": {name: quantiles(values) for name, values in figures(kept).items()},
    }


def kind(reasons: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reasons without what follows a colon, which tells of one clip alone."""
    return pc.replace_substring_regex(reasons, "(?s): .*", "")


def figures(rows: pa.Table) -> dict[str, NDArray[np.float64]]:
    """What was measured of clips, by name, unknown values left out."""
    names = [column.name for column in manifest.SCHEMA if pa.types.is_floating(column.type)]
    found = {name: rows[name].to_numpy() for name in names if name not in _NOT_FIGURES}
    found["psnr_gain"] = found["psnr_after"] - found["psnr_before"]
    return {name: values[~np.isnan(values)] for name, values in found.items()}


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


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    counts = Counter({pair["values"]: pair["counts"] for pair in pc.value_counts(column).to_pylist()})
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _labels(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Videos, clips and dropped candidates of each label."""
    found: dict[str, dict[str, int]] = {}
    grouped = rows.group_by(["label", "split"]).aggregate([([], "count_all")]).to_pylist()
    videos = rows.group_by("label").aggregate([("source", "count_distinct")]).to_pylist()
    for row in sorted(videos, key=lambda row: row["label"]):
        found[row["label"]] = {"videos": row["source_count_distinct"], "train": 0, "test": 0, "dropped": 0}
    for row in grouped:
        found[row["label"]][row["split"] or "dropped"] = row["count_all"]
    for counts in found.values():
        counts["clips"] = counts["train"] + counts["test"]
    return found


def _frames(folder: Path, kept: pa.Table) -> int:
    """Frames of a clip; 0 where no shard can be read."""
    if not kept.num_rows:
        return 0
    try:
        with (folder / kept["shard"][0].as_py()).open("rb") as file:
            file.seek(kept["offset"][0].as_py() - shards.NPY_HEADER_BYTES)
            return shards.read_shape(file.read(shards.NPY_HEADER_BYTES))[0]
    except (OSError, ValueError):
        return 0


def _seconds(rows: pa.Table, frames: int) -> float:
    """Footage that windows of `frames` frames cover, each frame once."""
    if not rows.num_rows:
        return 0.0
    starts, fps = rows["start"].to_numpy(), rows["fps"].to_numpy()
    source = rows["source"].combine_chunks().dictionary_encode().indices.to_numpy()
    covered = np.full(len(starts), frames)
    same = source[1:] == source[:-1]
    covered[:-1][same] = np.minimum(frames, np.diff(starts)[same])
    return float(np.sum(covered / fps))
