"""The record that weights carry: the network they are for, how they were trained, and how they answer; types alone."""

from __future__ import annotations

from typing import Any, TypedDict

from dualfocus.stack.axis import AxisName


class _Curve(TypedDict):
    said: list[float]
    measured: list[float]


class ConfidenceMap(_Curve, total=False):
    """A piecewise linear, increasing curve, `measured` at the points `said`, after a step that depends on N.

    Range k of N begins at `planes[k]`; there log(c / (1 - c)) is multiplied by `scale[k]`, 1 where a map has no
    scales, and `shift[k]` is added. Maps of weights made before there were ranges lack all three.
    """

    planes: list[int]
    shift: list[float]
    scale: list[float]


class TrainingRecord(TypedDict, total=False):
    """What training says of its weights; earlier versions said less, and an untrained network says nothing.

    Attributes:
        data: kind, name and licence of each source of stacks.
        initial_weights: what is kept of the record of the weights it began with; None: it began with random numbers.
        teacher: what is kept of the record of the network whose answers were learned, too; None: there was none.
        steps: of the optimiser.
        minutes: of the clock; `processor_minutes` of the processor, in the training process with all its threads;
            `waiting_minutes` of the clock again, in which it waited for batches.
        hardware: in words.
        seed: of the run.
        precision: "no", "bf16" or "fp16", in which it was trained; in an ONNX file that in which it computes.
        validation: figure -> value on the held-out stacks.
        preprocessing: in words.
        coordinate: the axis that it answers on, see `axis_of`.
        training: settings of loss and optimiser, crop and planes.
        looks: at large photographs; missing: as many as `models.kinds` has for the network.
        confidence_map: carries its confidence to the measured share of right answers; missing: it stays as it is.
        averaged: the weights are a mean: `shares`, `steps` and `seeds` of those that it is of.
    """

    data: list[dict[str, Any]]
    initial_weights: dict[str, Any] | None
    teacher: dict[str, Any] | None
    steps: int
    minutes: float
    processor_minutes: float
    waiting_minutes: float
    hardware: str
    seed: int
    precision: str
    validation: dict[str, float]
    preprocessing: str
    coordinate: AxisName
    training: dict[str, Any]
    looks: int
    confidence_map: ConfidenceMap
    averaged: dict[str, Any]


class WeightsRecord(TrainingRecord):
    """The record in a weights file: also the network that the weights are for.

    Attributes:
        format: of the file, see `dualfocus.models.weights.FORMAT`.
        model: name of the network.
        options: its configuration, see `dualfocus.models.network_options`.
    """

    format: int
    model: str
    options: dict[str, Any]


def axis_of(record: TrainingRecord) -> AxisName:
    """The axis that weights answer on; those made before there was a choice answer in the focus coordinate."""
    return record.get("coordinate", "focus")
