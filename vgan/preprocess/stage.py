"""The stage `preprocess`: data/raw to data/clips, doing only what is new, one run at a time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from joblib import cpu_count

from vgan.atomic import remove_partial
from vgan.clips import manifest
from vgan.clips.checksums import SUMS, file_sha256, read_sums, write_sums
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess import overview, scenes
from vgan.preprocess.assemble import (
    Candidates,
    Video,
    choose_splits,
    drop_duplicates,
    groups_of,
    manifest_tables,
)
from vgan.preprocess.convert import video_key
from vgan.preprocess.digests import digests, index_path
from vgan.preprocess.engine import Job, LocalPool, Pool, run_jobs, workers_gone
from vgan.preprocess.records import SCHEMA, Record, load_record, read_record, record_path, write_record
from vgan.preprocess.sources import STILLS, Source, find_sources
from vgan.preprocess.stills import STILLS_FOLDER, convert_stills
from vgan.preprocess.summary import Summary
from vgan.preprocess.ticks import Tally, ticks_path, watched
from vgan.preprocess.wishes import Wish, applied, read_splits
from vgan.progress import Progress

__all__ = ["alone", "current_keys", "run"]

_CRASHED = "the worker reading it died (out of memory?)"
_LOOK_EVERY_S = 0.2


def run(params: PreprocessParams, raw: Path, clips: Path, *, workers: int) -> Summary:
    """Bring `clips` in line with the videos in `raw`; videos that have not changed are left alone.

    The folder that results depends on `raw`, `params`, this code and its libraries alone, not on `workers` (0: all
    cores), on earlier runs or on where one was killed.

    Raises:
        VganError: `raw` has neither videos nor pictures, or a bad splits.csv; the scene classifier cannot be used; more
            than `max_failed_share` of the videos failed; or no clip and no picture was kept. In the last two cases the
            manifest is there to be looked at.
    """
    started = time.monotonic()
    workers = workers or cpu_count()
    with alone(clips):
        remove_partial(clips)
        sources, stills, wishes, contents, keys = _inputs(params, raw, clips, workers)
        done = {key: record for key in keys if (record := load_record(clips, key)) is not None and record.lasting}
        new = [_job(source, key) for source, key in zip(sources, keys, strict=True) if key not in done]
        if new:
            scenes.load(params)  # one that cannot be used is told before any video is worked on
        done |= _convert_all(new, params, clips, workers)
        groups = groups_of([source.name for source in sources], contents, wishes)
        candidates = Candidates([Video(done[key], group) for key, group in zip(keys, groups, strict=True)])
        drop_duplicates(candidates, params)
        notes = choose_splits(candidates, wishes, params)
        manifest.write_tables(clips, manifest_tables(candidates))
        pictures = convert_stills(stills, wishes, params, clips, workers)
        _seal(clips, [done[key] for key in keys])
    records = [done[key] for key in keys]
    summary = Summary(
        videos=len(sources),
        new=len(new),
        failed=[(record.source, record.reason) for record in records if record.failed],
        damaged=[(record.source, record.reason) for record in records if record.reason and not record.failed],
        train=candidates.count("train"),
        test=candidates.count("test"),
        dropped=candidates.dropped(),
        seconds=time.monotonic() - started,
        notes=notes,
        stills=pictures,
    )
    _check(summary, params, clips)
    return summary


def current_keys(params: PreprocessParams, raw: Path, clips: Path, *, workers: int) -> list[str]:
    """The key of each video in `raw`: its clips are current if they are under that key. Raises VganError as `run`."""
    return _inputs(params, raw, clips, workers or cpu_count()).keys


class _Inputs(NamedTuple):
    """What lies in data/raw; all but `wishes` in order of name."""

    sources: list[Source]
    stills: list[Source]
    wishes: dict[str, Wish]
    contents: list[str]  # of the videos, as are the keys
    keys: list[str]


def _inputs(params: PreprocessParams, raw: Path, clips: Path, workers: int) -> _Inputs:
    sources, stills = find_sources(raw), find_sources(raw, STILLS)
    if not sources and not stills:
        raise VganError(f"expected videos in {raw}, found none: put some there or run `vgan demo-footage`")
    wishes = read_splits(raw, (source.name for source in chain(sources, stills)))
    sources, stills = applied(sources, wishes), applied(stills, wishes)
    contents = digests(sources, index_path(clips), workers)
    classifier = scenes.check(params)
    keys = [video_key(source, content, params, classifier) for source, content in zip(sources, contents, strict=True)]
    return _Inputs(sources, stills, wishes, contents, keys)


@contextmanager
def alone(clips: Path) -> Iterator[None]:
    """Hold the clips folder's lock, which lies beside it, so that no second run writes there."""
    clips.mkdir(parents=True, exist_ok=True)
    lock = FileLock(clips.parent / f".{clips.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another run is writing {clips}: waiting for it to end", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        if not workers_gone(clips):
            print(f"workers of a run that was cut off still write to {clips}: waiting for them", file=sys.stderr)
        while not workers_gone(clips):
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        lock.release()


def _convert_all(jobs: list[Job], params: PreprocessParams, clips: Path, workers: int) -> dict[str, Record]:
    """Convert videos in processes of their own; one that takes them down is named."""
    done: dict[str, Record] = {}
    if not jobs:
        return done
    with Progress("preprocess", len(jobs), "videos", weight=sum(max(job.size, 1) for job in jobs)) as progress:
        tally = Tally(progress)
        with watched(ticks_path(clips), tally.counted):
            for job, died in run_jobs(_pool(params, clips, min(workers, len(jobs))), jobs):
                if died:
                    write_record(clips, _dead(job))
                record = load_record(clips, job.key)
                if record is None:
                    raise VganError(f"a worker wrote {record_path(clips, job.key)}, but it cannot be read here")
                done[job.key] = record
                tally.ended(max(job.size, 1), record.kept, record.failed)
    return done


def _job(source: Source, key: str) -> Job:
    try:
        size = source.path.stat().st_size
    except OSError:
        size = -1
    return Job(replace(source, path=source.path.absolute()), key, size)


def _pool(params: PreprocessParams, clips: Path, workers: int) -> Pool:
    if params.engine == "local":
        return LocalPool(params, clips, workers)
    from vgan.preprocess.cluster import ClusterPool  # Dask is there for those who ask for it

    return ClusterPool(params, clips)


def _dead(job: Job) -> Record:
    source = job.source
    return Record(job.key, source.name, source.label, SCHEMA.empty_table(), _CRASHED, lasting=False)


def _seal(clips: Path, records: list[Record]) -> None:
    """Write the overview, delete whatever belongs to no video as it is now, and write the checksums of the rest."""
    try:
        known = read_sums(clips)
    except VganError:  # none yet
        known = {}
    sums = _sums(records) | overview.write(clips, known)
    sums[manifest.MANIFEST] = file_sha256(clips / manifest.MANIFEST)
    stills = clips / STILLS_FOLDER
    if stills.is_dir():
        found = _sums([read_record(path) for path in sorted((stills / "videos").glob("*.arrow"))])
        found[manifest.MANIFEST] = file_sha256(stills / manifest.MANIFEST)
        sums |= {f"{STILLS_FOLDER}/{name}": digest for name, digest in found.items()}
    for path in sorted(clips.rglob("*"), reverse=True):  # what is in a folder before the folder
        name = path.relative_to(clips).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in sums and name != SUMS:
            path.unlink()
    write_sums(clips, sums)


def _sums(records: list[Record]) -> dict[str, str]:
    own = {f"videos/{record.key}.arrow": record.sha256 for record in records}
    return own | {name: digest for record in records for name, digest in record.files().items()}


def _check(summary: Summary, params: PreprocessParams, clips: Path) -> None:
    """Raise VganError where the run as a whole is of no use."""
    named = "; ".join(f"{source}: {reason}" for source, reason in summary.failed[:5])
    if len(summary.failed) > params.max_failed_share * summary.videos:
        raise VganError(
            f"{len(summary.failed)} of {summary.videos} videos could not be used, more than "
            f"preprocess.max_failed_share = {params.max_failed_share:g} allows: {named}; mend or remove them"
        )
    stills = summary.stills
    if stills is not None and not summary.clips_kept and stills.failed > params.max_failed_share * stills.pictures:
        named = "; ".join(f"{source}: {reason}" for source, reason in stills.examples[:5])
        raise VganError(
            f"{stills.failed} of {stills.pictures} pictures could not be used, more than "
            f"preprocess.max_failed_share = {params.max_failed_share:g} allows: {named}; mend or remove them"
        )
    if summary.clips_kept == 0 and not (stills is not None and stills.kept):
        reasons = "; ".join(f"{count} dropped: {reason}" for reason, count in summary.dropped.most_common(3))
        raise VganError(
            f"no usable clip in {summary.videos} videos ({named or reasons}): add longer or steadier footage, lower "
            f"preprocess.frames ({params.frames}), or see the reasons in {clips / manifest.MANIFEST}"
        )
