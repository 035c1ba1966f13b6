"""Weights files: fp16 safetensors that carry the record of how they were made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from dualfocus.atomic import replacing
from dualfocus.models import build_network, network_options
from dualfocus.models.record import WeightsRecord

FORMAT = 1
# statistics of batch norms stay float32: they are few, and may lie beyond the range of fp16
_STATISTICS = (".running_mean", ".running_var")


def save_weights(path: Path, name: str, network: nn.Module, record: Mapping[str, Any]) -> None:
    """Write a network's weights as fp16 and its record inside the file and beside it as `.json`; atomic.

    Statistics of batch norms stay float32.

    Args:
        path: ends in `.safetensors`.
        name: the network's name, see `dualfocus.models.NETWORKS`.
        network: the network; its weights and configuration are written.
        record: whatever a reader must know, see `dualfocus.models.record.TrainingRecord`.

    Raises:
        ValueError: a weight that fp16 cannot hold.
    """
    tensors = {}
    for key, value in network.state_dict().items():
        tensor = value.detach().cpu()
        if tensor.is_floating_point() and not key.endswith(_STATISTICS):
            tensor = tensor.half()
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{path}: weight {key} does not fit into fp16")
        tensors[key] = tensor.contiguous()
    full = {"format": FORMAT, "model": name, "options": network_options(network), **record}
    with replacing(path.with_suffix(".json")) as beside, replacing(path) as weights:
        # `save_file` would let nobody but the owner read the file
        weights.write_bytes(save(tensors, metadata={"dualfocus": json.dumps(full)}))
        beside.write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> WeightsRecord:
    """The record inside a weights file.

    Raises:
        ValueError: not a weights file of this package, or of a newer format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable .safetensors file ({error})") from None
    if "dualfocus" not in metadata:
        raise ValueError(f"{path}: no DualFocus record inside; use a file written by `dualfocus train`")
    try:
        record = json.loads(metadata["dualfocus"])
        found = record["format"], record["model"], record["options"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: its DualFocus record is damaged; fetch or export the file again") from None
    if found[0] != FORMAT:
        raise ValueError(f"{path}: weights format {found[0]} is not {FORMAT}; update dualfocus")
    return record


def load_weights(
    path: Path, build: Callable[[str, dict[str, Any]], nn.Module] = build_network
) -> tuple[nn.Module, WeightsRecord]:
    """Build the network a weights file was made for and load it (float32, evaluation mode).

    Args:
        path: the weights file.
        build: name and options -> network.

    Returns:
        the network and its record.

    Raises:
        ValueError: see `read_record`; also when the tensors do not fit the recorded network.
    """
    record = read_record(path)
    try:
        network = build(record["model"], record["options"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}; update dualfocus, or export the file again") from None
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path}: weights do not fit {record['model']}: {reason}") from None
    return network.eval(), record
