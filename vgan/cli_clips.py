"""The commands `vgan clips ...`: what is in data/clips, and whether it is whole. Thin, as cli.py is."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgan.config import load

__all__ = ["clips_app"]

clips_app = typer.Typer(
    help="Look at data/clips: what is in it, and whether it is whole.",
    no_args_is_help=True,
    epilog="Examples: `vgan clips stats`; `vgan clips verify --repair`.",
)

_PARAMS = Path("params.yaml")
_RAW = Path("data/raw")
_CLIPS = Path("data/clips")


@clips_app.command("stats", epilog="Examples: `vgan clips stats`; `vgan clips stats --json | jq .labels`.")
def clips_stats(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Count clips by label, split and reason, and show durations and how motion was undone."""
    import json

    from rich.console import Console

    from vgan.clips.stats import stats, tables

    found = stats(_CLIPS)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else shutil.get_terminal_size((120, 24)).columns)
    for table in tables(found):
        console.print(table)


@clips_app.command("picture", epilog="Examples: `vgan clips picture`; `vgan clips picture --seed 7 --into other.png`.")
def clips_picture(
    into: Annotated[Path, typer.Option(help="File to write.")] = Path("clips.png"),
    seed: Annotated[int, typer.Option(min=0, help="Another one shows other clips.")] = 0,
) -> None:
    """Draw random kept and dropped clips, with labels and reasons."""
    from vgan.atomic import write_bytes
    from vgan.preprocess.overview import clips_picture, png

    write_bytes(into, png(clips_picture(_CLIPS, seed)))
    typer.echo(str(into))


@clips_app.command("verify", epilog="Examples: `vgan clips verify`; `vgan clips verify --repair`.")
def clips_verify(
    repair: Annotated[bool, typer.Option("--repair", help="Make what is broken again, from data/raw.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Threads and processes; 0 uses every core.")] = 0,
) -> None:
    """Check every file of data/clips; exit code 1 if something is wrong and was not mended."""
    from vgan.preprocess import verify

    problems = verify.find_problems(_CLIPS, workers=workers)
    for problem in problems:
        typer.echo(problem.text, err=True)
    if problems and repair:
        typer.echo(str(verify.repair(problems, load(_PARAMS).preprocess, _RAW, _CLIPS, workers=workers)))
        problems = verify.find_problems(_CLIPS, workers=workers)
    if problems:
        advice = "makes it again from data/raw; `dvc checkout -f` fetches it, if DVC's cache is not damaged too"
        typer.echo(f"`vgan clips verify --repair` {advice}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{_CLIPS} is whole")
