"""Which clips are for training and which are held out, so that no frame is in both and no group that must not be."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAP", "SPLITS", "TEST", "TRAIN", "split_by_group", "split_by_time"]

SPLITS = ("", "train", "test")  # as the manifest names them; arrays hold their places here
GAP, TRAIN, TEST = range(3)  # GAP, neither: the clip shares frames with both


def split_by_group(groups: Iterable[str], official: Mapping[str, str], share: float) -> dict[str, str]:
    """Choose train or test for whole groups, about `share` of them test.

    A group's place follows from its name alone, so that new videos do not move old ones. With two groups or more there
    is at least one of each.

    Args:
        groups: names of all groups.
        official: groups whose split is given.
        share: of the groups to be test; 0 holds out none.
    """
    ranked = sorted((_place(group), group) for group in set(groups) if group not in official)
    splits = {group: "test" if place < share else "train" for place, group in ranked} | dict(official)
    if share == 0 or not ranked:
        return splits
    chosen = set(splits.values())
    if "test" not in chosen and len(splits) > 1:
        splits[ranked[0][1]] = "test"
    if "train" not in chosen and len(splits) > 1:
        splits[ranked[-1][1]] = "train"
    return splits


def _place(group: str) -> float:
    """A number in [0, 1) that depends on the name only."""
    digest = hashlib.sha256(group.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_by_time(
    shots: NDArray[np.integer], starts: NDArray[np.integer], frames: int, share: float
) -> NDArray[np.int8]:
    """Hold out the end of each shot: `TEST`, `TRAIN`, or `GAP` for clips that share frames with test clips.

    A shot that would lose more clips to the gap than remain for training is left whole, for training. If that leaves no
    test clip at all, whole shots are held out instead, the last ones; a lone shot is split as long as one train clip
    remains.

    Args:
        shots: each clip's shot, a number that only clips of that shot have; in ascending order.
        starts: each clip's first frame; in ascending order within a shot.
        frames: of a clip.
        share: of each shot's clips to be test.
    """
    splits = np.full(len(shots), TRAIN, np.int8)
    if share == 0 or len(shots) == 0:
        return splits
    first = np.flatnonzero(np.r_[True, shots[1:] != shots[:-1]])
    counts = np.diff(np.r_[first, len(shots)])
    held_out = np.rint(share * counts).astype(np.int64)
    free = _free(starts, first, counts, held_out, frames)
    gap = counts - held_out - free
    splits = _set(splits, first, counts, (held_out > 0) & (free > 0) & (gap <= free), free, held_out)
    if (splits == TEST).any():
        return splits
    if len(first) > 1:
        splits[first[-max(1, round(share * len(first)))] :] = TEST
        return splits
    one = np.ones(1, np.int64)
    free = _free(starts, first, counts, one, frames)
    return _set(splits, first, counts, free > 0, free, one)


def _free(
    starts: NDArray[np.integer],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
    held_out: NDArray[np.int64],
    frames: int,
) -> NDArray[np.int64]:
    """Per shot, how many of its clips end before the first of its last `held_out` ones begins."""
    first_test = np.minimum(first + counts - held_out, first + counts - 1)
    before = np.arange(len(starts)) - np.repeat(first, counts) < np.repeat(counts - held_out, counts)
    clear = (np.repeat(held_out, counts) == 0) | (starts + frames <= np.repeat(starts[first_test], counts))
    return np.add.reduceat((before & clear).astype(np.int64), first)


def _set(
    splits: NDArray[np.int8],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    free: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> NDArray[np.int8]:
    """`splits` with the ends of the `chosen` shots set to `GAP` and `TEST`."""
    place = np.arange(len(splits)) - np.repeat(first, counts)
    here = np.repeat(chosen, counts)
    splits = np.where(here & (place >= np.repeat(free, counts)), GAP, splits)
    return np.where(here & (place >= np.repeat(counts - held_out, counts)), TEST, splits).astype(np.int8)
