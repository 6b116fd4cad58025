from pathlib import Path

import pytest

from flows import dag
from tests.conftest import ROOT
from tests.flows.project import dvc, make_project, write_stages
from vgan.errors import VganError


def test_stages_come_after_what_they_need_with_their_hints(tmp_path: Path) -> None:
    graph = dag.read(make_project(tmp_path))
    assert graph.sources == ["raw.dvc"]
    assert graph.stages == [
        dag.Stage("first", "", retries=2, timeout_minutes=0.5, needs=frozenset()),
        dag.Stage("second", "what comes last, written first", retries=1, timeout_minutes=5, needs=frozenset({"first"})),
    ]


def test_the_projects_own_graph_is_what_dvc_lists(tmp_path: Path) -> None:
    """Read from copies of the project's files, so that the test needs no git repository around them."""
    make_project(tmp_path)
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    names = [stage.name for stage in dag.read(tmp_path).stages]
    assert names == ["preprocess", "train", "evaluate", "sample"]
    assert sorted(names) == sorted(line.split()[0] for line in dvc(tmp_path, "stage", "list").splitlines())


def test_independent_stages_keep_the_order_of_dvc_yaml(tmp_path: Path) -> None:
    make_project(tmp_path)
    hints = "    meta:\n      prefect: {{retries: 0, timeout_minutes: 1}}\n"
    stage = "  {0}:\n    cmd: touch {0}\n    outs:\n      - {0}\n" + hints
    (tmp_path / "dvc.yaml").write_text("stages:\n" + "".join(stage.format(name) for name in "zmaq"))
    assert [stage.name for stage in dag.read(tmp_path).stages] == list("zmaq")


def test_without_git_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text((ROOT / ".dvc" / "config").read_text())
    with pytest.raises(VganError, match=r"expected a git repository at .*, found none: .*`git init"):
        dag.read(tmp_path)


def test_outside_a_dvc_project_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(VganError, match="DVC cannot read this project"):
        dag.read(tmp_path)


def test_a_graph_with_a_cycle_is_refused(tmp_path: Path) -> None:
    make_project(tmp_path)
    text = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("      - raw\n", "      - out/second.txt\n"))
    with pytest.raises(VganError, match="DVC cannot read this project"):
        dag.read(tmp_path)


def test_missing_hints_are_named(tmp_path: Path) -> None:
    make_project(tmp_path)
    write_stages(tmp_path)
    text = (tmp_path / "dvc.yaml").read_text().replace("retries: 2, ", "")
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(VganError, match=r"stages\.first\.meta\.prefect with \['retries', 'timeout_minutes'\]"):
        dag.read(tmp_path)
