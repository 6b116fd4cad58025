"""Still pictures to a clip store of their own, for the models that are conditioned on a picture.

`<clips>/stills` is built as the clips folder is, with clips of one frame, so `ClipStore(clips / STILLS_FOLDER)` reads
it. There may be millions of pictures: those of a folder are worked on in batches, chosen by the hash of their names, so
that a changed picture re-makes its batch and no other.
"""

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import cv2
import pyarrow as pa
import pyarrow.compute as pc

from vgan import video
from vgan.clips import manifest, shards
from vgan.clips.shards import ShardFile, ShardWriter
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import stabilize
from vgan.preprocess.assemble import groups_of
from vgan.preprocess.digests import digests, index_path
from vgan.preprocess.engine import Job, LocalPool, run_jobs, writing
from vgan.preprocess.records import SCHEMA, Record, RowBuffer, load_record, record_path, write_record
from vgan.preprocess.sources import Source
from vgan.preprocess.splits import split_by_group
from vgan.preprocess.stabilize import Geometry
from vgan.preprocess.wishes import Wish
from vgan.progress import Progress

__all__ = ["STILLS_FOLDER", "StillCounts", "convert_stills"]

STILLS_FOLDER = "stills"
_PER_BATCH = 1024  # at most, on average
_NAMED = 10
_CRASHED = "the worker reading it and others died (out of memory?)"


@dataclass(frozen=True)
class StillCounts:
    """What came of the pictures."""

    pictures: int
    new: int  # in batches that were worked on
    train: int
    test: int
    failed: int
    examples: list[tuple[str, str]]  # source and reason of some that failed

    @property
    def kept(self) -> int:
        """Pictures for training and for testing."""
        return self.train + self.test


@dataclass(frozen=True)
class _Batch:
    key: str
    numbers: list[int]  # of its pictures among all


def convert_stills(
    stills: Sequence[Source], wishes: Mapping[str, Wish], params: PreprocessParams, clips: Path, workers: int
) -> StillCounts | None:
    """Bring `clips`/stills in line with the pictures (in order of name); None, and no such folder, if there are none.

    Splits are those of splits.csv, else whole groups are held out by the hash of their name; a picture's group is
    itself, and pictures of the same content are of one group.

    Raises:
        VganError: what a worker wrote cannot be read.
    """
    folder, index = clips / STILLS_FOLDER, index_path(clips).with_suffix(f".{STILLS_FOLDER}")
    if not stills:
        shutil.rmtree(folder, ignore_errors=True)
        index.unlink(missing_ok=True)
        return None
    contents = digests(stills, index, workers)
    batches = list(_batches(stills, contents, params))
    records = {batch.key: record for batch in batches if (record := load_record(folder, batch.key)) and record.lasting}
    waiting = [batch for batch in batches if batch.key not in records]
    jobs = [_job(batch.key, tuple(stills[n] for n in batch.numbers)) for batch in waiting]
    _convert_all(jobs, params, clips, workers)
    for batch in waiting:
        record = load_record(folder, batch.key)
        if record is None:
            raise VganError(f"a worker wrote {record_path(folder, batch.key)}, but it is not there to be read")
        records[batch.key] = record
    groups = groups_of([still.name for still in stills], contents, wishes)
    table = _table(stills, batches, records, groups)
    table = _with_splits(table, wishes, params.test_share)
    manifest.write_tables(folder, [table])
    _remove_stale(folder, [records[batch.key] for batch in batches])
    return _counts(table, sum(len(batch.numbers) for batch in waiting))


def _batches(stills: Sequence[Source], contents: Sequence[str], params: PreprocessParams) -> Iterator[_Batch]:
    """The pictures of each folder in as many parts as make `_PER_BATCH` or fewer, a power of two of them.

    So a folder that grows is cut anew only when it has doubled.
    """
    folders: dict[str, list[int]] = defaultdict(list)
    for number, still in enumerate(stills):
        folders[PurePosixPath(still.name).parent.as_posix()].append(number)
    for folder in sorted(folders):
        count = 1
        while count * _PER_BATCH < len(folders[folder]):
            count *= 2
        parts: dict[int, list[int]] = defaultdict(list)
        for number in folders[folder]:
            place = int.from_bytes(hashlib.sha256(stills[number].name.encode()).digest()[:8], "big")
            parts[place % count].append(number)
        for part in sorted(parts):
            known = [[stills[n].name, stills[n].label, contents[n]] for n in parts[part]]
            text = json.dumps([params.size, _code_digest(), known])
            yield _Batch(hashlib.sha256(text.encode()).hexdigest()[:16], parts[part])


