import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from tests.evaluate.generators import lively_generator
from vgan.models.conditions import Conditions
from vgan.models.generator import build_generator, generate
from vgan.models.weights import GeneratorInfo, load_generator, save_generator
from vgan.registry import latest_version, register_generator
from vgan.tracking import client_for

# MLflow's own deprecations, and its advice about type hints that a tensor signature makes needless.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:.*type hint:UserWarning",
    "ignore:.*input example:UserWarning",
)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, mlflow_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(mlflow_store, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")


def saved(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = build_generator("two_stream", channels=2, latent_dim=4, frames=16, size=16)
    info = GeneratorInfo("two_stream", 2, 4, 16, 16, 25.0, 7, "c" * 64)
    path = folder / f"generator-{seed}.safetensors"
    save_generator(path, network, info)
    return path


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    return {name: str(version) for name, version in client.get_registered_model("vgan").aliases.items()}


def new_run(root: Path) -> str:
    client = client_for(root)
    found = client.get_experiment_by_name("vgan")
    experiment = found.experiment_id if found else client.create_experiment("vgan", (root / "artifacts").as_uri())
    return str(client.create_run(experiment).info.run_id)


def register(root: Path, run_id: str, generator: Path, value: float = 1.0) -> str:
    return register_generator(root, "vgan", run_id=run_id, generator=generator, metrics={"frechet": {"model": value}})


def test_the_first_version_is_challenger_and_champion_later_ones_only_challenge(tmp_path: Path) -> None:
    first = register(tmp_path, new_run(tmp_path), saved(tmp_path, 0))
    client = client_for(tmp_path)
    assert aliases(client) == {"champion": first, "challenger": first}
    second = register(tmp_path, new_run(tmp_path), saved(tmp_path, 1))
    assert aliases(client) == {"champion": first, "challenger": second}


def test_the_same_weights_of_the_same_run_are_one_version_with_the_newest_metrics(tmp_path: Path) -> None:
    run_id = new_run(tmp_path)
    generator = saved(tmp_path, 0)
    first = register(tmp_path, run_id, generator, 1.0)
    assert register(tmp_path, run_id, generator, 0.5) == first
    client = client_for(tmp_path)
    assert client.get_model_version("vgan", first).tags["frechet.model"] == "0.5"
    assert register(tmp_path, run_id, saved(tmp_path, 1)) != first
    assert register(tmp_path, new_run(tmp_path), generator) not in (first, None)
    assert len(client.search_model_versions("name = 'vgan'")) == 3


def test_latest_version_is_of_the_run_asked_for(tmp_path: Path) -> None:
    run_id = new_run(tmp_path)
    version = register(tmp_path, run_id, saved(tmp_path, 0))
    register(tmp_path, new_run(tmp_path), saved(tmp_path, 1))
    assert latest_version(tmp_path, "vgan", run_id) == (version, ["champion"])
    assert latest_version(tmp_path, "vgan", "0" * 32) is None


def test_a_loaded_version_generates_what_the_file_generates_with_pickle_forbidden(tmp_path: Path) -> None:
    generator = saved(tmp_path, 0)
    register(tmp_path, new_run(tmp_path), generator)
    model = mlflow.pyfunc.load_model("models:/vgan@champion")
    videos = model.predict(None, params={"n": 3, "seed": 11})
    network, _ = load_generator(generator)
    expected = np.concatenate([batch.numpy() for batch in generate(network, 3, 11, batch_size=3)])
    assert videos.shape == (3, 16, 16, 16, 3) and videos.dtype == np.uint8
    np.testing.assert_array_equal(videos, expected)
    signature = model.metadata.signature
    assert [(spec.name, spec.default) for spec in signature.params.params] == [("n", 1), ("seed", 0)]
    assert not np.array_equal(model.predict(None, params={"n": 3, "seed": 12}), expected)


def test_a_version_loads_where_vgan_is_not_installed(tmp_path: Path) -> None:
    """The version carries the code it needs."""
    register(tmp_path, new_run(tmp_path), saved(tmp_path, 0))
    code = f"""
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [place for place in sys.path if place and "site-packages" in place or "lib/python" in place]
try:
    import vgan
    sys.exit("vgan is installed here after all")
except ImportError:
    pass
import mlflow
mlflow.set_tracking_uri("sqlite:///{tmp_path}/mlflow.db")
print(mlflow.pyfunc.load_model("models:/vgan@champion").predict(None, params={{"n": 2, "seed": 1}}).shape)
"""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "(2, 16, 16, 16, 3)"


@pytest.mark.parametrize(("kind", "latent_dim"), [("future", 0), ("content_motion", 3)])
def test_a_conditional_version_goes_on_from_what_it_is_given(kind: str, latent_dim: int, tmp_path: Path) -> None:
    network = lively_generator(kind, size=16, latent_dim=latent_dim)
    context = network.context
    path = tmp_path / "generator.safetensors"
    save_generator(path, network, GeneratorInfo(kind, 2, latent_dim, 16, 16, 25.0, 7, "c" * 64, context))
    register(tmp_path, new_run(tmp_path), path)
    loaded = mlflow.pyfunc.load_model("models:/vgan@champion")
    given = np.random.default_rng(0).integers(0, 256, (2, context, 16, 16, 3), np.uint8)
    videos = loaded.predict(given, params={"n": 3, "seed": 5})
    assert videos.dtype == np.uint8 and videos.shape == (6, 16, 16, 16, 3)
    assert np.array_equal(videos[0], videos[1]) == (latent_dim == 0)
    conditions = Conditions(torch.from_numpy(given.repeat(3, axis=0)))
    assert np.array_equal(videos, np.concatenate([*generate(load_generator(path)[0], 6, 5, 16, conditions)]))
    with pytest.raises(mlflow.MlflowException, match="schema"):
        loaded.predict(given[:, :, :8], params={"n": 1, "seed": 5})
