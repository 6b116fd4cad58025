"""Batches: every clip once an epoch, and a restored place goes on exactly."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clips.test_store import lay_clips
from vgan.clips.batches import ClipBatches
from vgan.clips.store import ClipStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    folder = tmp_path_factory.mktemp("clips")
    lay_clips(folder, {"a": 11})
    return ClipStore(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_size=st.integers(1, 25), chosen=st.integers(1, 11), seed=st.integers(0, 2**32 - 1))
def test_an_epoch_is_a_permutation(store: ClipStore, batch_size: int, chosen: int, seed: int) -> None:
    indices = np.arange(11, dtype=np.int64)[:chosen]
    batches = ClipBatches(store, indices, batch_size, seed)
    clips = np.concatenate([batches.next() for _ in range(-(-3 * chosen // batch_size))])
    known = [clip.tobytes() for clip in store.gather(indices)]
    for epoch in range(3):
        seen = [clip.tobytes() for clip in clips[epoch * chosen : (epoch + 1) * chosen]]
        assert sorted(seen) == sorted(known)


def test_epochs_and_seeds_differ(store: ClipStore) -> None:
    indices = np.arange(11, dtype=np.int64)
    batches = ClipBatches(store, indices, 11, 0)
    first, second = batches.next(), batches.next()
    assert (first != second).any()
    assert (ClipBatches(store, indices, 11, 1).next() != first).any()
    np.testing.assert_array_equal(ClipBatches(store, indices, 11, 0).next(), first)


@pytest.mark.parametrize("before", [0, 1, 4])
def test_restored_place_goes_on_exactly(store: ClipStore, before: int) -> None:
    indices = store.indices("train")
    batches = ClipBatches(store, indices, 3, seed=5)
    for _ in range(before):
        batches.next()
    state = batches.state()
    expected = [batches.next() for _ in range(6)]
    other = ClipBatches(store, indices, 3, seed=5)
    other.next()  # whatever was gathered ahead must be forgotten
    other.restore(state)
    assert other.state() == state
    for batch in expected:
        np.testing.assert_array_equal(other.next(), batch)


def test_foreign_place_is_refused(store: ClipStore) -> None:
    indices = store.indices("train")
    batches = ClipBatches(store, indices, 3, seed=5)
    with pytest.raises(ValueError, match="expected a place"):
        batches.restore(ClipBatches(store, indices, 3, seed=6).state())
    with pytest.raises(ValueError, match="expected clips"):
        ClipBatches(store, indices[:0], 3, seed=5)
