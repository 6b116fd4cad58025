"""`params.yaml` as frozen models: one section per stage, no default anywhere but in the file itself.

Every key must be there and no other may be; `load` turns whatever is wrong into one sentence that names the key path,
what was expected and what came.
"""

import math
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vgan.errors import VganError

__all__ = [
    "EvaluateParams",
    "Params",
    "PreprocessParams",
    "SampleParams",
    "TrackingParams",
    "TrainParams",
    "load",
    "parse",
]

_Seed = Annotated[int, Field(ge=0, lt=2**32)]
_Count = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Rate = Annotated[float, Field(gt=0, lt=1)]
_BelowOne = Annotated[float, Field(ge=0, lt=1)]
_NotNegative = Annotated[float, Field(ge=0)]
# The generator doubles its seed four times in time and space, so both sides are multiples of 16 (paper, section 2.1).
_Frames = Annotated[int, Field(ge=16, multiple_of=16)]
_Size = Annotated[int, Field(ge=16, multiple_of=16)]


def _number_or(word: str, least: float) -> PlainValidator:
    """A validator that takes `word` or a number of at least `least`, whole if `least` is."""
    whole = isinstance(least, int)

    def check(value: object) -> str | float:
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if value == word or (number and math.isfinite(value) and value >= least):  # type: ignore[arg-type, operator]
            return value if whole or value == word else float(value)  # type: ignore[return-value, arg-type]
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"expected {word} or {kind} of at least {least:g}, got {_shown(value)}")

    return PlainValidator(check)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PreprocessParams(_Section):
    """Footage to clips."""

    frames: _Frames  # frames of a clip
    size: _Size  # pixels of a clip's side
    stride: _Count  # frames from one clip's start to the next one's, within a shot
    fps: Annotated[float | Literal["native"], _number_or("native", 0.1)]  # frames a second that clips are cut from
    cut_threshold: _NotNegative  # shot cuts: lower finds more, 0 looks for none
    stabilizer: Literal["klt", "sift", "vidstab", "none"]
    motion_model: Literal["homography", "similarity"]  # how frames may be warped onto each other
    estimation_height: Annotated[int, Field(ge=64)]  # lines at which klt estimates motion
    min_matches: Annotated[int, Field(ge=4)]  # matched points below which a clip is dropped
    ransac_threshold: Annotated[float, Field(gt=0)]  # pixels at estimation size within which a match is an inlier
    max_reprojection_error: Annotated[float, Field(gt=0)]  # pixels at estimation size, mean over inliers
    max_filled_share: _Share  # of a frame's pixels taken from an earlier frame, above which a clip is dropped
    min_motion: _Share  # filter: share of moving pixels below which a clip is dropped, 0 keeps all
    max_residual: _NotNegative  # filter: grey levels (rms) between stabilised neighbours, 0 keeps all
    duplicate_bits: Annotated[int | Literal["off"], _number_or("off", 0)]  # filter: of 64 hash bits that may differ
    scene_model: str  # filter: TorchScript or ONNX classifier of pictures; empty asks none
    scene_labels: str  # its categories, a line each
    scene_categories: list[str]  # those to keep
    test_by: Literal["video", "time"]  # hold out whole videos, or the end of each shot
    test_share: _Share
    max_failed_share: _Share  # of the videos; above it the stage fails
    timeout_s: Annotated[float, Field(gt=0, le=1e6)]  # seconds without a frame after which a decoder is ended
    engine: Literal["local", "dask"]  # processes of this machine, or those of a Dask cluster
    scheduler: str  # address of the cluster's scheduler

    @model_validator(mode="after")
    def _belong_together(self) -> "PreprocessParams":
        named = [bool(self.scene_model), bool(self.scene_labels), bool(self.scene_categories)]
        if any(named) and not all(named):
            raise ValueError(
                "preprocess: expected scene_model, scene_labels and scene_categories together or none of them, got "
                f"{_shown(self.scene_model)}, {_shown(self.scene_labels)} and {_shown(self.scene_categories)}"
            )
        if (self.engine == "dask") != bool(self.scheduler):
            raise ValueError(
                "preprocess.scheduler: expected the scheduler's address (tcp://host:8786) with engine: dask, and "
                f"nothing with engine: local, got {_shown(self.scheduler)} with engine: {self.engine}"
            )
        return self


