"""Writing `dualfocus-s` or `-xs` as an ONNX file: one graph for any batch, number of planes and image size.

The trace-based exporter of torch is used: the newer one, which reasons about free sizes, took minutes for this network
and wrote a graph that was wrong at other sizes (torch 2.13).
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch.onnx import symbolic_helper

from dualfocus.atomic import replacing
from dualfocus.inference.onnx_model import METADATA
from dualfocus.inference.prediction import to_array
from dualfocus.inference.shipped import DEMO_STACK
from dualfocus.inference.torch_model import DepthModel, load_torch_model
from dualfocus.models.export_graph import OUTPUTS, ExportGraph
from dualfocus.models.small import DualFocusSmall

PRECISIONS = ("fp32", "fp16", "int8")
_OPSET = 18
# What stays float32 in every precision: the projection, softmaxes, moments and image differences, which no module of
# the network holds, and the convolutions whose output goes into a softmax.
_FULL = ("", "/encoder", "/scores.2", "/prior_head", "/weight_head")


def export_onnx(model: str, out: str | Path, precision: str = "fp32") -> Path:
    """Write a model as an ONNX file with its record inside.

    Inputs `images` (B, N, 3, H, W), float32 in [0, 1], planes near to far, and `coordinates` (B, N), increasing
    from 0 to 1. Outputs `coordinate`, `std` and `confidence`, (B, H, W), and `probability`, (B, N, ceil(H / 4),
    ceil(W / 4)). Every dimension but the three colours is free, N >= 2.

    Args:
        model: name or path, as for `dualfocus.load_model`; only `dualfocus-s` and `-xs` can be exported.
        out: ends in `.onnx`; replaced when it exists.
        precision: `fp32`; `fp16` (convolutions in half precision); `int8` (convolutions in 8 bits, calibrated on
            the packaged stack). Inputs, outputs and the projection are float32 in all of them.

    Returns:
        the path.

    Raises:
        ValueError: another suffix or precision, or a model that cannot be exported.
    """
    path = Path(out)
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: the name of an ONNX file must end in .onnx")
    if path.is_dir():
        raise ValueError(f"{path}: a folder; give the name of a file")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    loaded = load_torch_model(model, device="cpu")
    if not isinstance(loaded, DepthModel) or not isinstance(loaded.network, DualFocusSmall):
        raise ValueError(f"{loaded.name} cannot be exported; only dualfocus-s and -xs can")
    graph = _trace(ExportGraph(loaded.network))
    if precision == "fp16":
        graph = _to_half(graph)
    elif precision == "int8":
        graph = _to_int8(graph)
    record = {**loaded.record, "precision": precision}
    onnx.helper.set_model_props(graph, {METADATA: json.dumps(record)})
    with replacing(path) as temporary:
        onnx.save(graph, temporary)
    return path


def _trace(network: ExportGraph) -> onnx.ModelProto:
    """The float32 graph."""
    images, coordinates = torch.rand(2, 3, 3, 70, 90), torch.linspace(0, 1, 3).repeat(2, 1)  # sizes that need padding
    maps = {0: "batch", 1: "height", 2: "width"}
    axes = {
        "images": {0: "batch", 1: "planes", 3: "height", 4: "width"},
        "coordinates": {0: "batch", 1: "planes"},
        **{name: maps for name in OUTPUTS[:3]},
        "probability": {0: "batch", 1: "planes", 2: "rows", 3: "columns"},
    }
    with tempfile.TemporaryDirectory() as folder, _better_symbolics(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that this exporter is the older one
        target = Path(folder) / "traced.onnx"
        torch.onnx.export(
            network,
            (images, coordinates),
            target,
            dynamo=False,
            opset_version=_OPSET,
            input_names=["images", "coordinates"],
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
        )
        return onnx.load(target)


@contextmanager
def _better_symbolics() -> Iterator[None]:
    """Two operators as the exporter should write them: for any size, and without a strided softmax."""
    ours: dict[str, Callable[..., Any]] = {"aten::pixel_unshuffle": _pixel_unshuffle, "aten::softmax": _softmax}
    for name, function in ours.items():
        torch.onnx.register_custom_op_symbolic(name, function, _OPSET)
    try:
        yield
    finally:
        for name in ours:
            torch.onnx.unregister_custom_op_symbolic(name, _OPSET)


@symbolic_helper.parse_args("v", "i")
def _pixel_unshuffle(g: Any, x: Any, factor: int) -> Any:
    """The exporter's own takes the sizes of the trace where it thinks it knows them. 0 in a shape: as it was."""
    rows = g.op("Reshape", g.op("Unsqueeze", x, _constant(g, 3)), _constant(g, 0, 0, -1, factor, 0))
    cells = g.op("Reshape", rows, _constant(g, 0, 0, 0, 0, -1, factor))
    channels = g.op("Transpose", cells, perm_i=[0, 1, 3, 5, 2, 4])
    return g.op("Squeeze", g.op("Reshape", channels, _constant(g, 0, -1, 1, 1, 0, 0)), _constant(g, 2, 3))


@symbolic_helper.parse_args("v", "i", "none")
def _softmax(g: Any, x: Any, dim: int, dtype: Any) -> Any:
    """Over an axis that is not the last, several times faster in ONNX Runtime than its Softmax."""
    axis = _constant(g, dim)
    exponential = g.op("Exp", g.op("Sub", x, g.op("ReduceMax", x, axis, keepdims_i=1)))
    return g.op("Div", exponential, g.op("ReduceSum", exponential, axis, keepdims_i=1))


def _constant(g: Any, *values: int) -> Any:
    return g.op("Constant", value_t=torch.tensor(values))


def _scope(node: onnx.NodeProto) -> str:
    """The module of the network that made a node, "" for what no module made."""
    return node.name.rpartition("/")[0]


def _to_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Everything inside modules of the network in half precision."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    kept = [node.name for node in graph.graph.node if _scope(node) in _FULL]
    return convert_float_to_float16(graph, keep_io_types=True, node_block_list=kept)


def _to_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Convolutions inside modules in 8 bits, their ranges taken from the packaged stack."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = iter(_calibration_samples())

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.samples, None)

    convolutions = [n.name for n in graph.graph.node if n.op_type == "Conv" and _scope(n) not in _FULL]
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "int8"))
        onnx.save(graph, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions,
        )
        return onnx.load(target)


def _calibration_samples() -> Iterator[dict[str, np.ndarray]]:
    """Crops of the packaged stack, of two to five planes."""
    from dualfocus.readers import load_stack

    stack = load_stack(DEMO_STACK)
    planes = np.stack([to_array(stack[int(n)]) for n in stack.near_to_far])[None]
    u = stack.coordinates[stack.near_to_far]
    for start, stop in ((0, 5), (0, 2), (2, 5)):
        part = u[start:stop]
        coordinates = ((part - part[0]) / (part[-1] - part[0])).astype(np.float32)
        yield {"images": planes[:, start:stop, :, 40:280, 60:300], "coordinates": coordinates[None]}
