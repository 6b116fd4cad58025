"""Scene categories by a classifier that the user brings: TorchScript, or ONNX, and a file with its categories.

The paper keeps four of Places2's categories (section 4.1: golf course, beach, hospital room, train station), by looking
at video titles and with a classifier. Any classifier of pictures will do that takes float32 N x 3 x H x W, RGB from 0
to 1 less ImageNet's mean and divided by its deviation, and gives N x C scores, the highest for the best category.
"""

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.config import PreprocessParams
from vgan.errors import VganError

__all__ = ["SceneClassifier", "SceneSampler", "check", "load", "read_labels", "same_category"]

Picture = NDArray[np.uint8]  # H x W x 3, RGB
Batch = NDArray[np.float32]  # N x 3 x H x W
Scores = NDArray[np.float32]  # N x C

_SIDE = 224  # pixels, where the classifier does not say
_MARGIN = 8 / 7  # a picture is made 256 pixels high for the 224 in its middle
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet's
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_WAITING = 8  # pictures held before they are classified together
_TORCH = (".pt", ".pth", ".ts", ".torchscript")


def check(params: PreprocessParams) -> str:
    """A digest of the classifier and its categories, empty without one; files that cannot be right are told at once.

    Raises:
        VganError: a file is missing or of no known kind, or a category to keep is none of the classifier's.
    """
    if not params.scene_model:
        return ""
    model, labels = Path(params.scene_model), Path(params.scene_labels)
    if model.suffix.lower() not in (".onnx", *_TORCH):
        raise VganError(
            f"preprocess.scene_model: expected a TorchScript file ({', '.join(_TORCH)}) or an ONNX file (.onnx), got "
            f"{params.scene_model}"
        )
    known = read_labels(labels)
    for wanted in params.scene_categories:
        if not any(same_category(wanted, label) for label in known):
            near = get_close_matches(_plain(wanted), known, n=1, cutoff=0.4)
            advice = f"did you mean {near[0]}?" if near else f"it begins with {', '.join(known[:3])}"
            raise VganError(
                f"preprocess.scene_categories: expected categories of {labels}, got {wanted!r}, which is none of its "
                f"{len(known)}: {advice}"
            )
    digest = hashlib.sha256("\n".join(known).encode())
    try:
        with model.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise VganError(f"preprocess.scene_model: {model} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def load(params: PreprocessParams) -> "SceneClassifier | None":
    """The classifier of `params`, tried out; None without one. A process loads the same files once.

    Raises:
        VganError: a file cannot be used, or the categories are not as many as the classifier's scores.
    """
    if not params.scene_model:
        return None
    paths = Path(params.scene_model), Path(params.scene_labels)
    try:
        stamps = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in paths))
    except OSError as error:
        raise VganError(f"the scene classifier's {error.filename} cannot be read: {error.strerror}") from None
    return _loaded(*paths, stamps)


@lru_cache(maxsize=1)
def _loaded(model: Path, labels: Path, stamps: object) -> "SceneClassifier":
    return SceneClassifier(model, read_labels(labels))