@cache
def _code_digest() -> str:
    modules = (Path(__file__), Path(stabilize.__file__), Path(shards.__file__))
    files = [*modules, *sorted(Path(video.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _job(key: str, pictures: tuple[Source, ...]) -> Job:
    return Job(pictures[0], key, len(pictures), pictures)


def _convert_all(jobs: Sequence[Job], params: PreprocessParams, clips: Path, workers: int) -> None:
    """Convert batches in processes of their own; the pictures of one that takes them down are named."""
    if not jobs:
        return
    pool = LocalPool(params, clips, min(workers, len(jobs)), _convert_batch)
    with Progress("stills", sum(job.size for job in jobs), "pictures") as progress:
        for job, died in run_jobs(pool, jobs):
            if died:
                _write_dead(job, clips / STILLS_FOLDER)
            progress.advance(job.size)


def _convert_batch(job: Job, params: PreprocessParams, clips: Path) -> None:
    """Write the pictures of a batch to shards, and its record."""
    with writing(clips):
        _write_batch(job.key, job.pictures, params, clips / STILLS_FOLDER)


def _write_dead(job: Job, folder: Path) -> None:
    """Write the record of a batch whose worker died each time: the next run tries it again."""
    rows = RowBuffer()
    for number in range(len(job.pictures)):
        rows.add(**dict(_BLANK, start=number, shot=0, reason=_CRASHED))
    write_record(folder, _record(job.key, job.pictures, rows, lasting=False, files=[]))


def _record(key: str, stills: Sequence[Source], rows: RowBuffer, *, lasting: bool, files: list[ShardFile]) -> Record:
    parent = PurePosixPath(stills[0].name).parent.as_posix()
    return Record(key, parent, "", rows.table(), "", lasting, files)


def _write_batch(key: str, stills: Sequence[Source], params: PreprocessParams, folder: Path) -> None:
    cv2.setNumThreads(1)
    rows = RowBuffer()
    lasting = True
    with ShardWriter(folder, key) as writer:
        for number, still in enumerate(stills):
            row = dict(_BLANK, start=number, shot=0)
            try:
                picture = video.read_picture(still.path, short_side=2 * params.size, timeout_s=params.timeout_s)
                geometry = Geometry.of((picture.shape[1], picture.shape[0]), params.size)
                pixels = geometry.finish(geometry.crop(geometry.shrink(picture)))[None]
                about: dict[str, object] = {"source": still.name, "label": still.label}
                _, offset = writer.add(f"{key}-{number:06d}", pixels, about)
                row |= {"kept": True, "shard": len(writer.files), "offset": offset}
            except video.UnusableVideo as error:
                row["reason"] = error.reason
                lasting = lasting and error.lasting
            except cv2.error as error:
                row["reason"] = f"OpenCV cannot work on it: {' '.join(str(error).split())[:200]}"
            rows.add(**row)
    write_record(folder, _record(key, stills, rows, lasting=lasting, files=writer.files))


def _blank(column: pa.Field) -> object:
    if pa.types.is_floating(column.type):
        return float("nan")
    if pa.types.is_signed_integer(column.type):
        return -1
    if pa.types.is_unsigned_integer(column.type):
        return 0
    return False if pa.types.is_boolean(column.type) else ""


_BLANK = {column.name: _blank(column) for column in SCHEMA}


def _table(
    stills: Sequence[Source], batches: Sequence[_Batch], records: Mapping[str, Record], groups: Sequence[str]
) -> pa.Table:
    """The manifest, splits empty, in order of source."""
    parts = []
    for batch in batches:
        table = records[batch.key].clips_table()
        own = {
            "source": pa.array([stills[n].name for n in batch.numbers]),
            "label": pa.array([stills[n].label for n in batch.numbers]),
            "group": pa.array([groups[n] for n in batch.numbers]),
            "start": pa.repeat(pa.scalar(0, manifest.SCHEMA.field("start").type), len(batch.numbers)),
        }
        columns = [own[name] if name in own else table[name] for name in manifest.SCHEMA.names]
        parts.append(pa.table(columns, schema=manifest.SCHEMA))
    return pa.concat_tables(parts).sort_by("source").combine_chunks()


def _with_splits(table: pa.Table, wishes: Mapping[str, Wish], share: float) -> pa.Table:
    sources, groups, kept = (table[name].to_pylist() for name in ("source", "group", "kept"))
    wished = [wish.split if (wish := wishes.get(source)) is not None else "" for source in sources]
    official: dict[str, str] = {}
    for group, split in zip(groups, wished, strict=True):
        if split:
            official.setdefault(group, split)
    chosen = split_by_group((group for group, keep in zip(groups, kept, strict=True) if keep), official, share)
    splits = [
        (split or chosen[group]) if keep else ""
        for split, group, keep in zip(wished, groups, kept, strict=True)
    ]  # fmt: skip
    return table.set_column(table.schema.get_field_index("split"), manifest.SCHEMA.field("split"), pa.array(splits))


def _remove_stale(folder: Path, records: Sequence[Record]) -> None:
    current = {record_path(folder, record.key) for record in records}
    current |= {folder / shard.name for record in records for shard in record.shards}
    for place in ("shards", "videos"):
        for path in sorted((folder / place).glob("*")):
            if path not in current:
                path.unlink()


def _counts(table: pa.Table, new: int) -> StillCounts:
    failed = table.filter(pc.invert(table["kept"]))
    examples = failed.select(["source", "reason"]).slice(0, _NAMED).to_pylist()
    return StillCounts(
        pictures=table.num_rows,
        new=new,
        train=int(pc.sum(pc.equal(table["split"], "train")).as_py()),
        test=int(pc.sum(pc.equal(table["split"], "test")).as_py()),
        failed=failed.num_rows,
        examples=[(one["source"], one["reason"]) for one in examples],
    )
