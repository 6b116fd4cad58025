"""Which clips are for training and which are held out, so that no frame and no group is in both."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["GAP", "Placed", "Split", "split_by_group", "split_by_time"]

Split = Literal["train", "test", ""]
GAP: Split = ""  # neither train nor test: the clip shares frames with both


@dataclass(frozen=True)
class Placed:
    """A kept clip: its shot (any name that is unique) and first frame there."""

    shot: tuple[str, int]
    start: int


def split_by_group(groups: Sequence[str], official: Mapping[str, str], share: float) -> dict[str, str]:
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


def split_by_time(clips: Sequence[Placed], frames: int, share: float) -> list[Split]:
    """Hold out the end of each shot: "test", "train", or `GAP` for clips that share frames with test clips.

    A shot that would lose more clips to the gap than remain for training is left whole, for training. If that leaves no
    test clip at all, whole shots are held out instead, the last ones; a lone shot is split as long as one train clip
    remains.

    Args:
        clips: in any order.
        frames: of a clip.
        share: of each shot's clips to be test.
    """
    shots: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        shots[clip.shot].append(index)
    splits: list[Split] = ["train"] * len(clips)
    if share == 0:
        return splits
    ordered = [sorted(shots[shot], key=lambda index: clips[index].start) for shot in sorted(shots)]
    for members in ordered:
        train, gap, test = _part([clips[index].start for index in members], frames, round(share * len(members)))
        if train and test and len(gap) <= len(train):
            _set(splits, members, gap, test)
    if "test" in splits:
        return splits
    if len(ordered) > 1:
        for members in ordered[-max(1, round(share * len(ordered))) :]:
            _set(splits, members, range(0), range(len(members)))
    elif ordered:
        train, gap, test = _part([clips[index].start for index in ordered[0]], frames, 1)
        if train:
            _set(splits, ordered[0], gap, test)
    return splits


def _part(starts: list[int], frames: int, count: int) -> tuple[range, range, range]:
    """Places of train, gap and test clips in a shot whose last `count` clips are test."""
    first_test = len(starts) - count
    free = sum(start + frames <= starts[first_test] for start in starts[:first_test]) if count else first_test
    return range(free), range(free, first_test), range(first_test, len(starts))


def _set(splits: list[Split], members: list[int], gap: range, test: range) -> None:
    for place in gap:
        splits[members[place]] = GAP
    for place in test:
        splits[members[place]] = "test"
