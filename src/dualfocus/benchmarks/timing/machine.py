"""What a measurement ran on, and the memory of this process."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

MIB = 2**20


def describe_machine(device: str) -> dict[str, Any]:
    """What ran: the device that "auto" stands for too, because figures of different devices must not be mixed up."""
    import torch

    from dualfocus.inference.torch_model import choose_device

    chosen = choose_device(device)
    return {
        "device": chosen.type,
        "gpu": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else None,
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def processor_name() -> str:
    """Name of the CPU, as far as the system gives one."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory_mib() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell (Windows).

    Linux: VmHWM, because `ru_maxrss` of a child starts at the size of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def device_peak_mib() -> float | None:
    """Most memory that tensors took on a CUDA device; None where none was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or torch.cuda.max_memory_allocated() == 0:
        return None
    return torch.cuda.max_memory_allocated() / MIB
