from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from tests.conftest import ROOT
from vgan.config import load, parse
from vgan.errors import VganError

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
DEMO = YAML(typ="safe", pure=True).load((ROOT / "presets" / "demo.yaml").read_text())


def changed(path: str, value: object) -> str:
    """The demo preset with one key set to `value`."""
    content = deepcopy(DEMO)
    *sections, key = path.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[key] = value
    text = StringIO()
    YAML(typ="safe", pure=True).dump(content, text)
    return text.getvalue()


def message(text: str) -> str:
    with pytest.raises(VganError) as caught:
        parse(text, "params.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_a_complete_params_file(path: Path) -> None:
    params = load(path)
    assert params.model_dump() == YAML(typ="safe", pure=True).load(path.read_text())


def test_the_shipped_params_are_the_demo_preset() -> None:
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "presets" / "demo.yaml").read_bytes()


def test_the_paper_preset_holds_the_papers_constants() -> None:
    params = load(ROOT / "presets" / "paper.yaml")
    train = params.train
    assert (params.preprocess.frames, params.preprocess.size, params.preprocess.stabilizer) == (32, 64, "sift")
    assert (train.generator, train.channels, train.latent_dim, train.batch_size) == ("two_stream", 64, 100, 64)
    assert (train.learning_rate_g, train.learning_rate_d, train.beta1_g) == (2e-4, 2e-4, 0.5)
    assert train.mask_weight == 0.1


def test_the_future_preset_is_the_papers_but_for_its_conditional_models_constants() -> None:
    paper, future = (load(ROOT / "presets" / f"{name}.yaml").model_dump() for name in ("paper", "future"))
    constants = {"generator": "future", "channels": 128, "latent_dim": 0, "batch_size": 32, "mask_weight": 0.0}
    assert future == {**paper, "train": {**paper["train"], **constants}}
    assert (future["train"]["first_frame_weight"], future["train"]["show_condition"]) == (10.0, False)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("train.chanels", 16, "params.yaml: train.chanels: unknown key (did you mean channels?)"),
        ("trian", {}, "params.yaml: trian: unknown key (did you mean train?)"),
        ("train.channels", "16", "params.yaml: train.channels: expected a whole number, got '16'"),
        ("train.channels", True, "params.yaml: train.channels: expected a whole number, got True"),
        ("train.channels", 1.5, "params.yaml: train.channels: expected a whole number, got 1.5"),
        ("train.channels", 0, "params.yaml: train.channels: expected at least 1, got 0"),
        ("train.beta1_g", 1.0, "params.yaml: train.beta1_g: expected less than 1, got 1.0"),
        (
            "train.loss",
            "wasserstein",
            "params.yaml: train.loss: expected one of 'cross_entropy', 'hinge' or 'relativistic', got 'wasserstein'",
        ),
        ("train.augment_hue", 0.6, "params.yaml: train.augment_hue: expected at most 0.5, got 0.6"),
        ("train.learning_rate_g", "fast", "params.yaml: train.learning_rate_g: expected a number, got 'fast'"),
        ("preprocess.timeout_s", 1e300, "params.yaml: preprocess.timeout_s: expected at most 1e+06, got 1e+300"),
        ("preprocess.fps", 0, "params.yaml: preprocess.fps: expected native or a number of at least 0.1, got 0"),
        ("preprocess.fps", "25", "params.yaml: preprocess.fps: expected native or a number of at least 0.1, got '25'"),
        (
            "preprocess.duplicate_bits",
            1.5,
            "params.yaml: preprocess.duplicate_bits: expected off or a whole number of at least 0, got 1.5",
        ),
        (
            "preprocess.duplicate_bits",
            False,  # what YAML 1.1 makes of a bare off
            "params.yaml: preprocess.duplicate_bits: expected off or a whole number of at least 0, got False",
        ),
        (
            "preprocess.scene_model",
            "places.pt",
            "params.yaml: preprocess: expected scene_model, scene_labels and scene_categories together or none of "
            "them, got 'places.pt', '' and []",
        ),
        (
            "preprocess.engine",
            "dask",
            "params.yaml: preprocess.scheduler: expected the scheduler's address (tcp://host:8786) with engine: dask, "
            "and nothing with engine: local, got '' with engine: dask",
        ),
        ("preprocess.frames", 24, "params.yaml: preprocess.frames: expected a multiple of 16, got 24"),
        ("preprocess.test_share", 1.5, "params.yaml: preprocess.test_share: expected at most 1, got 1.5"),
        (
            "preprocess.stabilizer",
            "magic",
            "params.yaml: preprocess.stabilizer: expected one of 'klt', 'sift', 'vidstab' or 'none', got 'magic'",
        ),
        ("train", 3, "params.yaml: train: expected a section with keys below it, got 3"),
        ("train.mask_weight", float("inf"), "params.yaml: train.mask_weight: expected a finite number, got inf"),
        ("train.mask_weight", float("nan"), "params.yaml: train.mask_weight: expected a finite number, got nan"),
        ("train.channels", None, "params.yaml: train.channels: expected a whole number, got None"),
    ],
)
def test_a_wrong_value_is_one_line_with_key_path_expected_and_got(path: str, value: object, sentence: str) -> None:
    assert message(changed(path, value)) == sentence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"latent_dim": 0}, "train.latent_dim: expected at least 1 with generator: two_stream, got 0"),
        (
            {"generator": "content_motion", "context": 32},
            "train.context: expected less than preprocess.frames = 32, got 32",
        ),
        (
            {"generator": "content_motion", "context": 20, "show_condition": False},
            "train.context: expected to leave a multiple of 16 frames where show_condition is false, got 20 of "
            "preprocess.frames = 32",
        ),
    ],
)
def test_a_generator_needs_what_it_is_made_from(values: dict[str, object], sentence: str) -> None:
    content = deepcopy(DEMO)
    content["train"] |= values
    text = StringIO()
    YAML(typ="safe", pure=True).dump(content, text)
    assert message(text.getvalue()) == f"params.yaml: {sentence}"


