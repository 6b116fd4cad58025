"""`make setup` with a stand-in for Python, so that no test installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Makes an environment whose pip fails while a file `broken` lies beside the Makefile, and notes each call.
PYTHON = """#!/bin/sh
if [ "$1" = -V ]; then echo "Python $VERSION"; exit; fi
if [ "$1" = -c ]; then [ "$VERSION" != 3.10.1 ]; exit; fi
if [ "$1 $2" = "-m venv" ]; then
  echo venv >> calls
  rm -rf .venv  # as --clear does
  mkdir -p .venv/bin
  cp "$0" .venv/bin/python
  cp "$0" .venv/bin/pip
  exit
fi
echo "$@" >> calls
case "$*" in *"pip install"*requirements.lock*) [ ! -e broken ];; esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(project: Path, target: str, version: str = "3.11.7") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", target, f"PYTHON={project}/python"],
        cwd=project,
        env={"PATH": os.environ["PATH"], "VERSION": version},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(project: Path) -> list[str]:
    return (project / "calls").read_text().splitlines()


def test_an_interrupted_installation_is_completed_by_the_next_make(project: Path) -> None:
    (project / "broken").touch()
    assert make(project, "setup").returncode != 0
    assert not (project / ".venv" / ".complete").exists()
    (project / "broken").unlink()
    assert make(project, "setup").returncode == 0
    assert (project / ".venv" / ".complete").exists()
    assert any("--no-deps --no-build-isolation -e ." in call for call in calls(project))


def test_an_environment_that_was_cut_off_is_made_anew(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").touch()
    assert make(project, "setup").returncode == 0
    assert calls(project)[0] == "venv"


def test_a_complete_environment_is_left_alone_until_the_lock_changes(project: Path) -> None:
    make(project, "setup")
    before = calls(project)
    assert make(project, "setup").returncode == 0
    assert calls(project) == before
    later = (project / ".venv" / ".complete").stat().st_mtime + 10
    os.utime(project / "requirements.lock", (later, later))
    make(project, "setup")
    assert len(calls(project)) > len(before)
    assert "venv" not in calls(project)[len(before) :]


def test_an_old_python_is_refused_with_what_to_do(project: Path) -> None:
    answer = make(project, "run", version="3.10.1")
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr and "3.10.1" in answer.stderr
    assert "make run PYTHON=python3.12" in answer.stderr
    assert not (project / ".venv").exists()


def test_help_lists_every_target(project: Path) -> None:
    listed = {line.split()[0] for line in make(project, "help").stdout.splitlines()}
    assert {"setup", "run", "test", "check", "ui", "bench", "clean", "help"} <= listed


def test_clean_removes_caches_and_nothing_that_took_work(project: Path) -> None:
    kept = ["data/raw/a.mp4", "data/clips/x", "models/x", "samples/x", "run.json", ".venv/__pycache__/x", "mlflow.db"]
    gone = [".mypy_cache/x", ".pytest_cache/x", "dvc_plots/x", "vgan/__pycache__/x", "vgan.egg-info/x"]
    for name in [*kept, *gone]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    assert make(project, "clean").returncode == 0
    assert [name for name in kept if not (project / name).exists()] == []
    assert [name for name in gone if (project / name).exists()] == []


def test_the_lock_names_one_version_of_everything_and_no_build_of_torch() -> None:
    lines = [line.split(";")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    packages = [line.split("#")[0].strip() for line in lines if line and not line.startswith("#")]
    assert all("==" in package for package in packages)
    pinned = dict(package.split("==") for package in packages)
    assert pinned["torch"] == "2.13.0"
    assert tuple(int(part) for part in pinned["fastapi"].split(".")[:2]) < (0, 151)
    assert {name for name in pinned if name.startswith(("nvidia-", "cuda-", "triton"))} == set()
    for name in ("dvc", "prefect", "mlflow", "ffmpeg-python", "pytest", "ruff", "mypy"):
        assert name in pinned
