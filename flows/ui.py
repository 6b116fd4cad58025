"""`python -m flows.ui`: MLflow's and Prefect's pages on loopback, until Ctrl-C."""

import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from flows.processes import end_groups, start_guard
from flows.server import HOST, await_answer, note_of_running_server, start_server
from vgan import atomic
from vgan.errors import VganError
from vgan.tracking import client_for, tracking_uri

__all__ = ["serve"]

# MLflow's job runners serve its language-model features: nine processes that nothing here asks for.
_SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve(root: Path, mlflow_port: int, prefect_port: int) -> None:
    """Run both servers until one ends or this process is told to stop; both are gone afterwards.

    Raises:
        VganError: a port is in use, or a server ends or does not answer.
    """
    for port, option in ((mlflow_port, "--mlflow-port"), (prefect_port, "--prefect-port")):
        _require_free(port, option)
    prefect_url = f"http://{HOST}:{prefect_port}"
    commands = {"Prefect": (["prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)], prefect_url)}
    store = tracking_uri(root)
    if store.startswith("http"):
        print(f"MLflow   {store} (MLFLOW_TRACKING_URI)")
    else:
        client_for(root)  # lays the store out before a server with several workers opens it
        backend = ["mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
        place = ["--host", HOST, "--port", str(mlflow_port), "--artifacts-destination", str(root / "mlartifacts")]
        commands["MLflow"] = ([*backend, *place], f"http://{HOST}:{mlflow_port}")
    servers = {
        name: (start_server(command, root, name.lower(), _SETTINGS), url) for name, (command, url) in commands.items()
    }
    try:
        for name, (server, url) in servers.items():
            await_answer(name, server, url, root / ".vgan" / f"{name.lower()}.log")
            print(f"{name:8} {url}", flush=True)
        atomic.write_text(note_of_running_server(root), json.dumps({"prefect_api": f"{prefect_url}/api"}) + "\n")
        print("Ctrl-C stops both", flush=True)
        while True:
            for name, (server, _) in servers.items():
                if server.poll() is not None:
                    raise VganError(
                        f"{name}'s server ended with exit code {server.returncode}; the other is stopped too"
                    )
            time.sleep(0.5)
    finally:
        note_of_running_server(root).unlink(missing_ok=True)
        end_groups([server for server, _ in servers.values()])


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise VganError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): end what listens there, "
                f"or choose another, e.g. `python -m flows.ui {option} {port + 1}`"
            ) from None


def main(
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="MLflow's port.")] = 5000,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Prefect's port.")] = 4200,
) -> None:
    """Show MLflow's and Prefect's pages for this folder on loopback; Ctrl-C stops both.

    A pipeline started meanwhile reports to this Prefect server.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start_guard()  # a killed `make ui` takes its servers with it
    try:
        serve(Path.cwd(), mlflow_port, prefect_port)
    except KeyboardInterrupt:
        print("stopped both")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog="Example: `python -m flows.ui --mlflow-port 5001`")(main)
    try:
        app()
    except VganError as error:
        print(f"ui: {error}", file=sys.stderr)
        sys.exit(2)