class TrainParams(_Section):
    """Clips to checkpoints."""

    seed: _Seed
    generator: Literal["two_stream", "one_stream", "future", "content_motion"]
    channels: Annotated[int, Field(ge=1)]  # width of the widest-resolution hidden layer; 64 in the paper
    latent_dim: Annotated[int, Field(ge=0)]  # 0: a conditional generator makes one future of what it is given
    context: _Count  # frames of a clip that content_motion is given; it makes the others
    image_only_share: _Share  # of the clips, of which content_motion is given a picture alone
    first_frame_weight: _NotNegative  # of the first frame's L1 distance from the picture that future is given
    show_condition: bool  # to the discriminator: it sees the given frames before the generated ones
    upsampling: Literal["transposed", "resized"]  # resized: the generator's kernels cannot draw a checkerboard
    discriminator_norm: Literal["batch", "spectral", "none"]  # spectral: spectrally normalised convolutions
    frame_discriminator: Annotated[int, Field(ge=0)]  # frames that a second discriminator judges singly; 0: none
    loss: Literal["cross_entropy", "hinge", "relativistic"]
    r1_gamma: _NotNegative  # gradient penalty on real clips
    r2_gamma: _NotNegative  # and on generated ones
    penalty_interval: _Count  # steps from one gradient penalty to the next
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: _Count  # parts that a batch goes through the networks in
    steps: _Count
    discriminator_steps: _Count  # of the discriminator to one of the generator
    optimizer: Literal["adam", "sgd"]
    learning_rate_g: _Rate
    learning_rate_d: _Rate
    beta1_g: _BelowOne  # of Adam
    beta1_d: _BelowOne
    beta2_g: _BelowOne
    beta2_d: _BelowOne
    momentum: _BelowOne  # of SGD
    decay_start: Annotated[int, Field(ge=0)]  # step after which both rates fall
    decay_steps: Annotated[int, Field(ge=0)]  # steps in which they fall to 0; 0 keeps them
    mask_weight: _NotNegative  # weight of the mask's L1 penalty
    ema_half_life: _NotNegative  # steps; 0 keeps the raw weights
    ema_ramp: _Share  # of the steps made, the longest half-life; 0 sets no limit
    augment_flip: bool  # mirror half of the real clips
    augment_crop: _BelowOne  # share of the sides that a random window leaves out
    augment_scale: _BelowOne  # share by which the window may be smaller still
    augment_jitter: _BelowOne  # of brightness, contrast and saturation
    augment_hue: Annotated[float, Field(ge=0, le=0.5)]  # of a full turn
    diffaugment_colour: _Share  # strength of what stands before the discriminator, on real and generated clips
    diffaugment_shift: _BelowOne  # share of the sides
    diffaugment_cutout: _Share  # share of the sides
    sync_batch_norm: bool  # over the processes of a training that has several
    precision: Literal["bf16", "fp32"]
    device: Literal["auto", "cpu", "cuda"]
    log_every: _Count
    sample_every: _Count
    checkpoint_every: _Count
    max_minutes: _NotNegative  # of one start; 0 sets no limit

    @model_validator(mode="after")
    def _belong_together(self) -> "TrainParams":
        if self.discriminator_norm == "batch" and (self.r1_gamma > 0 or self.r2_gamma > 0):
            raise ValueError(
                "train.discriminator_norm: expected spectral or none with r1_gamma or r2_gamma, because a gradient "
                "penalty looks at clips one by one and batch norm mixes them, got batch"
            )
        if self.batch_size % self.accumulate or self.batch_size // self.accumulate < 2:
            raise ValueError(
                "train.accumulate: expected parts of a batch of the same size, of at least 2 clips, got "
                f"{self.accumulate} of train.batch_size = {self.batch_size}"
            )
        if self.decay_steps > 0 and self.steps > self.decay_start + self.decay_steps:
            raise ValueError(
                "train.decay_steps: expected decay_start + decay_steps to be at least train.steps = "
                f"{self.steps}, because then the rates are 0, got {self.decay_start} + {self.decay_steps}"
            )
        if self.generator in ("two_stream", "one_stream") and self.latent_dim == 0:
            raise ValueError(f"train.latent_dim: expected at least 1 with generator: {self.generator}, got 0")
        return self


