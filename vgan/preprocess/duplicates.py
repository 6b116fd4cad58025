"""Clips that show the same thing: a perceptual hash, and which clips repeat an earlier one."""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["HASH_BITS", "find_duplicates"]

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

HASH_BITS = 64

_BLOCK = 4096  # clips that are compared with each other pair by pair
_PAIRS = 1 << 22  # looked at in one go: bounds the memory
_NONE = np.iinfo(np.int64).max
_LOOKUP = 10  # costs as much as comparing so many pairs
_WIDEST = 22  # bits of a band: its table has an entry for each value


def find_duplicates(hashes: Hashes, shots: Indices, bits: int) -> Indices:
    """For each clip the first earlier clip that it duplicates, or -1: those are the clips to keep.

    A clip duplicates an earlier one that is kept itself, is of another shot, and whose hash differs in at most `bits`
    bits. Windows of one shot overlap by design and are never duplicates of each other. So what a clip duplicates
    depends on earlier clips alone.

    Kept clips are found by multi-index hashing (Norouzi, Punjani and Fleet 2012, https://arxiv.org/abs/1307.2982): of
    `m` bands of a hash, one at least differs in no more than bits / m bits, so looking up the near values of each
    misses none.

    Args:
        hashes: uint64 N.
        shots: int64 N, the same number for clips of one shot, which stand together.
        bits: of the 64 that may differ.
    """
    found = np.full(len(hashes), -1, np.int64)
    kept = _Kept(len(hashes), bits)
    for start, end in _blocks(shots):
        distinct, places = np.unique(hashes[start:end], return_inverse=True)
        first = kept.first(distinct)[places]
        known = first != _NONE
        found[start:end][known] = first[known]
        # Not of a shot seen before: a block holds its shots whole.
        new = start + np.flatnonzero(~known)
        found[new] = _among_themselves(hashes[new], shots[new], bits, new)
        new = new[found[new] < 0]
        kept.add(hashes[new], new)
    return found


def _blocks(shots: Indices) -> list[tuple[int, int]]:
    """Ranges of whole shots, of about `_BLOCK` clips each; a longer shot has one of its own."""
    ends = [*(np.flatnonzero(np.diff(shots)) + 1).tolist(), len(shots)] if len(shots) else []
    blocks, start, last = [], 0, 0
    for end in ends:
        if end - start > _BLOCK and last > start:
            blocks.append((start, last))
            start = last
        last = end
    return [*blocks, (start, last)] if last > start else blocks


