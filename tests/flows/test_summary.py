import json
from pathlib import Path

import pytest

from flows.summary import metrics_markdown, print_summary
from tests.test_registry import new_run, register, saved

METRICS: dict[str, object] = {
    "frechet": {"model": 0.25, "floor": 0.0625},
    "mask": None,
    "protocol": {"clips": 128, "network": "n"},
}


class Outcome:
    def __init__(self, name: str, state: str, seconds: float) -> None:
        self.name, self.state, self.seconds = name, state, seconds


def project(root: Path) -> Path:
    (root / "params.yaml").write_text("tracking:\n  model: vgan\n")
    (root / "metrics").mkdir()
    (root / "metrics" / "evaluate.json").write_text(json.dumps(METRICS))
    (root / "samples" / "streams").mkdir(parents=True)
    for name in ("video-000.mp4", "video-001.mp4", "grid.gif"):
        (root / "samples" / name).touch()
    return root


def printed(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_summary(root, [Outcome("preprocess", "ran", 3.25), Outcome("train", "up to date", 0.5)], 64)
    return capsys.readouterr().out


def test_it_tells_stages_metrics_samples_and_that_no_version_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(project(tmp_path), capsys)
    lines = {tuple(word.strip() for word in line.strip("│").split("│")) for line in text.splitlines() if "│" in line}
    assert "pipeline, 1:04" in text
    assert {("preprocess", "ran", "3.2"), ("train", "up to date", "0.5")} <= lines
    assert {("frechet.model", "0.25"), ("frechet.floor", "0.0625")} <= lines
    assert {("2 videos", "samples/video-000.mp4 … video-001.mp4"), ("grid.gif", "samples/grid.gif")} <= lines
    assert any(line[0] == "registered model" and line[1].startswith("none") for line in lines)
    assert "protocol" not in text


@pytest.mark.filterwarnings("default")
def test_it_names_the_version_that_came_out_of_this_run(
    tmp_path: Path, mlflow_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(mlflow_store.read_bytes())
    run_id = new_run(tmp_path)
    register(tmp_path, run_id, saved(tmp_path, 0))
    (project(tmp_path) / "run.json").write_text(json.dumps({"run_id": run_id}))
    assert "models:/vgan/1 (challenger, champion)" in printed(tmp_path, capsys)


def test_markdown_has_a_row_a_metric() -> None:
    assert metrics_markdown(METRICS).splitlines() == [
        "| metric | value |",
        "|---|---:|",
        "| frechet.model | 0.25 |",
        "| frechet.floor | 0.0625 |",
    ]
