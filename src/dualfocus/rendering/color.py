"""Display encoding (sRGB) to linear light and back, by table, in numpy."""

import numpy as np

from dualfocus.srgb import to_display, to_linear

_DECODE_STEPS = 4095
_ENCODE_STEPS = 65535

_DECODE_TABLE = to_linear(np.linspace(0.0, 1.0, _DECODE_STEPS + 1)).astype(np.float32)
_ENCODE_TABLE = np.rint(to_display(np.linspace(0.0, 1.0, _ENCODE_STEPS + 1)) * 255.0).astype(np.uint8)


def srgb_to_linear(image: np.ndarray) -> np.ndarray:
    """Display-encoded values in [0, 1] (clipped) to linear light, float32, same shape."""
    return _DECODE_TABLE[(np.clip(image, 0.0, 1.0) * _DECODE_STEPS + 0.5).astype(np.int32)]


def linear_to_srgb8(image: np.ndarray) -> np.ndarray:
    """Linear light (clipped to [0, 1]) to display-encoded uint8, same shape."""
    return _ENCODE_TABLE[(np.clip(image, 0.0, 1.0) * _ENCODE_STEPS + 0.5).astype(np.int32)]
