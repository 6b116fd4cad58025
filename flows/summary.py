"""What a run ends with: the stages, the metrics, where the samples are and which model version was registered."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from vgan.progress import duration
from vgan.registry import latest_version
from vgan.tracking import StoreAwayError, flat_numbers, read_run_id

__all__ = ["metrics_markdown", "print_summary"]


class Outcome(Protocol):
    """What is shown of a stage."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def seconds(self) -> float: ...


def print_summary(root: Path, results: Sequence[Outcome], seconds: float) -> None:
    """Print the closing tables of a run of the project at `root` that took `seconds`."""
    console = Console()
    stages = Table("stage", "state", "seconds", title=f"pipeline, {duration(seconds)}", title_justify="left")
    for result in results:
        stages.add_row(result.name, result.state, f"{result.seconds:.1f}")
    console.print(stages)
    metrics = root / "metrics" / "evaluate.json"
    if metrics.exists():
        table = Table("metric", "value", title="metrics", title_justify="left")
        for key, value in _headline(json.loads(metrics.read_text(encoding="utf-8"))).items():
            table.add_row(key, f"{value:g}")
        console.print(table)
    samples = sorted((root / "samples").glob("*"))
    places = Table("result", "where", title="results", title_justify="left")
    videos = [path for path in samples if path.suffix == ".mp4"]
    if videos:
        places.add_row(f"{len(videos)} videos", f"{videos[0].relative_to(root)} … {videos[-1].name}")
    for path in samples:
        if path.suffix != ".mp4":
            places.add_row(path.name, str(path.relative_to(root)))
    places.add_row("registered model", _registered(root))
    console.print(places)


def metrics_markdown(metrics: dict[str, object]) -> str:
    """Metrics as a Markdown table, nested keys dotted."""
    rows = [f"| {key} | {value:g} |" for key, value in _headline(metrics).items()]
    return "\n".join(["| metric | value |", "|---|---:|", *rows])


def _headline(metrics: dict[str, object]) -> dict[str, float]:
    """The numbers of evaluate.json that say how good the generator is, not how that was measured."""
    return flat_numbers({name: value for name, value in metrics.items() if name != "protocol"})


def _registered(root: Path) -> str:
    name = YAML(typ="safe", pure=True).load((root / "params.yaml").read_text(encoding="utf-8"))["tracking"]["model"]
    run_id = read_run_id(root / "run.json")
    try:
        found = latest_version(root, name, run_id) if run_id else None
    except StoreAwayError as error:
        return f"unknown, MLflow said: {error}"
    if found is None:
        return "none; once MLflow can be reached: dvc repro --force --single-item train, then make run"
    version, aliases = found
    return f"models:/{name}/{version}" + (f" ({', '.join(aliases)})" if aliases else "")
