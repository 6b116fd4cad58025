"""Which clips repeat an earlier one, against comparing all pairs in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgan.preprocess import duplicates
from vgan.preprocess.duplicates import find_duplicates


def _plain(hashes: list[int], shots: list[int], bits: int) -> list[int]:
    found: list[int] = []
    for clip, own in enumerate(hashes):
        alike = (
            earlier
            for earlier in range(clip)
            if found[earlier] < 0 and shots[earlier] != shots[clip] and (hashes[earlier] ^ own).bit_count() <= bits
        )
        found.append(next(alike, -1))
    return found


@st.composite
def _clips(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hashes that lie about a few centres, in shots of some clips."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    lengths = draw(st.lists(st.integers(1, 6), max_size=15))
    hashes = []
    for _ in range(sum(lengths)):
        flips = draw(st.sets(st.integers(0, 63), max_size=7))
        hashes.append(draw(st.sampled_from(centres)) ^ sum(1 << flip for flip in flips))
    return hashes, np.repeat(np.arange(len(lengths)), lengths).tolist()


@pytest.mark.parametrize("block", [1, 5, 4096])
@pytest.mark.parametrize(("lookup", "widest"), [(10, 22), (0, 16), (0, 8)])  # all pairs; few bands; many
@settings(max_examples=30)
@given(clips=_clips(), bits=st.integers(0, 12))
def test_agrees_with_all_pairs(
    block: int, lookup: int, widest: int, clips: tuple[list[int], list[int]], bits: int
) -> None:
    hashes, shots = clips
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_BLOCK", block), ("_LOOKUP", lookup), ("_WIDEST", widest), ("_PAIRS", 7)):
            patch.setattr(duplicates, name, value)
        found = find_duplicates(np.array(hashes, np.uint64), np.array(shots, np.int64), bits)
    assert found.tolist() == _plain(hashes, shots, bits)


def _footage(shots: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Three clips a shot, nearly alike; each tenth shot is a copy of an earlier one with two bits flipped."""
    rng = np.random.default_rng(seed)
    looks = rng.integers(0, 2**64, shots, np.uint64)
    looks[10::10] = looks[rng.integers(0, 9, len(looks[10::10]))] ^ np.uint64(0x8000000000000001)
    hashes = np.repeat(looks, 3) ^ np.tile(np.array([0, 1 << 20, 1 << 40], np.uint64), shots)
    return hashes.astype(np.uint64), np.repeat(np.arange(shots), 3)


@pytest.mark.parametrize("bits", [4, 8])
def test_copies_among_many_clips_are_found_by_bands(bits: int) -> None:
    hashes, shots = _footage(7000, 0)
    assert duplicates._bands(len(hashes), bits)  # not by comparing all pairs
    found = find_duplicates(hashes, shots, bits)
    copies = (shots > 0) & (shots % 10 == 0)
    np.testing.assert_array_equal(found >= 0, copies)
    assert (shots[found[copies]] < 9).all()
    assert (np.bitwise_count(hashes[copies] ^ hashes[found[copies]]) <= bits).all()


def test_later_clips_change_nothing_before_them() -> None:
    hashes, shots = _footage(300, 1)
    whole = find_duplicates(hashes, shots, 6)
    np.testing.assert_array_equal(find_duplicates(hashes[:400], shots[:400], 6), whole[:400])


@pytest.mark.parametrize("bits", range(0, 20, 3))
@pytest.mark.parametrize("count", [10**3, 10**6, 10**8])
def test_bands_miss_no_pattern_of_differing_bits(bits: int, count: int) -> None:
    bands = duplicates._bands(count, bits)
    rng = np.random.default_rng(bits)
    flips = [rng.choice(64, bits, replace=False) for _ in range(300)]
    # And patterns that shun one band as far as they can.
    flips += [np.arange(64)[np.roll(np.arange(64) % 8 < 4, shift)][:bits] for shift in range(8)]
    for flip in flips:
        pattern = np.array([sum(1 << int(bit) for bit in flip)], np.uint64)
        near = [np.bitwise_count(band.of(pattern))[0] <= band.radius for band in bands]
        assert any(near) or not bands


def test_no_clip_and_one_clip() -> None:
    none = np.empty(0, np.int64)
    assert find_duplicates(none.astype(np.uint64), none, 4).tolist() == []
    assert find_duplicates(np.array([5], np.uint64), np.array([0]), 64).tolist() == [-1]
