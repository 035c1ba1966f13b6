"""`dualfocus info`: models, versions, devices."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dualfocus import __version__

_LIBRARIES = ("torch", "numpy", "pillow", "tifffile", "opencv-python-headless", "safetensors")


def info(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Models with their size and cost at 5 planes of 480 x 640, versions and devices."""
    record = installation()
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        show(record)


def installation() -> dict[str, Any]:
    """Versions, devices and models (with `parameters` and `gflop` at 5 planes of 480 x 640), ready for JSON."""
    return {
        "dualfocus": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "devices": _devices(),
        "models": _models(),
    }


def show(record: dict[str, Any]) -> None:
    """Print what `installation` returns for people to read."""
    versions = ", ".join(f"{name} {version}" for name, version in record["libraries"].items())
    typer.echo(f"dualfocus {record['dualfocus']}, Python {record['python']}, {versions}")
    typer.echo("devices: " + ", ".join(f"{device['name']} ({device['description']})" for device in record["devices"]))
    if record["models"]:
        Console().print(_model_table(record["models"]))
    else:
        typer.echo("models: files of `dualfocus export` alone, as torch is not installed")


def _model_table(models: list[dict[str, Any]]) -> Table:
    table = Table(caption="GFLOP: 5 planes of 480 x 640, 2 per multiply-add")
    columns = list(dict.fromkeys(key for model in models for key in model))
    for key in columns:
        table.add_column(key, justify="right" if key in ("parameters", "gflop") else "left")
    for model in models:
        table.add_row(*(_cell(model.get(key)) for key in columns))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if isinstance(value, float) else str(value)


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _models() -> list[dict[str, Any]]:
    """None in the small install, which has ONNX Runtime in place of torch."""
    if not _has_torch():
        return []
    from dualfocus.inference.torch_model import describe_models

    return describe_models()


def _devices() -> list[dict[str, str]]:
    if not _has_torch():
        return [{"name": "cpu", "description": platform.machine()}]
    import torch

    devices = [{"name": "cpu", "description": f"{platform.machine()}, {torch.get_num_threads()} threads"}]
    if names := [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]:
        others = f"; CUDA_VISIBLE_DEVICES chooses another of {len(names)}" if names[1:] else ""
        devices.append({"name": "cuda", "description": names[0] + others})
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "description": "Apple GPU"})
    return devices
