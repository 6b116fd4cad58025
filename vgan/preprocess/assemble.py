"""The records of all videos to the manifest: groups, what is dropped beside other videos, splits.

There may be millions of candidates, so everything here is columns: N candidates of all videos, in the manifest's order.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.store import MIN_CLIPS
from vgan.config import PreprocessParams
from vgan.preprocess.duplicates import find_duplicates
from vgan.preprocess.records import SCHEMA, Record
from vgan.preprocess.splits import GAP, SPLITS, split_by_group, split_by_time
from vgan.preprocess.wishes import Wish

__all__ = ["Candidates", "Video", "choose_splits", "drop_duplicates", "groups_of", "manifest_tables"]

_SHARED = "shares frames with test clips"
_DUPLICATE = "duplicate of an earlier clip"


@dataclass(frozen=True)
class Video:
    """A source's record and the group that it belongs to."""

    record: Record
    group: str


class Candidates:
    """All candidates of `videos` (which are in order of source) as columns of length N.

    `drop` takes away clips that their own video's worker had kept; `splits` is for `choose_splits` to fill.
    """

    def __init__(self, videos: Sequence[Video]) -> None:
        self.videos = videos
        counts = np.array([video.record.table.num_rows for video in videos], np.int64)
        self.first = np.r_[0, np.cumsum(counts)].astype(np.int64)  # of each video's rows, and N
        self.video = np.repeat(np.arange(len(videos), dtype=np.int32), counts)
        self.kept: NDArray[np.bool_] = self.column("kept").copy()
        self.splits = np.zeros(len(self.video), np.int8)  # places in `splits.SPLITS`
        self._original = np.full(len(self.video), -1, np.int64)  # candidate that a duplicate repeats
        self._reasons = [""]
        self._reason = np.zeros(len(self.video), np.int16)  # places in `_reasons`; 0: as recorded

    def __len__(self) -> int:
        return len(self.video)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the records, one that holds numbers."""
        none = np.empty(0, SCHEMA.field(name).type.to_pandas_dtype())
        return np.concatenate([none, *(video.record.table[name].to_numpy() for video in self.videos)])

    @cached_property
    def shot(self) -> NDArray[np.int64]:
        """A number for each shot of each video, ascending."""
        shot = self.column("shot").astype(np.int64)
        begins = np.ones(len(shot), np.int64)
        begins[1:] = (shot[1:] != shot[:-1]) | (self.video[1:] != self.video[:-1])
        return np.cumsum(begins)

    def drop(self, places: NDArray[np.bool_] | NDArray[np.int64], reason: str) -> None:
        """Keep the clips at `places` no longer."""
        self._reasons.append(reason)
        self._reason[places] = len(self._reasons) - 1
        self.kept[places] = False

    def drop_duplicates(self, places: NDArray[np.int64], originals: NDArray[np.int64]) -> None:
        """Keep the clips at `places` no longer, which repeat those at `originals`."""
        self.drop(places, _DUPLICATE)
        self._original[places] = originals

    def reason_of(self, number: int) -> pa.Array:
        """The reasons of video `number`'s candidates; a duplicate's names what it repeats."""
        originals = self._original[self.first[number] : self.first[number + 1]]
        reasons = self._kind_of(number)
        if (originals < 0).all():
            return reasons
        named = reasons.to_pylist()
        for row in np.flatnonzero(originals >= 0).tolist():
            named[row] += f": {self._place_of(int(originals[row]))}"
        return pa.array(named, pa.string())

    def _place_of(self, place: int) -> str:
        number = int(self.video[place])
        record = self.videos[number].record
        start = record.table["start"][place - int(self.first[number])]
        return f"{record.source}, frame {start}"

    def _kind_of(self, number: int) -> pa.Array:
        """As `reason_of`, but naming no clip."""
        rows = slice(self.first[number], self.first[number + 1])
        recorded = self.videos[number].record.table["reason"].combine_chunks()
        if not self._reason[rows].any():
            return recorded
        own = pa.array(self._reasons).take(pa.array(self._reason[rows]))
        return pc.if_else(pa.array(self._reason[rows] > 0), own, recorded)

    def count(self, split: str) -> int:
        """Number of clips of a split."""
        return int((self.splits == SPLITS.index(split)).sum())

    def dropped(self) -> Counter[str]:
        """How many candidates are not kept, by reason, duplicates together."""
        counts: Counter[str] = Counter()
        for number in range(len(self.videos)):
            for count in pc.value_counts(self._kind_of(number)).to_pylist():
                if count["values"]:
                    counts[count["values"]] += count["counts"]
        return counts


def groups_of(names: Sequence[str], contents: Sequence[str], wishes: Mapping[str, Wish]) -> list[str]:
    """Each source's group: splits.csv's, else its own name, or the first one's of the same content."""
    first: dict[str, str] = {}
    groups = []
    for name, content in zip(names, contents, strict=True):
        wish = wishes.get(name)
        wished = wish.group if wish is not None else ""
        groups.append(wished or (first.get(content, name) if content else name))  # unreadable ones have no content
        first.setdefault(content, groups[-1])
    return groups


