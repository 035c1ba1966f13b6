"""The precision that a network computes in: float32, or bfloat16 where the processor is faster in it.

Only convolutions and products of matrices are rounded to bfloat16. What needs more (the integrable projection,
softmaxes, moments) stays in float32 (`models.precision.full_precision`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from dualfocus.inference.choices import check_precision
from dualfocus.models.precision import full_precision


def choose_precision(precision: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` is bf16 where the device computes in it by itself.

    Raises:
        ValueError: another name, or bf16 on a device that torch has none for.
    """
    check_precision(precision)
    if precision == "bf16" and device.type not in ("cpu", "cuda"):
        raise ValueError(f"precision bf16: not available on {device.type}; use auto or fp32")
    if precision == "auto":
        return "bf16" if has_bfloat16(device) else "fp32"
    return precision


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them it would be slower than float32, not faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch tells of processors by private names alone; where they are missing, the answer is the safe one
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(supported() for supported in asked if supported is not None)


@contextlib.contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Inference, with convolutions in `fp32`, `bf16` or `fp16`, whatever autocast the caller has on."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    chosen = full_precision(device) if half is None else torch.autocast(device.type, half)
    with torch.inference_mode(), chosen:
        yield
