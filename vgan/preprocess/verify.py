"""Whether a clips folder is whole: every file as it was written, every clip readable, the manifest what records say.

A record carries its own checksum and those of its shards, so that it can be told which of two files is wrong. Nothing
but the folder itself is needed, so one that DVC has pulled can be looked at without any footage.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from joblib import cpu_count

from vgan.clips import manifest
from vgan.clips.checksums import SUMS, file_sha256, read_sums
from vgan.clips.shards import NPY_HEADER_BYTES, read_shape
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import stage
from vgan.preprocess.records import Record, read_record, record_path
from vgan.preprocess.stills import STILLS_FOLDER
from vgan.preprocess.summary import Summary
from vgan.progress import Progress

__all__ = ["Problem", "find_problems", "repair"]

_SHOWN = 5  # rows named of a manifest that differs
# What the stage decides beside other videos; the rest of a row is its record's.
_DECIDED = {"group", "split", "kept", "reason", "shard", "offset"}


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file."""

    text: str  # a sentence that names the file
    key: str = ""  # of the video, or batch of stills, to make again; empty where its record and shards are whole


def find_problems(clips: Path, *, workers: int) -> list[Problem]:
    """Everything that is wrong with a clips folder; an empty list if nothing is.

    Raises:
        VganError: there is no such folder.
    """
    if not clips.is_dir():
        raise VganError(f"expected clips in {clips}, found none: run `vgan preprocess`, or `dvc pull` to get them")
    with stage.alone(clips):
        return _look(clips, workers or cpu_count())


def _look(clips: Path, workers: int) -> list[Problem]:
    problems: list[Problem] = []
    try:
        sums = read_sums(clips)
    except VganError as error:
        problems.append(Problem(str(error)))
        sums = {}
    files = sorted(path.relative_to(clips).as_posix() for path in clips.rglob("*") if path.is_file())
    there = [name for name in files if name != SUMS]
    if sums:
        problems += [Problem(f"{name} is missing", _key(name)) for name in sorted(sums.keys() - set(there))]
        problems += [Problem(f"{name} does not belong there") for name in there if name not in sums]
    digests = _digests(clips, there, workers)
    records, broken = _records(clips, there)
    problems += broken
    written = {name: digest for record in records for name, digest in record.files().items()}
    whole = {record_path(clips, record.key).relative_to(clips).as_posix() for record in records}
    for name in there:
        problems += _file_problems(name, digests[name], sums, written, whole)
    known = {record.key for record in records} | {problem.key for problem in problems}
    alone = [name for name in there if (key := _key(name)) and "/" not in key and key not in known]
    problems += [Problem(f"{name} has no record", _key(name)) for name in alone]
    for record in records:
        problems += _row_problems(clips, record, digests)
    problems += [Problem(text) for text in _manifest_problems(clips, records)]
    return list(dict.fromkeys(problems))


def repair(problems: Sequence[Problem], params: PreprocessParams, raw: Path, clips: Path, *, workers: int) -> Summary:
    """Make the videos of `problems` again and write anew what the stage puts together from all.

    Raises:
        VganError: more than that would be made, since footage, parameters or code are not those of the clips; or as
            `stage.run` does.
    """
    broken = {problem.key for problem in problems if problem.key}
    here = {path.stem for path in (clips / "videos").glob("*.arrow")}
    new = set(stage.current_keys(params, raw, clips, workers=workers)) - here - broken
    if new:
        raise VganError(
            f"{len(new)} videos of {raw} are not among those that {clips} was made of (footage, parameters or code "
            "have changed since): run `vgan preprocess`, which makes them and writes all else anew"
        )
    for key in broken:
        folder, _, own = key.rpartition("/")
        record_path(clips / folder, own).unlink(missing_ok=True)
    return stage.run(params, raw, clips, workers=workers)


def _key(name: str) -> str:
    """The key of the video that a file belongs to, if it does; of a batch of still pictures, behind their folder."""
    stills = f"{STILLS_FOLDER}/" if name.startswith(f"{STILLS_FOLDER}/") else ""
    folder, _, file = name.removeprefix(stills).rpartition("/")
    key = {"videos": file.split(".")[0], "shards": file.rpartition("-")[0]}.get(folder, "")
    return stills + key if key else ""


def _digests(clips: Path, names: Sequence[str], workers: int) -> dict[str, str]:
    total = sum((clips / name).stat().st_size for name in names)
    with Progress("verify", total, "B") as progress, ThreadPoolExecutor(max_workers=workers) as pool:

        def digest(name: str) -> str:
            try:
                return file_sha256(clips / name, progress.advance)
            except OSError:
                return ""

        return dict(zip(names, pool.map(digest, names), strict=True))


