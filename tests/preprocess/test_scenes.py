"""Scene classifiers: what they are shown, what they say, and what of theirs cannot be used."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.footage_factory import params
from tests.preprocess.classifiers import COLOURS, write_labels, write_onnx, write_torchscript
from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.preprocess.scenes import SceneClassifier, SceneSampler, check, load, read_labels, same_category

Picture = NDArray[np.uint8]
WRITERS: dict[str, Callable[..., None]] = {"model.pt": write_torchscript, "model.onnx": write_onnx}


def _painted(colour: int, height: int = 90, width: int = 160) -> Picture:
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[..., colour] = 200
    return picture


def _params(folder: Path, model: str = "model.pt", keep: tuple[str, ...] = ("green field",)) -> PreprocessParams:
    """Params that name a classifier in `folder`, which is written if it is not there."""
    if not (folder / model).exists() and model in WRITERS:
        WRITERS[model](folder / model)
    if not (folder / "labels.txt").exists():
        write_labels(folder / "labels.txt")
    return params(scene_model=str(folder / model), scene_labels=str(folder / "labels.txt"), scene_categories=list(keep))


@pytest.mark.parametrize("model", WRITERS)
def test_both_kinds_name_the_strongest_colour(tmp_path: Path, model: str) -> None:
    threads = torch.get_num_threads()
    classifier = load(_params(tmp_path, model))
    assert classifier is not None
    pictures = [classifier.prepare(_painted(colour)) for colour in (2, 0, 1, 1)]
    assert {picture.shape for picture in pictures} == {(3, 224, 224)}
    assert classifier.classify(pictures) == [COLOURS[2], COLOURS[0], COLOURS[1], COLOURS[1]]
    assert [classifier.classify([picture]) for picture in pictures[:2]] == [[COLOURS[2]], [COLOURS[0]]]
    assert torch.get_num_threads() == threads
    assert load(_params(tmp_path, model)) is classifier  # one process loads it once


def test_pictures_are_normalised_by_imagenets_mean_and_deviation(tmp_path: Path) -> None:
    write_torchscript(tmp_path / "model.pt")
    classifier = SceneClassifier(tmp_path / "model.pt", COLOURS)
    flat = classifier.prepare(np.full((50, 70, 3), (51, 102, 204), np.uint8))
    expected = [(0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225]
    np.testing.assert_allclose(flat, np.broadcast_to(np.reshape(expected, (3, 1, 1)), flat.shape), atol=1e-5)


@pytest.mark.parametrize("size", [(512, 1024), (256, 256), (128, 96), (1000, 300)])
def test_the_middle_is_shown_as_when_the_short_side_is_256(tmp_path: Path, size: tuple[int, int]) -> None:
    write_torchscript(tmp_path / "model.pt")
    classifier = SceneClassifier(tmp_path / "model.pt", COLOURS)
    height, width = size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    ramp = np.stack([across * 255 / width, down * 255 / height, 0 * across], -1).astype(np.uint8)
    shown = classifier.prepare(ramp) * np.reshape([0.229, 0.224, 0.225], (3, 1, 1)) * 255
    shown += np.reshape([0.485, 0.456, 0.406], (3, 1, 1)) * 255
    side = 224 / 256 * min(size)  # of the square that is seen
    for values, whole in ((shown[0].mean(0), width), (shown[1].mean(1), height)):
        ends = np.array([(whole - side) / 2, (whole + side) / 2]) * 255 / whole
        np.testing.assert_allclose(values[[0, -1]], ends, atol=3)


@pytest.mark.parametrize(
    ("shape", "sides"), [((1, 3, 64, 96), (64, 96)), (("n", 3, 32, 32), (32, 32)), ((3, 3, "h", "w"), (224, 224))]
)
def test_onnx_says_what_size_it_takes_and_how_many(
    tmp_path: Path, shape: tuple[int | str, ...], sides: tuple[int, int]
) -> None:
    write_onnx(tmp_path / "model.onnx", shape)
    classifier = SceneClassifier(tmp_path / "model.onnx", COLOURS)
    pictures = [classifier.prepare(_painted(colour)) for colour in (2, 1, 0, 1)]
    assert pictures[0].shape == (3, *sides)
    assert classifier.classify(pictures) == [COLOURS[2], COLOURS[1], COLOURS[0], COLOURS[1]]


def test_labels_are_lines_or_numbered(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("golf course\n\nbeach \n", encoding="utf-8-sig")
    assert read_labels(path) == ["golf course", "beach"]
    path.write_text("/a/airfield 0\n/b/beach 2\n/a/apartment_building/outdoor 1\n")
    assert read_labels(path) == ["airfield", "apartment_building/outdoor", "beach"]
    path.write_text("gate 7\nbeach\n")  # not all are numbered: so they are names
    assert read_labels(path) == ["gate 7", "beach"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a category a line"),
        (b"\xff\xfe", "UTF-8"),
        (b"/a/airfield 0\n/b/beach 2\n", "numbered from 0 to 1"),
        (b"/a/airfield 0\n/b/beach 0\n", "numbered from 0 to 1"),
    ],
)
def test_bad_labels_are_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(VganError, match=rf"preprocess\.scene_labels: .*{told}"):
        check(_params(tmp_path))


def test_names_of_a_category() -> None:
    assert same_category("Golf course", "golf_course") and same_category("train-station", "train_station")
    assert not same_category("beach", "beach_house")


def test_digest_follows_the_files_not_their_names(tmp_path: Path) -> None:
    assert check(params()) == "" and load(params()) is None
    digest = check(_params(tmp_path))
    assert digest == check(_params(tmp_path, keep=("red_room",)))
    os.rename(tmp_path / "model.pt", tmp_path / "other.pt")
    assert check(_params(tmp_path, "other.pt")) == digest
    first = load(_params(tmp_path, "other.pt"))
    write_torchscript(tmp_path / "other.pt", fault=1.0)
    assert check(_params(tmp_path, "other.pt")) != digest
    assert load(_params(tmp_path, "other.pt")) is not first  # not the one loaded before
    digest = check(_params(tmp_path))
    (tmp_path / "labels.txt").write_text("red_room\ngreen_field\nwater\n")
    assert check(_params(tmp_path)) != digest


def test_unknown_category_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"scene_categories: .*'gren field', .* did you mean green_field\?"):
        check(_params(tmp_path, keep=("blue_sea", "gren field")))
    with pytest.raises(VganError, match=r"'zzz', .* none of its 3: it begins with red_room, green_field, blue_sea"):
        check(_params(tmp_path, keep=("zzz",)))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gone.onnx", r"gone\.onnx cannot be read: No such file"),
        ("model.h5", r"expected a TorchScript file \(.*\.pt.*\) or an ONNX file \(\.onnx\)"),
    ],
)
def test_a_model_that_is_not_there_is_told_at_once(tmp_path: Path, model: str, told: str) -> None:
    with pytest.raises(VganError, match=told):
        check(_params(tmp_path, model))


@pytest.mark.parametrize("model", WRITERS)
def test_broken_models_are_told(tmp_path: Path, model: str) -> None:
    (tmp_path / model).write_bytes(b"no model at all")
    with pytest.raises(VganError, match=rf"scene_model: .*{model} is no "):
        load(_params(tmp_path, model))
    WRITERS[model](tmp_path / model)
    content = (tmp_path / model).read_bytes()
    (tmp_path / model).write_bytes(content[: len(content) // 2])
    with pytest.raises(VganError, match=rf"scene_model: .*{model} is no "):
        load(_params(tmp_path, model))


@pytest.mark.parametrize("model", WRITERS)
def test_scores_that_do_not_fit_are_told(tmp_path: Path, model: str) -> None:
    WRITERS[model](tmp_path / model, outputs=5)
    with pytest.raises(VganError, match=r"scene_labels: .* got 3 categories and scores of shape 2 × 5"):
        load(_params(tmp_path, model))
    WRITERS[model](tmp_path / model, fault=float("nan"))
    with pytest.raises(VganError, match="expected finite scores"):
        load(_params(tmp_path, model))


def test_weights_without_a_network_are_no_torchscript(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(VganError, match=r"model\.pt is no TorchScript file"):
        load(_params(tmp_path))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_network_that_takes_something_else_is_told(tmp_path: Path) -> None:
    linear = torch.nn.Linear(7, 3)
    torch.jit.trace(linear, torch.zeros(1, 7)).save(str(tmp_path / "model.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(VganError, match=r"cannot score pictures of 2 × 3 × 224 × 224"):
        load(_params(tmp_path))
    for shape in (("n", 224, 224, 3), ("n", 1, 28, 28)):
        write_onnx_of(tmp_path / "model.onnx", shape)
        with pytest.raises(VganError, match=r"to take float N × 3 × height × width, got tensor\(float\) of"):
            load(_params(tmp_path, "model.onnx"))


def write_onnx_of(path: Path, shape: tuple[int | str, ...]) -> None:
    """An ONNX file that takes pictures of another layout; it is never run."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_without_onnxruntime_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = _params(tmp_path, "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VganError, match=r"needs the package onnxruntime: install it with `pip install"):
        load(section)


