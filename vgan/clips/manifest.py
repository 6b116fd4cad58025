"""The manifest, `clips.parquet`: one row per candidate clip, kept or not, and one per video that could not be used.

Rows are in the order of `source`, then `start`; a video's own row has start -1. Columns are worked on as Arrow tables,
since there may be millions of rows; `ClipRow` says what the columns are, and serves where rows are few.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vgan.atomic import open_atomic
from vgan.errors import VganError

__all__ = ["MANIFEST", "SCHEMA", "ClipRow", "read", "read_table", "write", "write_tables"]

MANIFEST = "clips.parquet"
_UNKNOWN = float("nan")
_ROWS_PER_GROUP = 1 << 16  # of a Parquet file's row groups, which are what is held in memory while writing


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """One candidate clip, or (start -1) what is to be said of a whole video."""

    id: str  # <key>-<start>; the key stands for the video and all that shapes its clips
    source: str  # posix path below data/raw
    start: int = -1  # first frame, counted from the video's beginning or from start_s in splits.csv
    label: str = ""  # the folder that the video lies in, or what splits.csv says
    group: str = ""  # videos that belong together (docs/data.md says when they are never parted)
    split: str = ""  # train, test, or empty where not kept
    fps: float = _UNKNOWN
    shard: str = ""  # below the clips folder; empty where not kept
    offset: int = -1  # bytes from the shard's start to the clip's first pixel
    kept: bool = False
    reason: str = ""  # why not kept
    psnr_before: float = _UNKNOWN  # dB between neighbouring frames, at most 100
    psnr_after: float = _UNKNOWN  # the same once stabilised, where both frames show the scene
    reprojection_error: float = _UNKNOWN  # pixels at estimation size, mean over inliers
    inlier_share: float = _UNKNOWN  # of the matched points, the lowest of the clip's frames
    filled_share: float = _UNKNOWN  # of the pixels, taken from an earlier frame
    motion: float = _UNKNOWN  # share of moving pixels
    phash: str = ""  # 16 hex digits that copies of the clip share but for a few bits
    scene: str = ""  # category, where a classifier was asked


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_SHARED = ["source", "label", "group", "split", "shard", "reason"]  # texts that many rows have in common
SCHEMA = pa.schema([pa.field(field.name, _ARROW[field.type], nullable=False) for field in fields(ClipRow)])  # type: ignore[index]


def write(folder: Path, rows: Iterable[ClipRow]) -> None:
    """Write `folder`/clips.parquet, whole or not at all; the same rows give the same bytes."""
    ordered = sorted(rows, key=lambda row: (row.source, row.start))
    write_tables(folder, [pa.Table.from_pylist([asdict(row) for row in ordered], schema=SCHEMA)])


def write_tables(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Write the manifest from pieces of it, in order. However the rows are cut into pieces, the bytes are the same."""
    with (
        open_atomic(folder / MANIFEST) as file,
        pq.ParquetWriter(file, SCHEMA, compression="zstd", write_page_checksum=True) as writer,
    ):
        for group in _regrouped(tables):
            writer.write_table(group)


def _regrouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += table.num_rows
        if count < _ROWS_PER_GROUP:
            continue
        joined = pa.concat_tables(waiting)
        while count >= _ROWS_PER_GROUP:
            yield joined.slice(0, _ROWS_PER_GROUP)
            joined = joined.slice(_ROWS_PER_GROUP)
            count = joined.num_rows
        waiting = [joined]
    if count:
        yield pa.concat_tables(waiting)


def read_table(folder: Path, columns: Iterable[str] | None = None, *, coded: bool = False) -> pa.Table:
    """The manifest of a clips folder as a table, or some of its columns.

    Args:
        folder: the clips folder.
        columns: None for all.
        coded: whether texts that many rows share come as codes into a dictionary, which takes a tenth of the room.

    Raises:
        VganError: there is none, or it is no manifest of ours.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise VganError(f"expected clips in {folder}, found no {MANIFEST} there: run `vgan preprocess` first")
    try:
        if pq.read_schema(path).remove_metadata() != SCHEMA:
            raise VganError(f"{path} has other columns than this version's: run `vgan preprocess` again")
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=_SHARED if coded else None) as file:
            return file.read(None if columns is None else list(columns))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise VganError(f"{path} is damaged ({error}): delete it and run `vgan preprocess` again") from None


def read(folder: Path) -> list[ClipRow]:
    """The manifest's rows, for where they are few. Raises VganError as `read_table` does."""
    return [ClipRow(**row) for row in read_table(folder).to_pylist()]