def _among_themselves(hashes: Hashes, shots: Indices, bits: int, names: Indices) -> Indices:
    """As `find_duplicates`, clips called `names`, by comparing all pairs."""
    found = np.full(len(hashes), -1, np.int64)
    if len(hashes) == 0 or shots[0] == shots[-1]:
        return found
    rows = max(1, _PAIRS // len(hashes))
    for start in range(0, len(hashes), rows):
        some = slice(start, start + rows)
        alike = _distance(hashes[some, None], hashes[None]) <= bits
        alike &= shots[some, None] > shots[None]  # earlier, and of another shot
        for row in np.flatnonzero(alike.any(1)).tolist():
            earlier = np.flatnonzero(alike[row])
            earlier = earlier[found[earlier] < 0]
            if len(earlier):
                found[start + row] = names[earlier[0]]
    return found


def _distance(one: Hashes, two: Hashes) -> NDArray[np.uint8]:
    """Bits in which hashes differ."""
    count: NDArray[np.uint8] = np.bitwise_count(one ^ two)
    return count


@dataclass(frozen=True)
class _Band:
    """Some bits of a hash, and how many of them may differ."""

    shift: int
    width: int
    radius: int

    def of(self, hashes: Hashes) -> Indices:
        """The band's bits as numbers."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)).astype(np.int64)

    def near(self) -> list[int]:
        """What to flip in a band's value for all values that are near enough."""
        values = np.arange(1 << self.width)
        near: list[int] = np.flatnonzero(np.bitwise_count(values) <= self.radius).tolist()
        return near


def _bands(count: int, bits: int) -> list[_Band]:
    """The cheapest way to cut hashes into bands, for `count` clips; none where comparing all pairs is cheaper."""
    best: list[_Band] = []
    least = float(count)
    for number in range(-(-HASH_BITS // _WIDEST), 17):
        bands, shift = [], 0
        for place in range(number):
            width = HASH_BITS // number + (place < HASH_BITS % number)
            # If the first `bits % number` + 1 bands all differed in more than bits // number bits and the rest in as
            # many at least, more than `bits` would differ.
            radius = bits // number - (place > bits % number)
            if radius >= 0:
                bands.append(_Band(shift, width, radius))
            shift += width
        lookups = [sum(comb(band.width, flips) for flips in range(band.radius + 1)) for band in bands]
        cost = sum(
            n * (_LOOKUP + count / 2**band.width) + 2**band.width / _BLOCK  # a table is counted anew for every block
            for n, band in zip(lookups, bands, strict=True)
        )
        if cost < least:
            best, least = bands, cost
    return best


class _Kept:
    """The clips kept so far, found by their hashes."""

    def __init__(self, count: int, bits: int) -> None:
        self._bits = bits
        self._tables = [_Table(band) for band in _bands(count, bits)]
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._clips: Indices = np.empty(0, np.int64)

    def add(self, hashes: Hashes, clips: Indices) -> None:
        """Keep clips, all later than those that are kept."""
        for table in self._tables:
            table.add(table.band.of(hashes), np.arange(len(hashes)) + len(self._hashes))
        self._hashes = np.concatenate([self._hashes, hashes])
        self._clips = np.concatenate([self._clips, clips])

    def first(self, hashes: Hashes) -> Indices:
        """The first kept clip alike each hash; `_NONE` where there is none."""
        places = np.full(len(hashes), _NONE, np.int64)
        if not self._tables:
            everywhere = np.zeros(len(hashes), np.int64)
            self._look(hashes, places, everywhere, everywhere + len(self._hashes), np.arange(len(self._hashes)))
        for table in self._tables:
            values = table.band.of(hashes)
            for flip in table.near:
                near = values ^ flip
                self._look(hashes, places, table.starts[near], table.starts[near + 1], table.members)
        none = places == _NONE
        places[~none] = self._clips[places[~none]]
        return places

    def _look(self, hashes: Hashes, places: Indices, starts: Indices, ends: Indices, members: Indices) -> None:
        """Lower `places` to the first of members[starts:ends] alike each hash."""
        some = np.flatnonzero(ends > starts)
        totals = np.cumsum(ends[some] - starts[some])
        while len(some):
            many = max(1, int(np.searchsorted(totals, _PAIRS, "right")))
            now, some = some[:many], some[many:]
            lengths = ends[now] - starts[now]
            totals = totals[many:] - totals[many - 1]
            owners = np.repeat(now, lengths)
            within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            candidates = members[starts[owners] + within]
            alike = _distance(hashes[owners], self._hashes[candidates]) <= self._bits
            np.minimum.at(places, owners[alike], candidates[alike])


class _Table:
    """Kept clips by the value of one band: those of a value are members[starts[value]:starts[value + 1]]."""

    def __init__(self, band: _Band) -> None:
        self.band = band
        self.near = band.near()
        self.members: Indices = np.empty(0, np.int64)
        self.starts: Indices = np.zeros((1 << band.width) + 1, np.int64)

    def add(self, values: Indices, members: Indices) -> None:
        """Add clips with a band's values."""
        order = np.argsort(values, kind="stable")
        self.members = np.insert(self.members, self.starts[values[order] + 1], members[order])
        counts = np.bincount(values, minlength=len(self.starts) - 1)
        self.starts[1:] += np.cumsum(counts)
