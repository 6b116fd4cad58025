import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import quality
from benchmarks.learning.budget import Clock, train_within
from benchmarks.learning.footage import HELD_OUT, lay_footage
from benchmarks.learning.report import figures, table
from benchmarks.learning.trials import Outcome, Trial, alike, run_trial, train_params, trial_folder, videos_of
from tests.conftest import ROOT
from tests.evaluate.clips import moving_blobs, write_clips
from tests.evaluate.generators import CONTEXT, lively_generator
from tests.footage_factory import params as cutting
from tests.train.conftest import PARAMS
from vgan.clips.store import ClipStore
from vgan.config import TrainParams, load
from vgan.errors import VganError
from vgan.evaluate import stage as evaluate
from vgan.models.weights import GeneratorInfo, save_generator
from vgan.preprocess.wishes import SPLITS, read_splits
from vgan.train import stage
from vgan.train.history import History
from vgan.video import write_video

OUTCOME = Outcome(
    preset="paper",
    seed=0,
    steps=100,
    steps_per_s=2.0,
    frechet_train=0.4,
    frechet_held_out=0.8,
    floor_train=0.05,
    floor_held_out=0.5,
    diversity=0.9,
    pixels=0.8,
    moving=0.03,
    moving_real=0.04,
    collapsed="",
)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people to train on and one to hold out, in the names of the Weizmann videos."""
    folder = tmp_path_factory.mktemp("subjects")
    for subject, clip in zip((0, 1, 5), moving_blobs(3, 0, frames=64), strict=True):
        write_video(folder / "wave" / f"subject{subject}.mp4", clip, 25.0)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, moving_blobs(16, 0, size=16), moving_blobs(8, 1, size=16))
    return folder


def test_quick_ends_with_one_line_of_json_and_is_not_done_twice(
    subjects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--quick", "--threads", "1", "--footage", str(subjects), "--into", str(tmp_path)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = answer.stdout.splitlines()
    assert lines[0].startswith(f"footage: 3 videos of {subjects.name}, subjects 5 held out")
    answers = json.loads(lines[-1])
    assert list(answers) == ["frechet_train", "frechet_held_out", "diversity", "steps_per_s", "collapsed"]
    found = {path.parent.name.split("-")[0]: path for path in tmp_path.glob("trials/*/outcome.json")}
    ours, reference = (json.loads(found[preset].read_text()) for preset in ("demo", "paper"))
    for name, figure in list(answers.items())[:4]:
        assert figure["ours"] == ours[name] > 0 and figure["reference"] == reference[name] > 0 and figure["unit"]
        ratio = figure["ours"] / figure["reference"]
        assert figure["ratio"] == pytest.approx(1 / ratio if name.startswith("frechet") else ratio)
    for outcome in (ours, reference):
        assert outcome["steps"] == 10
        assert bool(outcome["collapsed"]) == (outcome["diversity"] < 0.25 or outcome["pixels"] < 0.1)
    settings = [json.loads((path.parent / "params.json").read_text())["train"] for path in found.values()]
    assert [(one["channels"], one["seed"]) for one in settings] == [(2, 0), (2, 0)]
    store = ClipStore(tmp_path / "clips")
    held_out = {store.sources[index] for index in store.indices("test")}
    assert held_out == {"wave/subject5.mp4"} == set(store.sources) - {"wave/subject0.mp4", "wave/subject1.mp4"}
    band = 20 + 3 * 18 - 2
    picture = cv2.imread(str(tmp_path / "quality.png"))
    assert picture is not None and picture.shape == (3 * band, 12 * 18 - 2, 3)

    monkeypatch.setattr(stage, "run", never)
    monkeypatch.setattr(evaluate, "run", never)
    quality.main(arguments)
    assert capsys.readouterr().out.splitlines()[-1] == lines[-1]


def never(*_: object, **__: object) -> None:
    raise AssertionError("this was done before")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.los=hinge", "train.los: unknown key .did you mean loss?"),
        ("train.loss=wasserstein", "train.loss: expected one of .*, got 'wasserstein'"),
        ("train.r1_gamma=1", "train.discriminator_norm: expected spectral or none with r1_gamma"),
        ("train.batch_size=many", "train.batch_size: expected a whole number, got 'many'"),
        ("train.loss=[", "expected a YAML value after train.loss="),
        ("train.loss=2020-01-01", "train.loss: expected one of"),
        ("train.seed=3", "train.seed is the comparison's own to set, .*: use --seeds"),
        ("preprocess.stride=3", "expected train.KEY=VALUE, .*, got 'preprocess.stride=3'"),
        ("train.loss", "expected train.KEY=VALUE"),
    ],
)
def test_an_override_that_cannot_be_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(VganError, match=sentence):
        train_params("paper", 16, 100, [override])


def test_a_preset_is_trained_as_it_is_but_for_what_the_comparison_decides() -> None:
    shipped = load(ROOT / "presets" / "paper.yaml").train
    params = train_params(
        "paper", 16, 10**6, ["train.learning_rate_g=1e-4", "train.loss=hinge", "train.loss=relativistic"]
    )
    changed = {name for name, value in params if value != getattr(shipped, name)}
    assert changed == {
        *("channels", "steps", "log_every", "sample_every", "checkpoint_every"),
        *("learning_rate_g", "loss"),
    }
    assert (params.channels, params.learning_rate_g, params.loss) == (16, 1e-4, "relativistic")
    assert params.steps == 10**6 < params.sample_every and params.checkpoint_every % params.log_every == 0
    decaying = train_params("paper", 16, 10**6, ["train.decay_start=20", "train.decay_steps=30"])
    assert decaying.steps == 50  # behind that the rates are 0
    with pytest.raises(VganError, match=r"expected one of the presets card, demo, .*, got 'papers'"):
        train_params("papers", 16, 1, [])


def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, sentence in (
        (["--set", "train.los=hinge"], "train.los: unknown key"),
        (["--minutes", "0"], "--minutes: expected more than 0, got 0"),
        (["--samples", "3"], "--samples: expected at least 16, got 3"),
        (["--fast"], "unrecognized arguments: --fast"),
    ):
        with pytest.raises(SystemExit) as stopped:
            quality.main([*arguments, "--into", str(tmp_path / "new")])
        assert stopped.value.code == 2 and sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_no_held_out_subject_is_trained_on_nor_its_mirror_image(tmp_path: Path) -> None:
    footage, raw, few = tmp_path / "footage", tmp_path / "raw", tmp_path / "few"
    names = [
        f"{action}/subject{subject}{mirror}.mp4"
        for action in ("bend", "jack")
        for subject in (*range(7), 15)
        for mirror in ("", "_mirror")
    ]
    for name in names:
        (footage / name).parent.mkdir(parents=True, exist_ok=True)
        (footage / name).write_text(name)
    _, params = lay_footage(footage, raw, cutting(stabilizer="klt"), few=False)
    assert (params.stabilizer, params.test_by) == ("none", "video")
    wishes = read_splits(raw, names)
    assert {name for name in names if wishes[name].split == "test"} == {
        name
        for name in names
        if name.split("/")[1].removesuffix(".mp4").removesuffix("_mirror") in ("subject5", "subject6")
    }
    assert {wish.split for wish in wishes.values()} == {"train", "test"}
    assert all(name.split("/")[1].split(".")[0].split("_")[0] == wishes[name].group for name in names)
    assert (raw / names[0]).is_symlink() and (raw / names[0]).read_text() == names[0]
    lay_footage(footage, few, cutting(), few=True)
    assert {path.name for path in few.rglob("*.mp4")} == {f"subject{number}.mp4" for number in (*range(7), 15)}
    assert {path.parent.name for path in few.rglob("*.mp4")} == {"bend"}


def test_other_footage_is_split_by_its_table_or_by_time(tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    with pytest.raises(VganError, match=r"expected videos below .*footage, found none"):
        lay_footage(footage, tmp_path / "none", cutting(), few=False)
    (footage / "subject1.mp4").touch()
    with pytest.raises(VganError, match=r"expected subjects 5, 6 to hold out and others to train on .* found 1"):
        lay_footage(footage, tmp_path / "one", cutting(), few=False)
    (footage / "street.mp4").touch()
    _, params = lay_footage(footage, tmp_path / "time", cutting(test_by="video"), few=False)
    assert (params.test_by, params.stabilizer) == ("time", cutting().stabilizer)
    assert {path.name for path in (tmp_path / "time").iterdir()} == {"street.mp4", "subject1.mp4"}
    (footage / SPLITS).write_text("path,split\nstreet.mp4,test\n")
    _, params = lay_footage(footage, tmp_path / "table", cutting(), few=True)
    assert params.test_by == "video" and read_splits(tmp_path / "table", ["street.mp4"])["street.mp4"].split == "test"


def test_the_clock_knows_the_time_behind_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Clock(tmp_path / "clock.json")
    assert (clock.go_on_from(0), clock.rate()) == (0.0, 0.0)
    now = 110.0
    clock.metrics(10, {})
    now = 130.0
    clock.metrics(20, {})
    assert clock.rate() == 20 / 30
    again = Clock(tmp_path / "clock.json")
    assert [again.seconds_at(step) for step in (0, 5, 10, 15, 20, 40)] == [0, 5, 10, 20, 30, 60]
    now = 1000.0
    assert again.go_on_from(15) == 20  # what lies beyond the checkpoint is undone, and does not count
    now = 1001.0
    again.metrics(20, {})
    assert Clock(tmp_path / "clock.json").seconds_at(20) == 21


def test_an_interrupted_training_goes_on_with_the_time_that_is_left(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PARAMS.model_copy(update={"steps": 4, "checkpoint_every": 2, "log_every": 1, "sample_every": 10**6})
    models, clock, run = tmp_path / "models", tmp_path / "clock.json", stage.run

    def interrupted(params: TrainParams, *arguments: Path, tracker: Clock) -> None:
        run(params.model_copy(update={"steps": 3}), *arguments, tracker=tracker)
        (models / "generator.safetensors").unlink()
        raise SystemExit(143)

    monkeypatch.setattr(stage, "run", interrupted)
    with pytest.raises(SystemExit):
        train_within(5, params, clips, models)
    assert list(json.loads(clock.read_text())) == ["1", "2", "3"]

    monkeypatch.setattr(stage, "run", run)
    assert train_within(5, params, clips, models) > 0
    assert list(json.loads(clock.read_text())) == ["1", "2", "3", "4"]
    weights = (models / "generator.safetensors").read_bytes()
    undisturbed = tmp_path / "other" / "models"
    train_within(5, params, clips, undisturbed)
    assert weights == (undisturbed / "generator.safetensors").read_bytes()

    started: list[float] = []
    monkeypatch.setattr(stage, "run", lambda params, *_, **__: started.append(params.max_minutes))
    train_within(5, params, clips, models)
    assert started == []  # it is finished
    (models / "generator.safetensors").unlink()
    for seconds in (60.0, 600.0):
        clock.write_text(json.dumps({"2": seconds / 2, "4": seconds}))
        train_within(5, params, clips, models)
    assert started == [4.0, pytest.approx(0, abs=1e-6)] and started[1] > 0  # 0 would be no limit
    newest = models / "checkpoints" / "step-00000004.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    clock.write_text(json.dumps({"2": 30.0, "4": 60.0}))
    train_within(5, params, clips, models)
    assert started[2] == 4.5


def test_a_training_that_diverges_is_an_outcome(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = train_params("demo", 2, 3, ["train.batch_size=2"])
    trial = Trial("demo", params, load(ROOT / "presets" / "demo.yaml").evaluate, 5)
    monkeypatch.setattr(History, "diverged", lambda _: True)
    outcome = run_trial(trial, clips, tmp_path)
    assert outcome.collapsed.startswith("training diverged") and outcome.frechet_train is None
    place = trial_folder(trial, ClipStore(clips), tmp_path)
    assert json.loads((place / "outcome.json").read_text()) == asdict(outcome)


@pytest.mark.parametrize("change", [{"seed": 1}, {"loss": "hinge"}, {"steps": 4}])
def test_another_setting_is_another_trial(clips: Path, tmp_path: Path, change: dict[str, object]) -> None:
    params = train_params("demo", 2, 3, [])
    trial = Trial("demo", params, load(ROOT / "presets" / "demo.yaml").evaluate, 5)
    place: Callable[[Trial], Path] = lambda trial: trial_folder(trial, ClipStore(clips), tmp_path)  # noqa: E731
    assert place(replace(trial, train=params.model_copy(update=change))) != place(trial)
    assert place(replace(trial, minutes=6)) != place(trial) == place(replace(trial))


def test_a_conditional_generator_is_given_held_out_beginnings(clips: Path, tmp_path: Path) -> None:
    network = lively_generator("content_motion", size=16)
    assert network.context == CONTEXT
    held_out = moving_blobs(9, 4, size=16)
    write_clips(tmp_path / "clips", moving_blobs(9, 3, size=16), held_out)
    path = tmp_path / "generator.safetensors"
    info = GeneratorInfo(
        generator="content_motion",
        channels=2,
        latent_dim=5,
        frames=16,
        size=16,
        fps=25.0,
        step=1,
        clips_digest="",
        context=CONTEXT,
    )
    save_generator(path, network, info)
    videos = videos_of(path, tmp_path / "clips", 5, seed=1)
    order = np.random.default_rng(1).permutation(np.arange(9))[:5]
    np.testing.assert_array_equal(videos[:, :CONTEXT], held_out[order][:, :CONTEXT])
    assert videos.shape == (5, 16, 16, 16, 3)


def test_figures_are_medians_in_favour_of_ours_above_one() -> None:
    lost = replace(
        OUTCOME,
        steps=0,
        pixels=0.0,
        moving=0.0,
        frechet_train=None,
        frechet_held_out=None,
        diversity=0.0,
        steps_per_s=0.0,
        collapsed="lost",
    )
    ours = [
        replace(OUTCOME, frechet_train=0.2, diversity=1.0, steps_per_s=5.0),
        replace(OUTCOME, frechet_train=0.1),
        OUTCOME,
    ]
    result = figures({"reference": [OUTCOME, lost, replace(OUTCOME, frechet_train=0.3)], "ours": ours})
    expected = {
        "frechet_train": (0.2, 0.4, 2.0),  # a lost one is farther away than any
        "frechet_held_out": (0.8, 0.8, 1.0),
        "diversity": (0.9, 0.9, 1.0),
        "steps_per_s": (2.0, 2.0, 1.0),
        "collapsed": (0, 1, 2.0),
    }
    for name, values in expected.items():
        assert tuple(result[name][key] for key in ("ours", "reference", "ratio")) == pytest.approx(values)
    with pytest.raises(VganError, match="expected most trainings of each preset to end with a generator"):
        figures({"reference": [OUTCOME, lost, lost], "ours": ours})
    lines = table({"reference": [OUTCOME, lost, lost], "ours": ours}).splitlines()
    assert [line.split()[0] for line in lines] == ["seed", *4 * ["reference"], *4 * ["ours"], "real"]
    assert lines[1].split() == ["reference", "(paper)", "0", "100", "2", "0.4", "0.8", "0.9", "0.8", "0.03", "no"]
    assert lines[4].split()[2:] == ["median", "0", "0", "-", "-", "0", "0", "0", "2", "of", "3"]
    assert lines[-1].split() == ["real", "(the", "floors)", "0.05", "0.5", "1", "1", "0.04"]


@pytest.mark.parametrize(
    ("features", "pixels", "said"),
    [
        (0.25, 0.1, ""),
        (0.249, 0.1, "diversity of features is 0.249"),
        (0.25, 0.05, "diversity of pixels is 0.050"),
        (0.1, 0.05, "diversity of features is 0.100; diversity of pixels is 0.050"),
    ],
)
def test_videos_that_are_nearly_alike_are_a_collapse(features: float, pixels: float, said: str) -> None:
    assert alike(features, pixels) == said


def test_the_held_out_subjects_are_those_of_the_protocol() -> None:
    assert {5, 6} == HELD_OUT
