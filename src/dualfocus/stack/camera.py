"""What is known of the camera that took a focal stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dualfocus.stack.distances import LARGEST


@dataclass(frozen=True)
class Camera:
    """What is known of the camera; every field may be None.

    Attributes:
        sensor_width_mm: along the longer side of the photographs, also of those taken upright.

    Raises:
        ValueError: a number that is not finite and above zero.
    """

    model: str | None = None
    focal_length_mm: float | None = None
    f_number: float | None = None
    sensor_width_mm: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers and keep them as floats."""
        if self.model is not None and not isinstance(self.model, str):
            raise ValueError(f"camera model must be text, not {self.model!r}")
        for name in ("focal_length_mm", "f_number", "sensor_width_mm"):
            value = getattr(self, name)
            if value is None:
                continue
            is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not is_number or not 0 < value < LARGEST:
                raise ValueError(f"camera {name} must be a number above zero, not {value!r}")
            object.__setattr__(self, name, float(value))


def as_camera(camera: Camera | Mapping[str, Any] | None) -> Camera | None:
    """A camera as it is, or one with the fields of a mapping (ValueError for any other field)."""
    if camera is None or isinstance(camera, Camera):
        return camera
    known = [field.name for field in fields(Camera)]
    if not isinstance(camera, Mapping) or not set(camera) <= set(known):
        raise ValueError(f"camera must be a Camera or a mapping with {', '.join(known)}, not {camera!r}")
    return Camera(**camera)
