import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

pytestmark = pytest.mark.filterwarnings("default")  # Prefect's own, on import

from flows.guard import MARK  # noqa: E402
from flows.server import _running_server as running_server  # noqa: E402
from flows.ui import serve  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from vgan.errors import VganError  # noqa: E402


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@pytest.mark.parametrize("option", ["--mlflow-port", "--prefect-port"])
def test_a_port_in_use_is_named_with_another_to_try(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, (other, _) = taken.getsockname()[1], free_ports()
        ports = (port, other) if option == "--mlflow-port" else (other, port)
        with pytest.raises(
            VganError, match=rf"port {port} on 127.0.0.1 cannot be used .*`python -m flows.ui {option} {port + 1}`"
        ):
            serve(tmp_path, *ports)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_found_where_none_runs(tmp_path: Path) -> None:
    assert running_server(tmp_path) is None
    (tmp_path / ".vgan").mkdir()
    (tmp_path / ".vgan" / "ui.json").write_text(json.dumps({"prefect_api": f"http://127.0.0.1:{free_ports()[0]}/api"}))
    assert running_server(tmp_path) is None
    (tmp_path / ".vgan" / "ui.json").write_text("{")
    assert running_server(tmp_path) is None


def test_both_pages_answer_until_it_is_stopped(tmp_path: Path, mlflow_store: Path) -> None:
    shutil.copy(mlflow_store, tmp_path / "mlflow.db")
    mlflow_port, prefect_port = free_ports()
    environment = {name: value for name, value in os.environ.items() if name not in (MARK, "MLFLOW_TRACKING_URI")}
    environment |= {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / ".prefect")}
    ports = ["--mlflow-port", str(mlflow_port), "--prefect-port", str(prefect_port)]
    ui = subprocess.Popen(
        [sys.executable, "-m", "flows.ui", *ports], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert ui.stdout is not None
        said = [ui.stdout.readline().split() for _ in range(2)]
        assert said == [["Prefect", f"http://127.0.0.1:{prefect_port}"], ["MLflow", f"http://127.0.0.1:{mlflow_port}"]]
        assert ui.stdout.readline() == "Ctrl-C stops both\n"
        assert b"<title>MLflow" in urlopen(said[1][1], timeout=10).read()
        assert b"Prefect" in urlopen(said[0][1], timeout=10).read()
        deadline = time.monotonic() + 10
        while running_server(tmp_path) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running_server(tmp_path) == f"http://127.0.0.1:{prefect_port}/api"
        listening = {
            connection.laddr.ip
            for process in [psutil.Process(ui.pid), *psutil.Process(ui.pid).children(recursive=True)]
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        tree = psutil.Process(ui.pid).children(recursive=True)
    finally:
        ui.send_signal(signal.SIGINT)
        rest, _ = ui.communicate(timeout=30)
    assert "stopped both" in rest
    assert ui.returncode == 0
    assert psutil.wait_procs(tree, timeout=10)[1] == []
    assert running_server(tmp_path) is None
