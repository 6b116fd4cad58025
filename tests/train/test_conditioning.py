from pathlib import Path

import pytest
import torch

from tests.train.conftest import FRAMES, PARAMS, SIZE, TRAIN_CLIPS
from vgan.clips.store import ClipStore
from vgan.models.conditions import given_by
from vgan.models.generator import Generator, build_generator
from vgan.train.conditioning import CONDITION_DRAWS, condition_on, fixed_conditions, judged, judged_real


def _generator(kind: str, context: int = 4) -> Generator:
    return build_generator(kind, channels=2, latent_dim=1, frames=FRAMES, size=SIZE, context=context)


def _real(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def _draws(count: int = 3) -> torch.Tensor:
    return torch.rand(count, CONDITION_DRAWS, generator=torch.Generator().manual_seed(5))


def test_noise_alone_is_given_nothing() -> None:
    generator, real = _generator("two_stream"), _real()
    clips, given = condition_on(generator, real, None, 0.5)
    assert clips is real and given is None
    assert judged(generator, real, given, None, True) is real
    assert torch.equal(judged_real(generator, real, False), real)


def test_future_is_given_the_first_frame_which_takes_the_place_of_half_of_the_generated_ones() -> None:
    generator, real, video, draws = _generator("future"), _real(100), _real(100).neg(), _draws(100)
    clips, given = condition_on(generator, real, draws, 0.5)
    assert clips is real and given is not None
    assert torch.equal(given.picture, real[:, :, 0])
    seen = judged(generator, video, given, draws, True)
    gave_way = torch.tensor([torch.equal(a, b) for a, b in zip(seen[:, :, 0], real[:, :, 0], strict=True)])
    assert 0.35 < gave_way.float().mean() < 0.65
    assert torch.equal(seen[~gave_way, :, 0], video[~gave_way, :, 0])
    assert torch.equal(seen[:, :, 1:], video[:, :, 1:])
    assert judged(generator, video, given, draws, False) is video
    for shown in (True, False):
        assert torch.equal(judged_real(generator, real, shown), real)
    # A clip's share of the draws decides alone: it is the same in another batch.
    some = judged(generator, video[::2], given_by(given.clip[::2]), draws[::2], True)
    assert torch.equal(some, seen[::2])


def test_content_motion_is_given_the_first_frames_or_the_last_of_them_alone() -> None:
    generator, real, draws = _generator("content_motion"), _real(400), _draws(400)
    clips, given = condition_on(generator, real, draws, 0.25)
    assert given is not None and torch.equal(given.clip, clips[:, :, :4])
    assert torch.equal(given.picture, clips[:, :, 0])
    assert torch.equal(clips[:, :, 4:], real[:, :, 4:])
    alone = torch.tensor([not torch.equal(a, b) for a, b in zip(clips, real, strict=True)])
    assert 0.18 < alone.float().mean() < 0.32
    assert torch.equal(clips[alone, :, :4], real[alone, :, 3:4].expand(-1, -1, 4, -1, -1))
    assert torch.equal(condition_on(generator, real[::2], draws[::2], 0.25)[0], clips[::2])
    follows = torch.zeros(400, 3, FRAMES - 4, SIZE, SIZE)
    seen = judged(generator, follows, given, draws, True)
    assert torch.equal(seen[:, :, :4], clips[:, :, :4]) and not seen[:, :, 4:].any()
    assert judged(generator, follows, given, draws, False) is follows
    assert torch.equal(judged_real(generator, clips, True), clips)
    assert torch.equal(judged_real(generator, clips, False), real[:, :, 4:])


@pytest.mark.parametrize(("share", "context"), [(0.0, 4), (1.0, 1)])
def test_no_pictures_alone_where_none_are_asked_for_or_all_are_pictures(share: float, context: int) -> None:
    real = _real()
    clips, given = condition_on(_generator("content_motion", context), real, _draws(), share)
    assert clips is real and given is not None and given.clip.shape[2] == context


def test_fixed_conditions_are_beginnings_of_training_clips(clips: Path) -> None:
    store = ClipStore(clips)
    assert fixed_conditions(_generator("one_stream"), store, PARAMS) is None
    future = fixed_conditions(_generator("future"), store, PARAMS)
    assert future is not None and future.clips.shape == (TRAIN_CLIPS, 1, SIZE, SIZE, 3)
    beginnings = {clip.tobytes() for clip in store.gather(store.indices("train"))[:, :1]}
    assert {clip.numpy().tobytes() for clip in future.clips} == beginnings
    params = PARAMS.model_copy(update={"image_only_share": 0.5})
    both = fixed_conditions(_generator("content_motion"), store, params)
    again = fixed_conditions(_generator("content_motion"), store, params)
    assert both is not None and again is not None and torch.equal(both.clips, again.clips)
    still = [bool((clip == clip[:1]).all()) for clip in both.clips]
    assert 0 < sum(still) < TRAIN_CLIPS
    fourth = {clip.tobytes() for clip in store.gather(store.indices("train"))[:, 3]}
    assert {clip[0].numpy().tobytes() for clip, alone in zip(both.clips, still, strict=True) if alone} <= fourth