def read_labels(path: Path) -> list[str]:
    """A classifier's categories in the order of its scores: one a line, or as `/a/airfield 0` (Places365's own file).

    Raises:
        VganError: the file cannot be read, names none, or numbers them other than 0, 1, 2, ….
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise VganError(f"preprocess.scene_labels: {path} cannot be read as UTF-8 text: {error}") from None
    lines = [line for line in lines if line]
    if not lines:
        raise VganError(f"preprocess.scene_labels: expected a category a line in {path}, found none")
    numbered = [re.fullmatch(r"(?:/\w/)?(.+?)\s+(\d+)", line) for line in lines]
    if not all(numbered):
        return lines
    places = {int(match[2]): match[1] for match in numbered if match}
    if sorted(places) != list(range(len(lines))):
        raise VganError(
            f"preprocess.scene_labels: expected the categories of {path} to be numbered from 0 to {len(lines) - 1}, "
            "each once"
        )
    return [places[place] for place in range(len(lines))]


def same_category(one: str, two: str) -> bool:
    """Whether names mean the same category: `golf course` is `golf_course`."""
    return _plain(one) == _plain(two)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


class SceneClassifier:
    """Pictures to names of categories, on one thread of the CPU.

    Raises:
        VganError: the model cannot be loaded or run, or its scores are not finite or not one for each category.
    """

    def __init__(self, model: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        self._score, self._sides = _onnx(model) if model.suffix.lower() == ".onnx" else _torchscript(model)
        height, width = self._sides
        scores = self._score(np.stack([self.prepare(picture) for picture in _trial(height, width)]))
        if scores.shape != (2, len(labels)):
            raise VganError(
                f"preprocess.scene_labels: expected as many categories as {model} gives scores, got {len(labels)} "
                f"categories and scores of shape {' × '.join(map(str, scores.shape))} for 2 pictures"
            )
        if not np.isfinite(scores).all():
            raise VganError(f"preprocess.scene_model: expected finite scores of {model}, got NaN or infinity")

    def prepare(self, picture: Picture) -> Batch:
        """A picture of any size as the classifier takes it: 3 x H x W, its middle."""
        height, width = self._sides
        factor = _MARGIN * max(height / picture.shape[0], width / picture.shape[1])
        size = [max(side, round(factor * own)) for side, own in zip((width, height), picture.shape[1::-1], strict=True)]
        shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(picture, size, interpolation=shrinks)
        top, left = (size[1] - height) // 2, (size[0] - width) // 2
        middle = resized[top : top + height, left : left + width].astype(np.float32) / 255
        return np.ascontiguousarray(((middle - _MEAN) / _DEVIATION).transpose(2, 0, 1))

    def classify(self, prepared: Sequence[Batch]) -> list[str]:
        """The category of each prepared picture; empty where the scores are not finite."""
        scores = self._score(np.stack(prepared))
        return [self._labels[int(row.argmax())] if np.isfinite(row).all() else "" for row in scores]


def _trial(height: int, width: int) -> list[Picture]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return [np.zeros_like(noise), noise]


def _torchscript(path: Path) -> tuple[Callable[[Batch], Scores], tuple[int, int]]:
    import torch

    try:
        with warnings.catch_warnings():  # torch would rather have other files, but these are what people have
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise _refused(path, "is no TorchScript file", error) from None

    def score(batch: Batch) -> Scores:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the videos are what runs at the same time
        try:
            with torch.inference_mode():
                scores = network(torch.from_numpy(batch))
            first = scores[0] if isinstance(scores, tuple | list) else scores
            return np.asarray(first.float().numpy())
        except (RuntimeError, AttributeError, IndexError, TypeError) as error:
            raise _refused(path, f"cannot score pictures of {_shape(batch)}", error) from None
        finally:
            torch.set_num_threads(threads)

    return score, (_SIDE, _SIDE)


def _onnx(path: Path) -> tuple[Callable[[Batch], Scores], tuple[int, int]]:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError:
        raise VganError(
            f"preprocess.scene_model: {path} needs the package onnxruntime: install it with "
            "`pip install 'onnxruntime>=1.20'`, or give a TorchScript file"
        ) from None
    errors = (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile,
        state.NotImplemented, state.RuntimeException, RuntimeError, ValueError,
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the videos are what runs at the same time
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise _refused(path, "is no ONNX file that onnxruntime can load", error) from None
    [*inputs] = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3) or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.type} of {one.shape}" for one in inputs)
        raise VganError(f"preprocess.scene_model: expected {path} to take float N × 3 × height × width, got {found}")
    many, _, height, width = (side if isinstance(side, int) else None for side in shape)

    def score(batch: Batch) -> Scores:
        # A fixed number of pictures at a time: the last ones are filled up with copies.
        step = many or len(batch)
        scores = []
        try:
            for start in range(0, len(batch), step):
                some = batch[start : start + step]
                filled = np.concatenate([some, np.repeat(some[-1:], step - len(some), 0)])
                scores.append(session.run(None, {inputs[0].name: filled})[0][: len(some)])
        except errors as error:
            raise _refused(path, f"cannot score pictures of {_shape(batch)}", error) from None
        return np.concatenate(scores)

    return score, (height or _SIDE, width or _SIDE)


def _shape(batch: Batch) -> str:
    return " × ".join(map(str, batch.shape))


def _refused(path: Path, what: str, error: Exception) -> VganError:
    said = " ".join(str(error).split())
    return VganError(f"preprocess.scene_model: {path} {what}: {said[:200]}")


class SceneSampler:
    """Names the scenes of a video's clips by one frame in `every`: each clip of so many frames has just one of them."""

    def __init__(self, classifier: SceneClassifier, every: int) -> None:
        self._classifier, self._every = classifier, every
        self._waiting: dict[int, Batch] = {}
        self._named: dict[int, str] = {}

    def through(self, frames: Iterator[Picture]) -> Iterator[Picture]:
        """Hand the frames on and hold back what the classifier may be asked about."""
        for number, frame in enumerate(frames):
            if number % self._every == 0:
                self._waiting[number] = self._classifier.prepare(frame)
                if len(self._waiting) > _WAITING:  # nobody asked: names take less memory than pictures
                    self._name(list(self._waiting))
            yield frame

    def scene_of(self, start: int) -> str:
        """The category of the clip whose first frame is `start`; its frames have passed."""
        number = -(-start // self._every) * self._every
        if number not in self._named:
            self._name([number])
        return self._named[number]

    def _name(self, numbers: list[int]) -> None:
        names = self._classifier.classify([self._waiting.pop(number) for number in numbers])
        self._named.update(zip(numbers, names, strict=True))
