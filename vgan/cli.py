"""The command `vgan`: one command per stage, and what prepares them. Thin: it reads params, wires rooms, prints.

Everything heavy is imported inside the command that needs it, so `vgan --help` answers at once.
"""

import ctypes
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vgan.cli_clips import clips_app
from vgan.config import Params, load, parse
from vgan.errors import VganError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app", "main"]

app = typer.Typer(
    help="Learn how scenes move from unlabelled video. A stage reads its section of params.yaml in this folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(clips_app, name="clips")

# A full disk or quota, a file that may not grow, a folder that may not be written.
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_PARAMS = Path("params.yaml")
_RAW = Path("data/raw")
_CLIPS = Path("data/clips")
_MODELS = Path("models")
_GENERATOR = _MODELS / "generator.safetensors"
_METRICS = Path("metrics")
_SAMPLES = Path("samples")
_RUN_FILE = Path("run.json")
_IMPORT_EXAMPLES = """Examples: `vgan import folder ~/videos`: any tree of videos and pictures, labelled by folder.

`vgan import ucf101 UCF-101 --lists ucfTrainTestlist --split 1`

`vgan import hmdb51 hmdb51 --lists testTrainMulti_7030_splits --split 2` (class folders, unpacked)

`vgan import kinetics400 k400 --lists annotations --link`: cut videos (ID_000010_000020.mp4) or whole ones (ID.mp4).

`vgan import sports1m videos --lists sports-1m-dataset --into data/raw/sports1m`

`vgan import lsun lsun/bedroom_train_lmdb`: pictures, kept as stills; or folders of pictures.

`vgan import webdataset shards --max-skipped-share 0.01`: tars as video2dataset writes them.
"""
_PRESETS = Path(__file__).resolve().parent.parent / "presets"


@app.command(epilog="Examples: `vgan demo-footage`; `vgan demo-footage --into elsewhere/raw`.")
def demo_footage(
    into: Annotated[Path, typer.Option(help="Folder to lay the videos into.")] = _RAW,
) -> None:
    """Lay two real videos into data/raw and say what they show."""
    from rich.table import Table

    from vgan.footage import FOOTAGE, lay_demo_footage

    table = Table("video", "size", "frames", "frames/s", "what it shows", title=f"demo footage in {into}")
    for path, video in zip(lay_demo_footage(into), FOOTAGE, strict=True):
        size = f"{video.width}×{video.height}"
        table.add_row(str(path.relative_to(into)), size, str(video.frames), f"{video.fps:g}", video.shows)
    _console().print(table)


@app.command("import", epilog=_IMPORT_EXAMPLES)
def import_(
    kind: Annotated[str, typer.Argument(help="folder, ucf101, hmdb51, kinetics400, sports1m, lsun or webdataset.")],
    src: Annotated[Path, typer.Argument(help="Folder with the data set as it was downloaded and unpacked.")],
    into: Annotated[Path, typer.Option(help="Folder to lay the videos into, data/raw or one below it.")] = _RAW,
    link: Annotated[bool, typer.Option("--link/--copy", help="Symbolic links instead of copies.")] = False,
    split: Annotated[int | None, typer.Option(min=1, max=3, help="Official split of ucf101 or hmdb51.  [1]")] = None,
    lists: Annotated[Path | None, typer.Option(help="The data set's lists, where they lie elsewhere.")] = None,
    max_skipped_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Fail where more than this share of what is listed is absent or not usable. Without it, absent videos "
            "are no failure, and half of the others may be unusable.",
        ),
    ] = None,
) -> None:
    """Lay a data set's videos into data/raw, with its labels, groups, official split and time ranges.

    What the lists say goes to splits.csv there; lines of your own in it stay. Files that lie there already are left
    alone, so an import that was interrupted goes on when it is started again. What was passed over is summed up, and
    listed with its reason in .import/KIND-skipped.csv there.
    """
    from vgan.importers.run import Request, import_footage

    request = Request(kind, src, into, link=link, split=split, lists=lists, max_skipped_share=max_skipped_share)
    typer.echo(str(import_footage(request)))
    typer.echo(f"`dvc add {_RAW}` puts it under version control, `dvc repro` makes clips of it")


@app.command(epilog="Examples: `vgan preset paper`; `vgan preset demo --force`.")
def preset(
    name: Annotated[str, typer.Argument(help="A file of presets/ without .yaml.")],
    force: Annotated[bool, typer.Option("--force", help="Lose edits of params.yaml that no preset holds.")] = False,
) -> None:
    """Write a complete set of parameters to params.yaml."""
    from vgan import atomic

    presets = {path.stem: path for path in sorted(_PRESETS.glob("*.yaml"))}
    if name not in presets:
        raise VganError(f"expected one of the presets {', '.join(presets)}, got {name!r}")
    text = presets[name].read_text(encoding="utf-8")
    parse(text, str(presets[name]))
    shipped = {path.read_text(encoding="utf-8") for path in presets.values()}
    if _PARAMS.exists() and not force and _PARAMS.read_text(encoding="utf-8") not in shipped:
        raise VganError(
            f"{_PARAMS} has been edited and would be lost: keep a copy, then run `vgan preset {name} --force`"
        )
    atomic.write_text(_PARAMS, text)
    typer.echo(f"{_PARAMS} is now the preset {name}; `dvc repro` or `make run` makes it real")


