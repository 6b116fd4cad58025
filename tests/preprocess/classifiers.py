"""Small classifiers whose answer is known: the strongest of a picture's three mean colours."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

__all__ = ["COLOURS", "write_labels", "write_onnx", "write_torchscript"]

COLOURS = ["red_room", "green_field", "blue_sea"]


class _MeanColour(nn.Module):
    """Scores of the three colours; more outputs repeat them."""

    def __init__(self, outputs: int, fault: float) -> None:
        super().__init__()
        self.outputs, self.fault = outputs, fault

    def forward(self, x: Tensor) -> Tensor:
        """B x 3 x H x W to B x `outputs`."""
        return x.mean((2, 3)).repeat(1, 4)[:, : self.outputs] + self.fault


def write_torchscript(path: Path, outputs: int = 3, fault: float = 0.0) -> None:
    """A TorchScript classifier; `fault` is added to all scores."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(_MeanColour(outputs, fault), torch.zeros(2, 3, 8, 8)).save(str(path))  # type: ignore[no-untyped-call]


def write_onnx(
    path: Path, shape: tuple[int | str, ...] = ("n", 3, "h", "w"), outputs: int = 3, fault: float = 0.0
) -> None:
    """The same as ONNX, taking pictures of `shape`."""
    weight = np.tile(np.eye(3, dtype=np.float32), (1, 4))[:, :outputs]
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "fault"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean colour",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], outputs))],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.full(outputs, fault, np.float32), "fault"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_labels(path: Path) -> None:
    """The categories of the classifiers above, a line each."""
    path.write_text("\n".join(COLOURS) + "\n")
