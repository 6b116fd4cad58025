"""Splits: no frame and no group on both sides, stable as footage grows."""

from hypothesis import given
from hypothesis import strategies as st

from vgan.preprocess.splits import GAP, Placed, split_by_group, split_by_time

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


@st.composite
def placed(draw: st.DrawFn) -> tuple[list[Placed], int]:
    frames, stride = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    counts = draw(st.lists(st.integers(1, 60), min_size=1, max_size=5))
    clips = [Placed(("v", shot), shot * 9000 + k * stride) for shot, count in enumerate(counts) for k in range(count)]
    return draw(st.permutations(clips)), frames


@given(case=placed(), share=st.floats(0.05, 0.5))
def test_no_frame_is_in_both(case: tuple[list[Placed], int], share: float) -> None:
    clips, frames = case
    splits = split_by_time(clips, frames, share)
    seen = {split: {clip.start + k for clip, s in zip(clips, splits, strict=True) if s == split for k in range(frames)}
            for split in ("train", "test")}  # fmt: skip
    assert not seen["train"] & seen["test"]
    assert seen["train"] or len(clips) == 1
    for clip, split in zip(clips, splits, strict=True):
        span = set(range(clip.start, clip.start + frames))
        assert (split == GAP) <= bool(span & seen["test"])  # nothing is given up without need


def test_end_of_a_long_shot_is_held_out() -> None:
    clips = [Placed(("v", 0), start) for start in range(0, 200, 2)]
    splits = split_by_time(clips, 32, 0.2)
    assert splits[80:] == ["test"] * 20
    assert splits[65:80] == [GAP] * 15
    assert splits[:65] == ["train"] * 65


def test_short_shots_are_left_whole_and_the_last_held_out() -> None:
    clips = [Placed(("v", shot), start) for shot in range(5) for start in range(100 * shot, 100 * shot + 20, 2)]
    assert split_by_time(clips, 32, 0.2) == ["train"] * 40 + ["test"] * 10


def test_lone_short_shot_gives_one_test_clip_if_a_train_clip_remains() -> None:
    clips = [Placed(("v", 0), start) for start in range(0, 34, 2)]
    assert split_by_time(clips, 32, 0.2) == ["train", *[GAP] * 15, "test"]
    assert split_by_time(clips[:-1], 32, 0.2) == ["train"] * 16
    assert split_by_time(clips, 32, 0) == ["train"] * 17
    assert split_by_time([], 32, 0.5) == []
