"""DualFocus: metric depth from a focal stack.

Importing this package imports no torch: the public names are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dualfocus.alignment import align
    from dualfocus.loading import load_model
    from dualfocus.outputs import DepthResult
    from dualfocus.readers import load_stack
    from dualfocus.stack import Camera, FocalStack

__version__ = "0.1.0"
__all__ = ["Camera", "DepthResult", "FocalStack", "__version__", "align", "load_model", "load_stack"]

_HOME = {
    "Camera": "dualfocus.stack",
    "DepthResult": "dualfocus.outputs",
    "FocalStack": "dualfocus.stack",
    "align": "dualfocus.alignment",
    "load_model": "dualfocus.loading",
    "load_stack": "dualfocus.readers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    modules = (name for name, value in globals().items() if isinstance(value, ModuleType))  # imported so far
    return sorted({*__all__, *modules})