@app.command(epilog="Examples: `vgan preprocess`; `vgan preprocess --workers 1`.")
def preprocess(
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 uses every core.")] = 0,
) -> None:
    """Cut the footage in data/raw into stabilised clips in data/clips."""
    params = _params()
    from vgan.preprocess.stage import run

    with _ending_on_sigterm():
        summary = run(params.preprocess, _RAW, _CLIPS, workers=workers)
    typer.echo(str(summary))


@app.command(epilog="Example: `vgan train` (starts, or goes on where it was interrupted).")
def train() -> None:
    """Train the video GAN on data/clips; writes models/ and run.json."""
    params = _params()
    from vgan.tracking import RunTracker
    from vgan.train.stage import run

    tracker = RunTracker(
        Path.cwd(),
        experiment=params.tracking.experiment,
        params=params.model_dump(),
        run_file=_RUN_FILE,
        history=_MODELS / "history.csv",
    )
    status = "FAILED"
    try:
        run(params.train, _CLIPS, _MODELS, tracker=tracker)
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        tracker.close(status)


@app.command(epilog="Example: `vgan evaluate` (writes metrics/evaluate.json and registers the generator in MLflow).")
def evaluate() -> None:
    """Judge generated clips against held-out ones and register the generator."""
    params = _params()
    from vgan.evaluate.stage import run

    result = run(params.evaluate, _CLIPS, _GENERATOR, _METRICS)
    # How it was measured stays in the file: it is not a metric.
    _register(params, {name: value for name, value in result.items() if name != "protocol"})


@app.command(
    epilog="Examples: `vgan sample` (the number of videos and the seed are in params.yaml); "
    "`vgan sample --image beach.jpg --image golf.png --into futures`; `vgan sample --image pictures/`."
)
def sample(
    image: Annotated[
        list[Path] | None,
        typer.Option(help="Picture, or folder of them, for a conditional generator to go on from; may be repeated."),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(help="Video whose first frames it is to go on from, steady as clips are; may be repeated."),
    ] = None,
    into: Annotated[Path, typer.Option(help="Folder to write; what was in it goes.")] = _SAMPLES,
) -> None:
    """Generate videos into samples/: single ones, an animated grid, and the streams of some.

    A conditional generator goes on from held-out clips unless it is given pictures or clips. content_motion takes both
    at once: the look of the picture, the motion of the clip.
    """
    params = _params()
    from vgan.sample import run

    for path in run(params.sample, _GENERATOR, into, clips=_CLIPS, images=image or [], videos=clip or []):
        typer.echo(str(path))


def main() -> NoReturn:
    """Run the command line; a VganError becomes its sentence and exit code 2."""
    try:
        _die_with_dvc()
        app()
    except VganError as error:
        print(f"vgan: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        place = f" at {error.filename}" if error.filename else ""
        print(
            f"vgan: {error.strerror}{place}: what was finished is kept; free space or allow writing, then start again",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print("vgan: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _params() -> Params:
    return load(_PARAMS)


def _register(params: Params, metrics: dict[str, object]) -> None:
    from vgan.models.weights import load_generator
    from vgan.registry import register_generator
    from vgan.tracking import StoreAwayError, log_evaluation, read_run_id

    run_id = read_run_id(_RUN_FILE)
    if run_id is None:
        typer.echo(f"{_RUN_FILE} names no MLflow run, so the generator is not registered", err=True)
        return
    files = sorted(_METRICS.iterdir())
    try:
        log_evaluation(Path.cwd(), run_id, metrics, load_generator(_GENERATOR)[1].step, files)
        name = params.tracking.model
        version = register_generator(Path.cwd(), name, run_id=run_id, generator=_GENERATOR, metrics=metrics)
    except StoreAwayError as error:
        typer.echo(f"the generator is not registered, MLflow said: {error}", err=True)
        return
    typer.echo(f"registered as version {version} of the model {name}")


def _die_with_dvc() -> None:
    """Under `dvc repro` on Linux, have the kernel end this stage when DVC is gone.

    A killed DVC would leave its stage running, and the next one would start a second beside it.
    """
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before the call
            sys.exit(143)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """While entered, the first SIGTERM ends the work as an error would: workers end, and what is half done goes.

    A second one, as for DVC's death, must not cut that short.
    """

    def end(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else shutil.get_terminal_size((120, 24)).columns)
