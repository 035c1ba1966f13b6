"""The result of a prediction: maps of the size of the input, and what is needed to read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.stack import Camera, FocalStack


@dataclass(eq=False)  # maps have no one truth value
class DepthResult:
    """Depth and what belongs to it, for every pixel of the input.

    Attributes:
        depth: (H, W) float32 in `unit`, along the optical axis; finite wherever valid. A stack in dioptres can say that
            the scene is at infinity: inf, and not valid.
        valid: (H, W) bool: inside the region common to all planes, somewhere in focus, at a finite depth.
        confidence: (H, W) float32 in [0, 1]: estimated probability that the error is below half a plane spacing.
        std: (H, W) float32 in `unit`. Systems that know neither (single-image models, predictions from files) give NaN.
        all_in_focus: (H, W, 3) uint16 for 16-bit input, else uint8.
        unit: "m", "mm", "um" or "index" (fractional 0-based plane index in the order given).
        focus_distances: (N,) as they were given, in `focus_unit`; None when unknown.
        model: name of the model.
        timings: seconds of each step.
        warnings: sentences for the user.
        focus_unit: the unit of `focus_distances`, where it differs from `unit` (dioptre).
        camera: the camera of the stack, for a point cloud.
        order: "near_to_far" or "far_to_near" for an `index` stack whose order is known.
        pixel_size_um: width of a pixel in micrometres, of a microscope's stack.
        alignment: how the frames were registered, as `result.json` has it; None when `align` was not asked.
        images: names of the images, in the order of `focus_distances`, or in which an `index` counts them.
        calibration: how depth was made metric, see `calibration.calibrate`; None when it was not.
        precision: "fp32", "bf16", or that of an ONNX file; "" where it is not known.
    """

    depth: NDArray[np.float32]
    valid: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    std: NDArray[np.float32]
    all_in_focus: NDArray[Any]
    unit: str
    focus_distances: NDArray[np.float64] | None = None
    model: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    focus_unit: str | None = None
    camera: Camera | None = None
    order: str | None = None
    pixel_size_um: float | None = None
    alignment: dict[str, Any] | None = None
    images: list[str] = field(default_factory=list)
    calibration: dict[str, Any] | None = None
    precision: str = ""

    @classmethod
    def of_stack(
        cls,
        stack: FocalStack,
        *,
        depth: NDArray[np.float32],
        valid: NDArray[np.bool_],
        all_in_focus: NDArray[Any],
        model: str,
        confidence: NDArray[np.float32] | None = None,
        std: NDArray[np.float32] | None = None,
        warnings: Iterable[str] = (),
        precision: str = "",
    ) -> DepthResult:
        """A model's answer for a stack, with what the stack says of itself; invalid wherever not all planes show it.

        Args:
            stack: what the answer is for, in its `result_unit`.
            depth: see the attributes; as for the other maps.
            valid: which pixels the model calls valid.
            all_in_focus: (H, W, 3).
            model: its name.
            confidence: (H, W); None for a system that knows none, and NaN in the result.
            std: likewise.
            warnings: sentences to add to those of the stack.
            precision: the model's arithmetic.
        """
        return cls(
            depth=depth,
            valid=valid if stack.common_region is None else valid & stack.common_region,
            confidence=_unknown(depth) if confidence is None else confidence,
            std=_unknown(depth) if std is None else std,
            all_in_focus=all_in_focus,
            unit=stack.result_unit,
            focus_distances=stack.focus_distances,
            model=model,
            warnings=[*stack.warnings, *warnings],
            focus_unit=stack.unit,
            camera=stack.camera,
            order=stack.order,
            pixel_size_um=stack.pixel_size_um,
            alignment=stack.alignment,
            images=list(stack.index_names if stack.unit == "index" else stack.names),
            precision=precision,
        )

    @property
    def depth_range(self) -> tuple[float, float] | None:
        """Smallest and largest valid depth; None when no pixel is valid."""
        depth = self.depth[self.valid & np.isfinite(self.depth)]
        return (float(depth.min()), float(depth.max())) if depth.size else None

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        points: bool = False,
        *,
        also: str | Collection[str] = (),
        fov: float | None = None,
        stack: FocalStack | None = None,
    ) -> Path:
        """Write the result to a folder, the same files as `dualfocus predict`.

        An earlier result there is replaced as a whole.

        Args:
            folder: the folder to write to; made when it does not exist.
            overwrite: write into a folder that holds other files too; those are left alone.
            points: also write a point cloud; short for `also=["ply"]`.
            also: one or several further files: "tiff", "exr", "ply" (point cloud), "glb" (mesh), "html" (a page to look
                at).
            fov: field of view in degrees over the longer side of the image, for what is in 3-D; wins over what is known
                of the camera.
            stack: what the result was made of; its planes are then shown in "html".

        Returns:
            The folder.

        Raises:
            ValueError: the folder holds files that are not ours, cannot be written, or a further file is not possible.
        """
        from dualfocus.outputs.files import write_result  # here, as that file imports `DepthResult`

        formats = [*([also] if isinstance(also, str) else also), *(["ply"] if points else [])]
        return write_result(self, folder, overwrite=overwrite, also=formats, fov=fov, stack=stack)


def _unknown(depth: NDArray[Any]) -> NDArray[np.float32]:
    return np.full(depth.shape, np.nan, np.float32)