def test_sampler_looks_at_the_frame_that_each_clip_has(tmp_path: Path) -> None:
    classifier = load(_params(tmp_path))
    assert classifier is not None
    colours = [0, 1, 2, 1, 0]
    frames = [_painted(1 if number % 16 else colours[number // 16], 24, 24) for number in range(80)]
    sampler = SceneSampler(classifier, 16)
    passed = 0
    for passed, frame in enumerate(sampler.through(iter(frames)), 1):
        assert frame is frames[passed - 1]
        start = passed - 16
        if start >= 0 and start % 5 == 0:
            assert sampler.scene_of(start) == COLOURS[colours[-(-start // 16)]]
    assert passed == 80


def test_sampler_holds_few_pictures_where_nobody_asks(tmp_path: Path) -> None:
    classifier = load(_params(tmp_path))
    assert classifier is not None
    sampler = SceneSampler(classifier, 2)
    for _ in sampler.through(_painted(number // 2 % 3, 24, 24) for number in range(50)):
        assert len(sampler._waiting) <= 8
    assert [sampler.scene_of(start) for start in (0, 1, 2, 3, 47)] == [COLOURS[n] for n in (0, 1, 1, 2, 0)]


def test_pictures_without_finite_scores_have_no_name(tmp_path: Path) -> None:
    classifier = load(_params(tmp_path))
    assert classifier is not None
    good = classifier.prepare(_painted(2))
    assert classifier.classify([good * np.float32("nan"), good]) == ["", COLOURS[2]]
