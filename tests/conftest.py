"""What every test stands on: no telemetry, stores and caches in temporary folders, real footage where it is there."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Set before any module reads them; a test that needs another value sets it for itself.
os.environ |= {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL", "DVC_STAGE", "VGAN_FLOW_MARK"):
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC's machine-wide state goes into the test's folder."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".dvc-site-cache"))


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow SQLite file with its tables and nothing in them: copying it takes no time, making it takes seconds."""
    from vgan.tracking import client_for

    folder = tmp_path_factory.mktemp("mlflow")
    client_for(folder)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage that lies beside the project on some machines; skips where it does not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real footage at {folder}")
    return folder
