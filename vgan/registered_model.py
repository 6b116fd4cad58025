"""What MLflow runs when a registered generator is loaded: code and safetensors, no pickle.

model = mlflow.pyfunc.load_model("models:/vgan@champion")
videos = model.predict(None, params={"n": 4, "seed": 7})  # uint8, 4 x T x H x W x 3
"""

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from vgan.models.generator import generate
from vgan.models.weights import load_generator

with warnings.catch_warnings():
    # MLflow wants a type hint from which to infer a signature; this model has been given one.
    warnings.simplefilter("ignore", UserWarning)

    class RegisteredGenerator(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow is not type-checked
        """Videos from noise: n of them, the same for the same seed."""

        def load_context(self, context: Any) -> None:
            """Read the weights that were logged beside this code."""
            self._generator, _ = load_generator(Path(context.artifacts["generator"]))

        def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
            """Generate `params["n"]` videos from `params["seed"]`; neither context nor input is used.

            Returns:
                uint8, n x T x H x W x 3, RGB.
            """
            asked = params or {}
            batches = generate(self._generator, int(asked["n"]), int(asked["seed"]), batch_size=16)
            return np.concatenate([batch.numpy() for batch in batches])


mlflow.models.set_model(RegisteredGenerator())
