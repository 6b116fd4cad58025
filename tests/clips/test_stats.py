"""Numbers of a clips folder against a count by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.clips.test_store import lay_clips
from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.stats import quantiles, stats, tables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six clips of a.mp4 and three of b.mp4, of 16 frames; each begins 4 frames after the one before."""
    lay_clips(tmp_path, {"a": 6, "b": 3})
    rows = [
        replace(row, start=4 * row.start, psnr_before=20.0, psnr_after=20.0 + row.start) if row.kept else row
        for row in manifest.read(tmp_path)
    ]
    lost = [
        ClipRow(
            id="a-90", source="a", start=90, label="a", fps=25.0, reason="duplicate of an earlier clip: b, frame 0"
        ),
        ClipRow(
            id="a-91", source="a", start=91, label="a", fps=25.0, reason="duplicate of an earlier clip: b, frame 4"
        ),
    ]
    manifest.write(tmp_path, [*rows, *lost])
    return tmp_path


def test_counts_and_durations_are_those_by_hand(folder: Path) -> None:
    found = stats(folder)
    assert json.loads(json.dumps(found)) == found
    assert (found["videos"], found["videos_with_clips"], found["candidates"]) == (3, 2, 11)
    assert found["clips"] == {"train": 6, "test": 3}
    assert found["dropped"] == {"duplicate of an earlier clip": 2}
    assert found["videos_not_used_to_the_end"] == {"empty file (0 bytes)": 1}
    assert found["labels"] == {
        "a": {"videos": 1, "train": 4, "test": 2, "dropped": 2, "clips": 6},
        "b": {"videos": 1, "train": 2, "test": 1, "dropped": 0, "clips": 3},
    }
    seconds = found["seconds"]
    assert seconds["of_clips"] == pytest.approx((5 * 4 + 16) / 25 + (2 * 4 + 16) / 10)
    assert seconds["of_candidates"] == pytest.approx((5 * 4 + 16 + 1 + 16) / 25 + (2 * 4 + 16) / 10)
    assert seconds["of_clips_end_to_end"] == pytest.approx(6 * 16 / 25 + 3 * 16 / 10)
    gain = found["figures"]["psnr_gain"]
    assert (gain["count"], gain["p0"], gain["p50"], gain["p100"]) == (9, 0.0, 2.0, 5.0)
    assert found["figures"]["filled_share"] == {"count": 0}


def test_quantiles_are_numpys() -> None:
    values = np.random.default_rng(0).normal(size=101)
    found = quantiles(values)
    assert found["p5"] == np.quantile(values, 0.05) and found["p100"] == values.max() and found["mean"] == values.mean()
    assert quantiles(values[:0]) == {"count": 0}


def test_tables_show_the_numbers(folder: Path) -> None:
    console = Console(width=120)
    with console.capture() as said:
        for table in tables(stats(folder)):
            console.print(table)
    text = said.get()
    for word in ("labels", "duplicate of an earlier clip", "psnr_gain", "p95", "empty file (0 bytes)", "0:04"):
        assert word in text


def test_a_folder_without_a_clip_has_numbers_too(tmp_path: Path) -> None:
    manifest.write(tmp_path, [ClipRow(id="x", source="x.mp4", reason="empty file (0 bytes)")])
    found = stats(tmp_path)
    assert found["clips"] == {"train": 0, "test": 0} and found["seconds"]["of_clips"] == 0.0
    assert tables(found)
