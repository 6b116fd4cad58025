"""Servers on loopback: started in a session of their own, waited for, found again."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import prefect
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL

from flows.processes import end_groups
from vgan.errors import VganError

__all__ = ["HOST", "await_answer", "note_of_running_server", "prefect_api", "start_server"]

HOST = "127.0.0.1"
_START_S = 90.0


@contextmanager
def prefect_api(root: Path) -> Iterator[str]:
    """The address of a Prefect API: PREFECT_API_URL's, that of `make ui`, or of a server that ends with the block.

    Prefect's own temporary server would share the terminal's process group: Ctrl-C would end it first and leave the
    flow retrying for over a minute to report its own end. It also gives up after 20 s, which a busy machine exceeds.
    """
    url = PREFECT_API_URL.value() or _running_server(root)
    if url is not None:
        yield url
        return
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    place = ["--app-dir", str(prefect.__module_path__.parent), "--host", HOST, "--port", str(port)]
    quiet = ["--log-level", "error", "--lifespan", "on"]
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", *place, *quiet]
    server = start_server(command, root, "prefect", {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"})
    try:
        await_answer("Prefect", server, f"{url}/health", root / ".vgan" / "prefect.log")
        yield url
    finally:
        _deliver()
        end_groups([server])


def note_of_running_server(root: Path) -> Path:
    """Where `make ui` notes the address of its Prefect API while it runs."""
    return root / ".vgan" / "ui.json"


def start_server(command: list[str], root: Path, name: str, settings: dict[str, str]) -> "subprocess.Popen[str]":
    """Start `command` in `root` in its own session, with what it says in .vgan/NAME.log."""
    log = root / ".vgan" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as output:
        return subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"PATH": path} | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def await_answer(name: str, server: "subprocess.Popen[str]", url: str, log: Path) -> None:
    """Return when `url` answers.

    Raises:
        VganError: the server ends, or does not answer in time.
    """
    until = time.monotonic() + _START_S
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > until:
            raise VganError(f"{name}'s server does not answer at {url}; what it said is in {log}")
        time.sleep(0.1)


def _deliver() -> None:
    """Have Prefect send the logs and events it still holds, or it would try for a minute after the server is gone."""
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect"):
        for handler in logging.getLogger(name).handlers:
            handler.flush()
    EventsWorker.drain_all(timeout=5)


def _running_server(root: Path) -> str | None:
    try:
        url = str(json.loads(note_of_running_server(root).read_text(encoding="utf-8"))["prefect_api"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return url if _answers(f"{url}/health") else None


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
