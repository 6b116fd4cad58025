"""The model registry: which generators there are, which one challenges and which one is the champion.

A version is a pyfunc made from `registered_model.py` and a safetensors file: loading it runs no pickle.
"""

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from vgan.tracking import client_for, flat_numbers, reaching

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["latest_version", "register_generator"]

_DIGEST_TAG = "vgan.generator_sha256"


def register_generator(root: Path, name: str, *, run_id: str, generator: Path, metrics: dict[str, object]) -> str:
    """Register `generator` of the run `run_id` as the newest version of `name` and return the version.

    It becomes `challenger`, and `champion` too where there is none yet. The same weights of the same run are
    registered once; their metrics are renewed.

    Raises:
        StoreAwayError: MLflow cannot be reached.
    """
    with reaching():
        return _register(client_for(root), name, run_id=run_id, generator=generator, metrics=metrics)


def latest_version(root: Path, name: str, run_id: str) -> tuple[str, list[str]] | None:
    """The newest version of `name` that came out of the run `run_id`, with its aliases; None where there is none.

    Raises:
        StoreAwayError: MLflow cannot be reached.
    """
    with reaching():
        client = client_for(root)
        versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if not versions:
            return None
        newest = str(max(int(version.version) for version in versions))
        return newest, sorted(client.get_model_version(name, newest).aliases)


def _register(client: "MlflowClient", name: str, *, run_id: str, generator: Path, metrics: dict[str, object]) -> str:
    digest = hashlib.sha256(generator.read_bytes()).hexdigest()
    version = _version_of(client, name, run_id, digest)
    if version is None:
        version = _create_version(client, name, run_id=run_id, generator=generator)
        client.set_model_version_tag(name, version, _DIGEST_TAG, digest)
    for key, value in flat_numbers(metrics).items():
        client.set_model_version_tag(name, version, key, f"{value:g}")
    client.set_registered_model_alias(name, "challenger", version)
    if "champion" not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, "champion", version)
    return version


def _version_of(client: "MlflowClient", name: str, run_id: str, digest: str) -> str | None:
    for version in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
        if version.tags.get(_DIGEST_TAG) == digest:
            return str(version.version)
    return None


def _create_version(client: "MlflowClient", name: str, *, run_id: str, generator: Path) -> str:
    import mlflow
    import numpy as np
    import safetensors
    import torch
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec, Schema, TensorSpec

    from vgan.models.weights import load_generator

    info = load_generator(generator)[1]
    package = Path(__file__).parent
    video = TensorSpec(np.dtype("uint8"), (-1, info.frames, info.size, info.size, 3))
    given = TensorSpec(np.dtype("uint8"), (-1, info.context, info.size, info.size, 3))
    signature = ModelSignature(
        inputs=Schema([given]) if info.context else None,
        outputs=Schema([video]),
        params=ParamSchema([ParamSpec("n", "long", 1), ParamSpec("seed", "long", 0)]),
    )
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        # It asks for type hints and an input example, from which it would infer the signature that it is given here.
        warnings.simplefilter("ignore", UserWarning)
        logged = mlflow.pyfunc.log_model(
            name="generator",
            python_model=str(package / "registered_model.py"),
            artifacts={"generator": str(generator)},
            code_paths=[str(package)],
            signature=signature,
            pip_requirements=[
                f"torch=={torch.__version__.partition('+')[0]}",
                f"numpy=={np.__version__}",
                f"safetensors=={safetensors.__version__}",
            ],
        )
    try:
        client.create_registered_model(name, description="Generators of moving scenes: predict(n, seed) gives videos.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(name, logged.model_uri, run_id=run_id, model_id=logged.model_id)
    return str(version.version)
