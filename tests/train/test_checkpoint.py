import copy
from pathlib import Path

import pytest
import torch

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.models import tensorfile
from vgan.train import checkpoint
from vgan.train.fingerprint import Fingerprint
from vgan.train.state import TrainState, new_state
from vgan.train.step import train_step

_OURS, _OTHERS = Fingerprint({"clips": "a"}), Fingerprint({"clips": "b"})


def _fresh() -> TrainState:
    return new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))


def _advance(state: TrainState, steps: int) -> None:
    rng = torch.Generator().manual_seed(state.step)
    for _ in range(steps):
        clips = torch.randint(0, 256, (3, FRAMES, SIZE, SIZE, 3), dtype=torch.uint8, generator=rng)
        train_step(state, clips, params=PARAMS)


@pytest.fixture(scope="module")
def trained() -> TrainState:
    torch.set_num_threads(1)
    state = _fresh()
    _advance(state, 3)
    return state


def _at(state: TrainState, step: int) -> TrainState:
    moved = copy.copy(state)
    moved.step = step
    return moved


def _save(folder: Path, state: TrainState, *steps: int, whose: Fingerprint = _OURS) -> None:
    for step in steps:
        checkpoint.save(folder, _at(state, step), {"taken": step}, whose)


def _steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.iterdir())


def test_restored_state_goes_on_bit_for_bit(trained: TrainState, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, trained, {"taken": 9}, _OURS)
    assert path == tmp_path / "step-00000003.safetensors"
    restored = new_state(PARAMS.model_copy(update={"seed": 77}), frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    found = checkpoint.find(tmp_path, restored, _OURS, 100)
    assert found == checkpoint.Found({"taken": 9}, [])
    going_on = _fresh()
    _advance(going_on, 3)
    for state in (restored, going_on):
        _advance(state, 2)
        assert state.step == 5
    ours, theirs = (checkpoint.save(tmp_path / name, s, {}, _OURS) for name, s in (("a", restored), ("b", going_on)))
    assert ours.read_bytes() == theirs.read_bytes()


_EVERYTHING = PARAMS.model_copy(
    update={
        "discriminator_norm": "none",
        "frame_discriminator": 3,
        "loss": "relativistic",
        "r1_gamma": 1.0,
        "r2_gamma": 1.0,
        "penalty_interval": 3,
        "augment_flip": True,
        "augment_jitter": 0.3,
        "diffaugment_shift": 0.2,
        "diffaugment_cutout": 0.5,
        "decay_start": 1,
        "decay_steps": 20,
        "ema_ramp": 0.5,
    }
)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_everything_there_is_goes_on_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    """Both discriminators, chances, momenta, rates on their way down; and the diversity that waits for its row."""
    params = _EVERYTHING.model_copy(update={"optimizer": optimizer})
    whole, parted = (new_state(params, frames=FRAMES, size=SIZE, device=torch.device("cpu")) for _ in range(2))
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randint(0, 256, (3, FRAMES, SIZE, SIZE, 3), dtype=torch.uint8, generator=rng) for _ in range(5)]
    for clips in batches[:2]:
        train_step(parted, clips, params=params)
    parted.history.note(0.5)
    checkpoint.save(tmp_path, parted, {}, _OURS)
    other = params.model_copy(update={"seed": 77})
    restored = new_state(other, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    checkpoint.find(tmp_path, restored, _OURS, 9)
    for clips in batches[2:]:
        train_step(restored, clips, params=params)
    for clips in batches:
        train_step(whole, clips, params=params)
    whole.history.note(0.5)
    ours, theirs = (checkpoint.save(tmp_path / name, s, {}, _OURS) for name, s in (("a", restored), ("b", whole)))
    assert ours.read_bytes() == theirs.read_bytes()


def test_damaged_newest_falls_back_and_is_named(trained: TrainState, tmp_path: Path) -> None:
    _save(tmp_path, trained, 4, 8)
    newest = tmp_path / "step-00000008.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    state = _fresh()
    found = checkpoint.find(tmp_path, state, _OURS, 100)
    assert (found.place, state.step) == ({"taken": 4}, 4)
    assert len(found.said) == 1 and f"{newest} is damaged" in found.said[0]


def test_nothing_usable_leaves_the_state_alone(trained: TrainState, tmp_path: Path) -> None:
    _save(tmp_path, trained, 4, whose=_OTHERS)
    _save(tmp_path, trained, 30)
    (tmp_path / "step-00000009.safetensors").write_text("no")
    tensorfile.write(tmp_path / "step-00000010.safetensors", {}, {"kind": "something else"})
    (tmp_path / "step-7.txt").touch()
    state = _fresh()
    found = checkpoint.find(tmp_path, state, _OURS, 20)
    assert found.place is None and state.step == 0
    assert all(
        torch.equal(a, b) for a, b in zip(state.generator.parameters(), _fresh().generator.parameters(), strict=True)
    )
    words = ["beyond the 20 steps", "of a kind", "is damaged", "of another training (the clips changed)"]
    assert [word in sentence for word, sentence in zip(words, found.said, strict=True)] == [True] * 4


def test_empty_and_absent_folder(tmp_path: Path) -> None:
    assert checkpoint.find(tmp_path / "absent", _fresh(), _OURS, 5) == checkpoint.Found(None, [])


@pytest.mark.parametrize(
    ("there", "step", "kept"),
    [
        ([4], 4, [4]),
        ([4, 8, 12], 12, [8, 12]),
        ([4, 8, 10], 10, [8, 10]),  # stopped at 10
        ([4, 8, 10, 11], 11, [8, 11]),  # stopped twice
        ([8, 10, 12], 12, [8, 12]),  # went on
        ([2, 3], 3, [3]),
        ([4, 8, 12, 16], 8, [4, 8]),  # what lies beyond was damaged, or of a longer training
    ],
)
def test_keeps_the_newest_two(
    there: list[int], step: int, kept: list[int], trained: TrainState, tmp_path: Path
) -> None:
    _save(tmp_path, trained, *there)
    checkpoint.prune(tmp_path, _OURS, 4, step)
    assert _steps(tmp_path) == kept


def test_prunes_what_is_not_ours(trained: TrainState, tmp_path: Path) -> None:
    _save(tmp_path, trained, 2, 6, 99, whose=_OTHERS)
    (tmp_path / "step-00000003.safetensors").write_text("damaged")
    _save(tmp_path, trained, 4)
    checkpoint.prune(tmp_path, _OURS, 4, 4)
    assert _steps(tmp_path) == [4]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_does_not_save_what_is_not_finite(value: float, tmp_path: Path) -> None:
    state = _fresh()
    next(state.generator.parameters()).data.flatten()[0] = value
    with pytest.raises(checkpoint.NotFiniteError, match=r"generator\.motion\.0\.weight"):
        checkpoint.save(tmp_path, state, {}, _OURS)
    assert not list(tmp_path.iterdir())
