"""Depth while a lens sweeps: planes arrive one by one, and each is encoded once.

What depends on one plane (its features) or on a plane and its neighbour (V* and z*) is kept; the fusion, which mixes
all planes of the window, runs again for every plane.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dualfocus.inference.arithmetic import computing
from dualfocus.inference.focus_maps import from_output
from dualfocus.inference.frames import to_frame
from dualfocus.inference.prediction import FocusModel
from dualfocus.inference.resizing import shrink
from dualfocus.inference.staged import EncodedPlanes
from dualfocus.inference.windows import LONGEST
from dualfocus.models.record import axis_of
from dualfocus.models.small import DualFocusSmall
from dualfocus.models.surfaces import surfaces_for_fusion
from dualfocus.outputs import DepthResult
from dualfocus.stack import Camera, FocalStack
from dualfocus.stack.axis import FocusAxis


class FocusStream:
    """The last planes of a sweep; make one with `model.stream()`.

    Args:
        model: the sizes, the confidence and the results are its own.
        network: the network of the model, on `device`.
        device: where its planes are encoded and fused.
        window: planes that are fused, see `dualfocus.inference.predictor.Predictor.stream`.
        unit: unit of the focus distances, as for a focal stack.
        camera: camera of the sweep, as for a focal stack.

    Raises:
        ValueError: a window of less than 2 or more than 24 planes.

    >>> stream = model.stream(window=5, unit="m")  # doctest: +SKIP
    >>> for image, distance in camera.sweep():  # doctest: +SKIP
    ...     result = stream.push(image, distance)  # a DepthResult from the second plane on
    """

    def __init__(
        self,
        model: FocusModel,
        network: DualFocusSmall,
        device: torch.device,
        window: int,
        unit: str | None = None,
        camera: Camera | Mapping[str, Any] | None = None,
    ) -> None:
        _check_window(window)
        self.model, self.network, self.device = model, network, device
        self.window, self.unit, self.camera = window, unit, camera
        self._planes: list[_Plane] = []  # in the order of arrival
        self._encoded: list[_CachedPlanes] = []  # one for each size that is looked at

    def push(self, image: NDArray[Any], focus_distance: float | None = None) -> DepthResult | None:
        """Take a plane and give the depth of the last `window` planes.

        A plane at a focus distance that is in the window already takes that plane's place; else the oldest leaves when
        the window is full. Planes may come in any order; a sweep in one direction costs least.

        Args:
            image: (H, W, 3), (H, W, 1) or (H, W), of one size and type.
            focus_distance: distance of the plane, given for every plane or for none: then the order of arrival is the
                order of focus.

        Returns:
            what `predict` gives for the planes of the window in the order of arrival; None for the first plane.

        Raises:
            ValueError: an image or distance that no focal stack could have; the plane is then not taken.
        """
        kept = [p for p in self._planes if p.distance != focus_distance or focus_distance is None]
        kept = kept[max(0, len(kept) - self.window + 1) :]
        taken = {plane.slot for plane in kept}
        slot = next(number for number in range(self.window) if number not in taken)
        started = time.perf_counter()
        own = np.array(image)  # a copy: cameras fill one buffer again and again
        planes = [*kept, _Plane(slot, own, focus_distance)]
        stack = self._stack(planes)
        if not kept or not self._encoded:  # the stream begins, with images of whatever size
            self._encoded = self._caches(stack.size)
        self._planes = planes
        with computing(self.model.precision, self.device):
            working = stack[len(planes) - 1 if len(planes) > 1 else 0]
            for encoded in self._encoded:
                working = shrink(working, encoded.size)
                encoded.add(slot, to_frame(working).to(self.device))
        return None if len(planes) < 2 else self._fuse(stack, started)

    def _fuse(self, stack: FocalStack, started: float) -> DepthResult:
        axis, order = FocusAxis(stack, axis_of(self.model.record)), stack.near_to_far
        chosen = [self._planes[int(n)].slot for n in order]
        answers = []
        sizes = self.model.sizes(stack.size, len(chosen))
        for encoded in self._encoded[: len(sizes)]:
            encoded.u[chosen] = torch.as_tensor(axis.planes, dtype=torch.float32)
            with computing(self.model.precision, self.device):
                answers.append(from_output(encoded.run(chosen)))
        maps, estimated = self.model.merge(answers, len(chosen)), time.perf_counter()
        result = self.model.to_result(maps, axis, lambda n: stack[int(order[n])])
        result.timings = {"estimate": estimated - started, "all_in_focus": time.perf_counter() - estimated}
        return result

    def _caches(self, size: tuple[int, int]) -> list[_CachedPlanes]:
        # the window holds two planes first, which are looked at as often as any number of them
        return [_CachedPlanes(self.network, torch.zeros(self.window), work) for work in self.model.sizes(size, 2)]

    def _stack(self, planes: list[_Plane]) -> FocalStack:
        """The planes as a focal stack, which checks them; the first one is checked beside itself."""
        images = [plane.image for plane in planes]
        distances = [plane.distance for plane in planes if plane.distance is not None]
        if len(distances) not in (0, len(planes)):
            raise ValueError("give every plane of a stream its focus distance, or none")
        if len(planes) == 1:
            images, distances = images * 2, [*distances, *(distance + 1 for distance in distances)]
        return FocalStack(images, distances or None, self.unit, self.camera)


def _check_window(window: Any) -> None:
    if isinstance(window, bool) or not isinstance(window, Integral) or not 2 <= int(window) <= LONGEST:
        raise ValueError(f"window must be 2 to {LONGEST} planes, not {window!r}")


@dataclass(frozen=True)
class _Plane:
    """A plane in the window; `slot` is where its features are kept."""

    slot: int
    image: NDArray[Any]
    distance: float | None


class _CachedPlanes(EncodedPlanes):
    """Encoded planes whose surfaces are kept as long as a plane and the neighbour it is compared with stay."""

    def __init__(self, network: DualFocusSmall, u: Tensor, size: tuple[int, int]) -> None:
        super().__init__(network, u, size)
        self._surfaces: dict[tuple[int, int, bool], Tensor] = {}

    def add(self, n: int, image: Tensor) -> None:
        """Encode a plane into slot n; what was known of the slot's last plane is forgotten."""
        super().add(n, image)
        self._surfaces = {key: surface for key, surface in self._surfaces.items() if n not in key[:2]}

    def surfaces(self, chosen: list[int]) -> Tensor | None:
        """See `EncodedPlanes.surfaces`."""
        if self.network.config.spatial == "off":
            return None
        pairs = [(a, b, False) for a, b in zip(chosen, chosen[1:], strict=False)]
        keys = [*pairs, (chosen[-1], chosen[-2], True)]  # the last plane is compared with the one before
        missing = [key for key in keys if key not in self._surfaces]
        if missing:
            volume = torch.cat([self._difference(*key) for key in missing])
            found = self.network.plane_surfaces(volume).split(1)
            self._surfaces.update(zip(missing, found, strict=True))
        self._surfaces = {key: self._surfaces[key] for key in keys}
        surfaces = torch.cat([self._surfaces[key] for key in keys])
        return surfaces_for_fusion(surfaces, self.network.config.spatial, len(keys))

    def _difference(self, n: int, neighbour: int, last: bool) -> Tensor:
        """V*_n, (1, 2C, h, w): V_n and the step to the next plane, or for the last plane the step to it."""
        own, other = self.features[2][n], self.features[2][neighbour]
        return torch.cat((own, own - other if last else other - own), dim=1)
