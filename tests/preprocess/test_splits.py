"""Splits: no frame and no group on both sides, stable as footage grows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgan.preprocess.splits import GAP, TEST, TRAIN, split_by_group, split_by_time

names = st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=30)


@given(groups=names, share=st.floats(0.01, 0.99))
def test_two_groups_give_one_of_each(groups: list[str], share: float) -> None:
    splits = split_by_group(groups, {}, share)
    assert set(splits) == set(groups)
    if len(set(groups)) > 1:
        assert set(splits.values()) == {"train", "test"}


@given(
    groups=st.sets(st.integers(0, 10**6), min_size=100, max_size=200), more=st.sets(st.integers(0, 10**6), max_size=50)
)
def test_new_groups_move_no_old_ones(groups: set[int], more: set[int]) -> None:
    old = split_by_group([str(g) for g in groups], {}, 0.3)
    new = split_by_group([str(g) for g in groups | more], {}, 0.3)
    assert {g: new[g] for g in old} == old


def test_share_is_kept_over_many_groups() -> None:
    splits = split_by_group([f"video{index}.mp4" for index in range(2000)], {}, 0.2)
    assert 0.17 < list(splits.values()).count("test") / 2000 < 0.23


def test_given_splits_win_and_zero_holds_out_nothing() -> None:
    groups = [str(index) for index in range(20)]
    official = {"3": "test", "4": "train"}
    splits = split_by_group(groups, official, 0.5)
    assert (splits["3"], splits["4"]) == ("test", "train")
    assert set(split_by_group(groups, {}, 0).values()) == {"train"}
    assert split_by_group(groups, {"3": "test"}, 0) == {g: "test" if g == "3" else "train" for g in groups}
    assert split_by_group(["a", "b"], {"a": "test", "b": "test"}, 0.5) == {"a": "test", "b": "test"}


Clips = tuple[NDArray[np.int64], NDArray[np.int64]]  # shots, starts


def shots(*starts: range) -> Clips:
    return (
        np.concatenate([np.full(len(some), shot) for shot, some in enumerate(starts)]),
        np.concatenate([np.array(some, np.int64) for some in starts]),
    )


@st.composite
def placed(draw: st.DrawFn) -> tuple[Clips, int]:
    frames, stride = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    counts = draw(st.lists(st.integers(1, 60), min_size=1, max_size=5))
    ranges = [range(shot * 9000, shot * 9000 + count * stride, stride) for shot, count in enumerate(counts)]
    every, starts = shots(*ranges)
    seen = np.array(draw(st.lists(st.booleans(), min_size=len(starts), max_size=len(starts))))
    seen[0] = True  # some are dropped for other reasons; at least one is not
    return (every[seen], starts[seen]), frames


def one_by_one(clips: Clips, frames: int, share: float) -> list[int]:
    """The same rule, a shot after the other in plain Python."""
    ids, starts = clips[0].tolist(), clips[1].tolist()
    splits = [TRAIN] * len(ids)
    members = [[i for i, shot in enumerate(ids) if shot == one] for one in sorted(set(ids))]

    def cut(mine: list[int], count: int) -> tuple[int, int]:
        first_test = len(mine) - count
        limit = starts[mine[first_test]] if count else 10**9
        return sum(starts[i] + frames <= limit for i in mine[:first_test]), first_test

    def mark(mine: list[int], free: int, first_test: int) -> None:
        for place, i in enumerate(mine):
            splits[i] = TEST if place >= first_test else GAP if place >= free else TRAIN

    for mine in members:
        free, first_test = cut(mine, round(share * len(mine)))
        if free and first_test < len(mine) and first_test - free <= free:
            mark(mine, free, first_test)
    if TEST in splits:
        return splits
    if len(members) > 1:
        for mine in members[-max(1, round(share * len(members))) :]:
            mark(mine, 0, 0)
        return splits
    free, first_test = cut(members[0], 1)
    if free:
        mark(members[0], free, first_test)
    return splits


@given(case=placed(), share=st.floats(0.05, 0.9))
def test_columns_follow_the_rule_told_one_by_one(case: tuple[Clips, int], share: float) -> None:
    clips, frames = case
    assert split_by_time(*clips, frames, share).tolist() == one_by_one(clips, frames, share)


@given(case=placed(), share=st.floats(0.05, 0.5))
def test_no_frame_is_in_both(case: tuple[Clips, int], share: float) -> None:
    clips, frames = case
    splits = split_by_time(*clips, frames, share).tolist()
    starts = clips[1].tolist()
    spans = [set(range(start, start + frames)) for start in starts]
    train, test = (
        set().union(*(span for span, split in zip(spans, splits, strict=True) if split == side))
        for side in (TRAIN, TEST)
    )
    assert not train & test
    assert train or len(starts) == 1
    for span, split in zip(spans, splits, strict=True):
        assert (split == GAP) <= bool(span & test)  # nothing is given up without need


def test_end_of_a_long_shot_is_held_out() -> None:
    splits = split_by_time(*shots(range(0, 200, 2)), 32, 0.2).tolist()
    assert splits[80:] == [TEST] * 20
    assert splits[65:80] == [GAP] * 15
    assert splits[:65] == [TRAIN] * 65


def test_short_shots_are_left_whole_and_the_last_held_out() -> None:
    clips = shots(*(range(100 * shot, 100 * shot + 20, 2) for shot in range(5)))
    assert split_by_time(*clips, 32, 0.2).tolist() == [TRAIN] * 40 + [TEST] * 10


def test_lone_short_shot_gives_one_test_clip_if_a_train_clip_remains() -> None:
    assert split_by_time(*shots(range(0, 34, 2)), 32, 0.2).tolist() == [TRAIN, *[GAP] * 15, TEST]
    assert split_by_time(*shots(range(0, 32, 2)), 32, 0.2).tolist() == [TRAIN] * 16
    assert split_by_time(*shots(range(0, 34, 2)), 32, 0).tolist() == [TRAIN] * 17
    assert split_by_time(*shots(range(0)), 32, 0.5).tolist() == []
