"""The stages, read from DVC's own index: dvc.yaml is the only place that says what depends on what."""

from dataclasses import dataclass
from pathlib import Path

import networkx
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from vgan.errors import VganError

__all__ = ["Dag", "Stage", "read"]


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, with the hints for the orchestrator from its `meta.prefect`."""

    name: str
    description: str
    retries: int  # after a death by signal; a stage that says what is wrong is not tried again
    timeout_minutes: float
    needs: frozenset[str]  # the stages before it, directly or not


@dataclass(frozen=True)
class Dag:
    """What there is to run."""

    sources: list[str]  # tracked data, such as data/raw.dvc, that DVC verifies before any stage
    stages: list[Stage]  # every stage after those it depends on; ties in dvc.yaml's order


def read(root: Path) -> Dag:
    """Read the graph of the DVC project at `root`.

    Raises:
        VganError: no git repository, no DVC project, or a dvc.yaml that DVC cannot read.
    """
    try:
        with Repo(str(root.resolve())) as repo:
            graph = repo.index.graph
            place = {node: number for number, node in enumerate(repo.index.stages)}
            # DVC's edges lead from a stage to what it needs.
            ordered = list(networkx.lexicographical_topological_sort(graph.reverse(), key=place.__getitem__))
            sources = [
                Path(node.path).relative_to(root.resolve()).as_posix() for node in ordered if node.is_data_source
            ]
            stages = [
                _stage(
                    node.name,
                    node.desc or "",
                    (node.meta or {}).get("prefect", {}),
                    frozenset(need.name for need in networkx.descendants(graph, node) if not need.is_data_source),
                )
                for node in ordered
                if not node.is_data_source
            ]
    except SCMError:
        raise VganError(
            f"expected a git repository at {root}, found none: DVC and MLflow tie results to a commit; "
            "run `git init && git add -A && git commit -m start`, then this again"
        ) from None
    except DvcException as error:
        raise VganError(f"DVC cannot read this project: {error}") from None
    return Dag(sources, stages)


def _stage(name: str, description: str, hints: dict[str, float], needs: frozenset[str]) -> Stage:
    known = {"retries", "timeout_minutes"}
    if set(hints) != known:
        raise VganError(f"dvc.yaml: expected stages.{name}.meta.prefect with {sorted(known)}, got {sorted(hints)}")
    return Stage(name, description, int(hints["retries"]), float(hints["timeout_minutes"]), needs)