class EvaluateParams(_Section):
    """Checkpoints to numbers."""

    seed: _Seed
    samples: Annotated[int, Field(ge=16)]  # generated clips to judge; at most half as many as training clips
    directions: _Count  # principal directions in which the Fréchet distance is taken; at most half the clips
    batch_size: _Count
    precision: Literal["bf16", "fp32"]  # of the judging network


class SampleParams(_Section):
    """Checkpoint to videos."""

    seed: _Seed
    count: _Count  # videos
    streams: Annotated[int, Field(ge=0)]  # how many of them also as foreground, mask and background


class TrackingParams(_Section):
    """MLflow names."""

    experiment: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]  # name in the model registry


class Params(_Section):
    """All of `params.yaml`."""

    preprocess: PreprocessParams
    train: TrainParams
    evaluate: EvaluateParams
    sample: SampleParams
    tracking: TrackingParams

    @model_validator(mode="after")
    def _streams_within_count(self) -> "Params":
        if self.sample.streams > self.sample.count:
            raise ValueError(
                f"sample.streams: expected at most sample.count = {self.sample.count}, got {self.sample.streams}"
            )
        return self

    @model_validator(mode="after")
    def _something_follows_the_context(self) -> "Params":
        train, frames = self.train, self.preprocess.frames
        if train.generator != "content_motion":
            return self
        if train.context >= frames:
            raise ValueError(f"train.context: expected less than preprocess.frames = {frames}, got {train.context}")
        if not train.show_condition and (frames - train.context) % 16:
            raise ValueError(
                "train.context: expected to leave a multiple of 16 frames where show_condition is false, got "
                f"{train.context} of preprocess.frames = {frames}"
            )
        return self


def load(path: Path) -> Params:
    """Read and check a params file.

    Raises:
        VganError: the file is missing, is not YAML, or a key is unknown, missing, of the wrong type or out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise VganError(
            f"expected a params file at {path}, found none: run this in the project's folder, "
            "or write one with `vgan preset demo`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise VganError(f"{path} cannot be read as UTF-8 text: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Params:
    """Check the text of a params file; `name` stands for it in messages. Raises VganError as `load` does."""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise VganError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise VganError(f"{name}: expected sections such as `train:`, got {_shown(content)}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise VganError("\n".join(f"{name}: {_sentence(problem)}" for problem in error.errors())) from None


def _sentence(problem: Any) -> str:
    """One pydantic problem as 'key.path: expected …, got …'."""
    path = ".".join(str(part) for part in problem["loc"])
    kind, context, came = problem["type"], problem.get("ctx", {}), _shown(problem["input"])
    if kind == "extra_forbidden":
        return f"{path}: unknown key{_nearest(problem['loc'])}"
    if kind == "missing":
        return f"{path}: expected a value, the key is missing"
    if kind == "value_error":
        text = str(context["error"])
        return f"{path}: {text}" if text.startswith("expected") else text
    bound = next((f"{context[name]:g}" for name in ("gt", "ge", "lt", "le", "multiple_of") if name in context), "")
    expected = {
        "literal_error": f"one of {context.get('expected')}",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "string_type": "text",
        "model_type": "a section with keys below it",
        "greater_than": f"more than {bound}",
        "greater_than_equal": f"at least {bound}",
        "less_than": f"less than {bound}",
        "less_than_equal": f"at most {bound}",
        "multiple_of": f"a multiple of {bound}",
        "string_too_short": "text that is not empty",
        "finite_number": "a finite number",
    }.get(kind, problem["msg"])
    return f"{path}: expected {expected}, got {came}"


def _nearest(location: tuple[str | int, ...]) -> str:
    """' (did you mean …?)' for a misspelt key, or what is known there."""
    section: type[BaseModel] = Params
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        section = annotation
    known = list(section.model_fields)
    near = get_close_matches(str(location[-1]), known, n=1)
    return f" (did you mean {near[0]}?)" if near else f"; known here: {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