def _records(clips: Path, names: Sequence[str]) -> tuple[list[Record], list[Problem]]:
    """The records that can be believed, in order of source, and what is wrong with the others."""
    records: list[Record] = []
    problems = []
    for name in names:
        if name.startswith("videos/") and name.endswith(".arrow"):
            try:
                record = read_record(clips / name)
                if record_path(clips, record.key) != clips / name:
                    raise ValueError("it is another video's")
                records.append(record)
            except (OSError, ValueError) as error:
                problems.append(Problem(f"{name} is damaged: {error}", _key(name)))
    return sorted(records, key=lambda record: record.source), problems


def _file_problems(
    name: str, digest: str, sums: Mapping[str, str], written: Mapping[str, str], whole: set[str]
) -> Iterator[Problem]:
    if name in written and digest != written[name]:
        yield Problem(f"{name} is damaged: its checksum is not the one in its video's record", _key(name))
    elif name in sums and digest != sums[name]:
        proven = name in written or name in whole
        if proven:
            yield Problem(f"{SUMS} is damaged: its line for {name} does not fit a file that is whole")
        else:
            yield Problem(f"{name} is damaged: its checksum is not the one in {SUMS}", _key(name))


def _row_problems(clips: Path, record: Record, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Clips that cannot be read where the record says: shard by shard, the first one of each."""
    rows = record.clips_table().filter(record.table["kept"])
    places = defaultdict[str, list[int]](list)
    for name, offset in zip(rows["shard"].to_pylist(), rows["offset"].to_pylist(), strict=True):
        places[name].append(offset)
    for name in sorted(record.files().keys() - digests.keys()):
        yield Problem(f"{name} is missing", record.key)
    for shard in record.shards:
        if shard.name not in digests:
            continue
        offset = -1
        try:
            with (clips / shard.name).open("rb") as file:
                for offset in places[shard.name]:
                    file.seek(offset - NPY_HEADER_BYTES)
                    shape = read_shape(file.read(NPY_HEADER_BYTES))
                    if offset + int(np.prod(shape)) > shard.size:
                        raise ValueError("it is longer than its shard")
        except OSError as error:
            yield Problem(f"{shard.name} cannot be read: {error.strerror}", record.key)
        except ValueError as error:
            yield Problem(f"{shard.name} holds no readable clip at byte {offset}: {error}", record.key)


def _manifest_problems(clips: Path, records: Sequence[Record]) -> Iterator[str]:
    try:
        table = manifest.read_table(clips)
    except VganError as error:
        yield str(error)
        return
    videos = pc.equal(table["start"], -1)
    told = dict(zip(*(table.filter(videos)[name].to_pylist() for name in ("id", "reason")), strict=True))
    expected = {record.key: record.reason for record in records if record.reason}
    for key in sorted({key for key, _ in told.items() ^ expected.items()}):
        yield f"{manifest.MANIFEST} does not say of video {key} what its record does"
    rows = table.filter(pc.invert(videos))
    counts = [record.table.num_rows for record in records]
    if rows.num_rows != sum(counts):
        yield f"{manifest.MANIFEST} has {rows.num_rows} candidates, the records have {sum(counts)}"
        return
    first = 0
    for record, count in zip(records, counts, strict=True):
        wrong = _differing(rows.slice(first, count), record)
        first += count
        if wrong:
            named = ", ".join(wrong[:_SHOWN])
            yield f"{manifest.MANIFEST} differs from the record of {record.source} in {len(wrong)} rows: {named}"


def _differing(rows: pa.Table, record: Record) -> list[str]:
    """Ids of a video's rows in the manifest that its record does not bear out."""
    own = record.clips_table()
    fits = np.ones(rows.num_rows, bool)
    for name in manifest.SCHEMA.names:
        if name not in _DECIDED:
            fits &= _same(rows[name], own[name])
    kept, was_kept = rows["kept"].to_numpy(), own["kept"].to_numpy()
    for name in ("shard", "offset"):
        fits &= _same(rows[name], own[name]) | ~kept
    fits &= _same(rows["reason"], own["reason"]) | was_kept
    decided = _same(rows["reason"], pa.chunked_array([pa.repeat("", rows.num_rows)]))
    fits &= np.where(kept, was_kept & decided, ~was_kept | ~decided)
    fits &= _same(rows["split"], pa.chunked_array([pa.repeat("", rows.num_rows)])) != kept
    return [str(name) for name in own["id"].filter(pa.array(~fits)).to_pylist()]


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Any:
    """Where two columns are equal, NaN to NaN too."""
    equal = pc.equal(one, other).to_numpy()
    if pa.types.is_floating(one.type):
        equal = equal | (pc.is_nan(one).to_numpy() & pc.is_nan(other).to_numpy())
    return equal
