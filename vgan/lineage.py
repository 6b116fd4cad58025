"""Where a result comes from: the commit, whether files differ from it, the data's lock file, and who ran it."""

import hashlib
import os
import subprocess
from pathlib import Path

__all__ = ["lineage"]


def lineage(root: Path) -> dict[str, str]:
    """What the code and the data in `root` are, as tags of an MLflow run; "none" or "unknown" for what is not there."""
    lock = root / "dvc.lock"
    # What the pipeline itself writes, or the clips' digest tells better, does not make the commit another one.
    own = [f":(exclude){name}" for name in ("dvc.lock", "run.json", "metrics", "data")]
    status = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *own)
    return {
        "git.commit": _git(root, "rev-parse", "HEAD") or "none",
        "git.dirty": "unknown" if status is None else str(bool(status)).lower(),
        "dvc.lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "none",
        "dvc.stage": os.environ.get("DVC_STAGE", "none"),
        "prefect.flow_run_id": os.environ.get("VGAN_FLOW_RUN_ID", "none"),
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