def drop_duplicates(candidates: Candidates, params: PreprocessParams) -> None:
    """Drop kept clips that repeat an earlier one, before any split: no copy may be on both sides."""
    if params.duplicate_bits == "off":
        return
    places = np.flatnonzero(candidates.kept)
    text = "".join(candidates.column("phash")[places])
    hashes = np.frombuffer(bytes.fromhex(text), ">u8").astype(np.uint64)
    originals = find_duplicates(hashes, candidates.shot[places], int(params.duplicate_bits))
    again = originals >= 0
    candidates.drop_duplicates(places[again], places[originals[again]])


def choose_splits(candidates: Candidates, wishes: Mapping[str, Wish], params: PreprocessParams) -> list[str]:
    """Fill `candidates.splits`, drop what shares frames with test clips, and return what is to be said of it."""
    notes: list[str] = []
    videos = candidates.videos
    group_of = {video.record.source: video.group for video in videos}
    wished = {name: wish.split for name, wish in wishes.items() if wish.split and name in group_of}
    official = {group_of[name]: split for name, split in sorted(wished.items(), reverse=True)}
    # 0 where nothing is given, per video
    given = np.array(
        [
            SPLITS.index(wished.get(video.record.source) or official.get(video.group) or "")
            for video in videos
        ],
        np.int8,
    )  # fmt: skip
    kept = candidates.kept.copy()
    free = kept & (given[candidates.video] == 0)
    candidates.splits = np.where(kept, given[candidates.video], 0).astype(np.int8)
    groups = {videos[number].group for number in np.unique(candidates.video[kept]).tolist()}
    bound = groups if params.test_by == "video" else groups & _wished_together(videos, wishes)
    if bound and params.test_share > 0 and len(groups) == 1 and free.any():
        notes.append("all clips are of one video or group, so its end is held out for testing")
        bound = set()
    chosen = split_by_group(bound, {group: official[group] for group in official if group in bound}, params.test_share)
    of_video = np.array([SPLITS.index(chosen.get(video.group, "")) for video in videos], np.int8)
    whole = free & (of_video[candidates.video] > 0)
    candidates.splits[whole] = of_video[candidates.video[whole]]
    rest = free & ~whole
    starts = candidates.column("start").astype(np.int64)
    candidates.splits[rest] = split_by_time(candidates.shot[rest], starts[rest], params.frames, params.test_share)
    candidates.drop(rest & (candidates.splits == GAP), _SHARED)
    return notes + _shortages(candidates)


def _wished_together(videos: Sequence[Video], wishes: Mapping[str, Wish]) -> set[str]:
    """Groups that splits.csv makes of several videos."""
    counts = Counter(video.group for video in videos)
    return {wish.group for wish in wishes.values() if counts[wish.group] > 1}


def _shortages(candidates: Candidates) -> list[str]:
    """What is to be said of too few clips."""
    notes = []
    held_out = candidates.count("test")
    if candidates.kept.any() and not candidates.count("train"):
        notes.append("no clip is for training: lower preprocess.test_share or mend the splits in splits.csv")
    if candidates.kept.any() and held_out < MIN_CLIPS:
        notes.append(
            f"{held_out} clips are held out and judging a generator takes {MIN_CLIPS}, so `evaluate` will refuse: add "
            "footage, raise preprocess.test_share or lower preprocess.stride"
        )
    return notes


def manifest_tables(candidates: Candidates) -> Iterator[pa.Table]:
    """The manifest, a video at a time; one that failed or could be read in part only has a row of its own."""
    names = pa.array(SPLITS)
    for number, video in enumerate(candidates.videos):
        record = video.record
        if record.reason:
            row = ClipRow(
                id=record.key, source=record.source, label=record.label, group=video.group, reason=record.reason
            )
            yield pa.Table.from_pylist([vars(row)], schema=manifest.SCHEMA)
        rows = slice(candidates.first[number], candidates.first[number + 1])
        kept = candidates.kept[rows]
        table = record.clips_table(video.group)
        changed = {
            "split": names.take(pa.array(candidates.splits[rows])),
            "kept": pa.array(kept),
            "shard": pc.if_else(pa.array(kept), table["shard"], ""),
            "offset": pc.if_else(pa.array(kept), table["offset"], -1),
            "reason": candidates.reason_of(number),
        }
        columns = [changed[name] if name in changed else table[name] for name in manifest.SCHEMA.names]
        yield pa.table(columns, schema=manifest.SCHEMA)
