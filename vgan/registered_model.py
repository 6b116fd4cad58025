"""What MLflow runs when a registered generator is loaded: code and safetensors, no pickle.

model = mlflow.pyfunc.load_model("models:/vgan@champion")
videos = model.predict(None, params={"n": 4, "seed": 7})  # uint8, 4 x T x H x W x 3

A conditional generator predicts from what it is given: uint8, N x C x H x W x 3 (C = 1 for a picture), n videos each.
"""

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch

from vgan.models.conditions import Conditions
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
            """Generate `params["n"]` videos from `params["seed"]`, of each row of the input if it is conditional.

            Returns:
                uint8, n x T x H x W x 3, RGB.
            """
            asked = params or {}
            count, seed, given = int(asked["n"]), int(asked["seed"]), None
            if self._generator.context > 0:
                given = Conditions(torch.from_numpy(np.repeat(np.asarray(model_input, np.uint8), count, axis=0)))
                count = len(given.clips)
            batches = generate(self._generator, count, seed, batch_size=16, conditions=given)
            return np.concatenate([batch.numpy() for batch in batches])


mlflow.models.set_model(RegisteredGenerator())