def test_conditional_generators_may_do_without_noise() -> None:
    for generator in ("future", "content_motion"):
        content = deepcopy(DEMO)
        content["train"] |= {"generator": generator, "latent_dim": 0}
        text = StringIO()
        YAML(typ="safe", pure=True).dump(content, text)
        assert parse(text.getvalue(), "params.yaml").train.generator == generator


def test_a_missing_key_is_named() -> None:
    text = "\n".join(line for line in (ROOT / "params.yaml").read_text().splitlines() if "channels:" not in line)
    assert message(text) == "params.yaml: train.channels: expected a value, the key is missing"


def test_each_wrong_key_has_its_line() -> None:
    text = changed("train.channels", 0).replace("latent_dim: 100", "latent_dim: x")
    assert [line.split(":")[1].strip() for line in message(text).splitlines()] == ["train.channels", "train.latent_dim"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("train.accumulate", 3, "same size, of at least 2 clips, got 3 of train.batch_size = 16"),
        ("train.accumulate", 16, "same size, of at least 2 clips, got 16 of train.batch_size = 16"),
        ("train.decay_steps", 999, "at least train.steps = 1000, because then the rates are 0, got 0 + 999"),
    ],
)
def test_training_keys_that_exclude_each_other(path: str, value: object, sentence: str) -> None:
    told = message(changed(path, value))
    assert told.startswith(f"params.yaml: {path}: expected") and told.endswith(sentence)


@pytest.mark.parametrize("name", ["r1_gamma", "r2_gamma"])
def test_gradient_penalties_need_clips_judged_one_by_one(name: str) -> None:
    assert parse(changed(f"train.{name}", 1.0), "params.yaml").train.discriminator_norm == "spectral"
    text = changed(f"train.{name}", 1.0).replace("spectral", "batch")
    assert "train.discriminator_norm: expected spectral or none" in message(text)


def test_the_card_preset_holds_its_constants() -> None:
    params = load(ROOT / "presets" / "card.yaml")
    train = params.train
    assert (params.preprocess.frames, params.preprocess.size) == (16, 64)
    assert (train.loss, train.optimizer, train.momentum) == ("hinge", "sgd", 0.9)
    assert (train.learning_rate_g, train.learning_rate_d) == (2e-4, 1e-4)
    assert (train.batch_size, train.steps) == (32, 600_000)
    assert train.augment_flip and min(train.augment_crop, train.augment_scale) > 0
    assert (train.augment_jitter, train.augment_hue) == (0.4, 0.4)


def test_the_paper_preset_leaves_what_came_later_off() -> None:
    train = load(ROOT / "presets" / "paper.yaml").train
    assert (train.loss, train.optimizer, train.discriminator_norm) == ("cross_entropy", "adam", "batch")
    later = (train.r1_gamma, train.r2_gamma, train.frame_discriminator, train.ema_half_life, train.decay_steps)
    augmenting = (train.augment_crop, train.augment_scale, train.augment_jitter, train.augment_hue)
    disturbing = (train.diffaugment_colour, train.diffaugment_shift, train.diffaugment_cutout)
    assert not any((*later, train.augment_flip, *augmenting, *disturbing))
    assert (train.accumulate, train.discriminator_steps) == (1, 1)


def test_more_streams_than_videos_is_refused() -> None:
    assert "sample.streams: expected at most sample.count = 16, got 17" in message(changed("sample.streams", 17))


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "train: {a: 1}\ntrain: {b: 2}", "\x00"])
def test_what_is_not_a_mapping_is_refused_with_a_sentence(text: str) -> None:
    assert message(text).startswith("params.yaml")
    assert "\n" not in message(text) or text == ""


@given(st.text(max_size=200))
def test_no_text_gets_past_or_breaks_the_reader(text: str) -> None:
    with pytest.raises(VganError):
        parse(text, "params.yaml")


def test_numbers_are_read_as_dvc_reads_them() -> None:
    """YAML 1.2: 2e-4 is a number, with or without a dot."""
    text = (ROOT / "params.yaml").read_text().replace("2.0e-4", "2e-4")
    assert parse(text, "params.yaml").train.learning_rate_d == 2e-4


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"found none: run this in the project's folder"):
        load(tmp_path / "params.yaml")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VganError, match="cannot be read as UTF-8"):
        load(path)


def test_params_cannot_be_changed_after_loading() -> None:
    params: Any = load(ROOT / "params.yaml")
    with pytest.raises(ValidationError):
        params.train.channels = 3
