"""The stage `preprocess`: data/raw to data/clips, doing only what is new, one run at a time."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout
from joblib import Parallel, cpu_count, delayed

from vgan.atomic import remove_partial
from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.store import MIN_CLIPS
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess.convert import Converted, convert, load_record, record_path, ticks_path, video_key
from vgan.preprocess.sources import Source, Wish, digests, find_sources, read_splits
from vgan.preprocess.splits import GAP, Placed, split_by_group, split_by_time
from vgan.preprocess.summary import Summary
from vgan.preprocess.ticks import shown
from vgan.progress import Progress

__all__ = ["run"]

_SHARED = "shares frames with test clips"
_UNDER_WAY = 2  # videos per worker that are handed out ahead of time
_CRASHED = "the worker reading it died (out of memory?)"


def run(params: PreprocessParams, raw: Path, clips: Path, *, workers: int) -> Summary:
    """Bring `clips` in line with the videos in `raw`; videos that have not changed are left alone.

    The folder that results depends on `raw` and `params` alone, not on `workers` (0: all cores), on earlier runs or on
    where one was killed.

    Raises:
        VganError: `raw` has no videos or a bad splits.csv; more than `max_failed_share` of the videos failed; or no
            clip was kept. In the last two cases the manifest is there to be looked at.
    """
    started = time.monotonic()
    workers = workers or cpu_count()
    with _alone(clips):
        remove_partial(clips)
        sources = find_sources(raw)
        wishes = read_splits(raw, sources)
        contents = digests(sources, workers)
        keys = [video_key(source, content, params) for source, content in zip(sources, contents, strict=True)]
        done = {key: load_record(clips, key) for key in keys}
        new = [(source, key) for source, key in zip(sources, keys, strict=True) if done[key] is None]
        done |= _convert_all(new, params, clips, workers)
        converted = [result for key in keys if (result := done[key]) is not None]
        groups = _groups(sources, contents, wishes)
        rows, notes = _split(sources, converted, groups, wishes, params)
        rows += _video_rows(sources, keys, converted, groups)
        manifest.write(clips, rows)
        _remove_stale(clips, keys, {row.shard for result in converted for row in result.rows})
    results = [(source.name, result) for source, result in zip(sources, converted, strict=True)]
    summary = Summary(
        videos=len(sources),
        new=len(new),
        failed=[(name, result.reason) for name, result in results if result.failed],
        damaged=[(name, result.reason) for name, result in results if result.reason and not result.failed],
        train=sum(row.split == "train" for row in rows),
        test=sum(row.split == "test" for row in rows),
        dropped=Counter(row.reason for row in rows if row.start >= 0 and not row.kept),
        seconds=time.monotonic() - started,
        notes=notes,
    )
    _check(summary, params, clips)
    return summary


@contextmanager
def _alone(clips: Path) -> Iterator[None]:
    """Hold the clips folder's lock, which lies beside it, so that no second run writes there."""
    clips.mkdir(parents=True, exist_ok=True)
    lock = FileLock(clips.parent / f".{clips.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another run is writing {clips}: waiting for it to end", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _convert_all(
    new: list[tuple[Source, str]], params: PreprocessParams, clips: Path, workers: int
) -> dict[str, Converted | None]:
    """Convert videos in processes of their own; one that takes its process down is found and named."""
    done: dict[str, Converted | None] = {}
    if not new:
        return done
    kept = suspects = 0
    waiting = new
    with Progress("preprocess", len(new), "videos") as progress, shown(ticks_path(clips), progress):
        while waiting:
            # After a death, those that were under way are tried one by one, then the rest together again.
            batch = waiting[:1] if suspects else waiting
            suspects = max(0, suspects - 1)
            try:
                for key, result in _results(batch, params, clips, workers):
                    done[key] = result
                    kept += sum(row.kept for row in result.rows)
                    progress.advance(note=f"{kept} clips")
            except BrokenProcessPool:
                if len(batch) > 1:
                    suspects = _UNDER_WAY * workers
                else:
                    done[batch[0][1]] = Converted(rows=[], shots=[], reason=_CRASHED, lasting=False)
                    progress.advance(note=f"{kept} clips")
            waiting = [item for item in waiting if item[1] not in done]
    return done


def _results(
    batch: list[tuple[Source, str]], params: PreprocessParams, clips: Path, workers: int
) -> Iterator[tuple[str, Converted]]:
    parallel = Parallel(
        n_jobs=workers, batch_size=1, pre_dispatch=f"{_UNDER_WAY} * n_jobs", return_as="generator_unordered"
    )
    yield from parallel(delayed(_convert_one)(source, key, params, clips) for source, key in batch)


def _convert_one(source: Source, key: str, params: PreprocessParams, clips: Path) -> tuple[str, Converted]:
    return key, convert(source, key, params, clips)


def _groups(sources: list[Source], contents: list[str], wishes: Mapping[str, Wish]) -> dict[str, str]:
    """Each source's group: splits.csv's, else its own name, or the first one's of the same content."""
    first: dict[str, str] = {}
    groups = {}
    for source, content in zip(sources, contents, strict=True):
        wish = wishes.get(source.name)
        own = wish.group if wish is not None and wish.group else source.name
        groups[source.name] = own if wish is not None and wish.group else first.get(content, own)
        first.setdefault(content, groups[source.name])
    return groups


def _split(
    sources: list[Source],
    converted: list[Converted],
    groups: Mapping[str, str],
    wishes: Mapping[str, Wish],
    params: PreprocessParams,
) -> tuple[list[ClipRow], list[str]]:
    """All candidates with their groups and splits, and what is to be said of how they were chosen."""
    notes: list[str] = []
    rows = [replace(row, group=groups[row.source]) for result in converted for row in result.rows]
    shots = [shot for result in converted for shot in result.shots]
    wished = {name: wish.split for name, wish in wishes.items() if wish.split}
    official = {groups[name]: split for name, split in sorted(wished.items(), reverse=True)}
    kept = [index for index, row in enumerate(rows) if row.kept]
    free = [index for index in kept if rows[index].group not in official]
    by_group = params.test_by == "video"
    if by_group and params.test_share > 0 and len({rows[index].group for index in kept}) == 1 and free:
        notes.append("all clips are of one video or group, so its end is held out for testing (as with test_by: time)")
        by_group = False
    if by_group:
        chosen = split_by_group([rows[index].group for index in kept], official, params.test_share)
        splits = {index: chosen[rows[index].group] for index in free}
    else:
        placed = [Placed((rows[index].source, shots[index]), rows[index].start) for index in free]
        splits = dict(zip(free, split_by_time(placed, params.frames, params.test_share), strict=True))
    for index in kept:
        row = rows[index]
        split = wished.get(row.source) or official.get(row.group) or splits[index]
        rows[index] = (
            replace(row, kept=False, reason=_SHARED, shard="", offset=-1) if split == GAP else replace(row, split=split)
        )
    held_out = sum(row.split == "test" for row in rows)
    if kept and held_out < MIN_CLIPS:
        notes.append(
            f"{held_out} clips are held out and judging a generator takes {MIN_CLIPS}, so `evaluate` will refuse: add "
            "footage, raise preprocess.test_share or lower preprocess.stride"
        )
    return rows, notes


def _video_rows(
    sources: list[Source], keys: list[str], converted: list[Converted], groups: Mapping[str, str]
) -> list[ClipRow]:
    """A row of its own for each video that failed or could be read in part only."""
    return [
        ClipRow(id=key, source=source.name, label=source.label, group=groups[source.name], reason=result.reason)
        for source, key, result in zip(sources, keys, converted, strict=True)
        if result.reason
    ]


def _remove_stale(clips: Path, keys: list[str], shards: set[str]) -> None:
    """Delete shards and records that belong to no video as it is now."""
    records = {record_path(clips, key) for key in keys}
    for path in sorted((clips / "videos").glob("*.json")):
        if path not in records:
            path.unlink()
    for path in sorted((clips / "shards").glob("*.tar")):
        if path.relative_to(clips).as_posix() not in shards:
            path.unlink()


def _check(summary: Summary, params: PreprocessParams, clips: Path) -> None:
    """Raise VganError where the run as a whole is of no use."""
    named = "; ".join(f"{source}: {reason}" for source, reason in summary.failed[:5])
    if len(summary.failed) > params.max_failed_share * summary.videos:
        raise VganError(
            f"{len(summary.failed)} of {summary.videos} videos could not be used, more than "
            f"preprocess.max_failed_share = {params.max_failed_share:g} allows: {named}; mend or remove them"
        )
    if summary.clips_kept == 0:
        reasons = "; ".join(f"{count} dropped: {reason}" for reason, count in summary.dropped.most_common(3))
        raise VganError(
            f"no usable clip in {summary.videos} videos ({named or reasons}): add longer or steadier footage, lower "
            f"preprocess.frames ({params.frames}), or see the reasons in {clips / manifest.MANIFEST}"
        )
