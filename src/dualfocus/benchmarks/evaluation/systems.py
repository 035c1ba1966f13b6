"""The systems that are measured: what is asked of them, and how they are loaded by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dualfocus.baselines import BASELINES
from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.benchmarks.protocols.files import PREFIX, Files
from dualfocus.datasets import Sample
from dualfocus.outputs import DepthResult
from dualfocus.stack import FocalStack


class StackPredictor(Protocol):
    """All that is asked of a model to measure it: what `load_model` gives has it, and so may an object of your own."""

    def predict(self, stack: FocalStack) -> DepthResult:
        """Depth, validity, confidence of the stack."""
        ...


class SamplePredictor(Protocol):
    """A system that needs more than the stack: its name, say, or the all-in-focus image. It never sees padding."""

    def predict_sample(self, sample: Sample) -> DepthResult:
        """The `DepthResult` of a sample, at its size."""
        ...


System = StackPredictor | SamplePredictor


def answer(system: System, sample: Sample, protocol: BenchmarkProtocol | None = None) -> DepthResult:
    """What a system makes of a sample; a model that takes a stack gets it as the protocol pads it."""
    if hasattr(system, "predict_sample"):
        return system.predict_sample(sample)
    return system.predict(sample.stack if protocol is None else protocol.padded(sample.stack))


def load_models(
    names: Sequence[str],
    device: str,
    protocol: BenchmarkProtocol,
    samples: Sequence[str],
    loaded: dict[str, System] | None = None,
    everything: Sequence[str] | None = None,
) -> dict[str, System]:
    """Load models by the names that `evaluate_all` takes; each keeps its own name in the tables.

    Args:
        names: the models, or `files:FOLDER` of predictions.
        device: auto, cpu, cuda or mps.
        protocol: says what predictions from files mean.
        samples: names of the samples that will be measured, of which every file must be there.
        loaded: models by name that need not be loaded again; those that are loaded join it.
        everything: names of all samples of the data set; default `samples`.
    """
    loaded = {} if loaded is None else loaded
    systems: dict[str, System] = {}
    for name in names:
        if name == PREFIX:  # else it would be the current folder
            raise ValueError(f"{name} is empty: give the folder of predictions, as {PREFIX}FOLDER")
        path = Path(name.removeprefix(PREFIX))
        label = f"{PREFIX}{path.name}" if name.startswith(PREFIX) else name
        is_file = path.suffix == ".safetensors" and name.partition(":")[0] not in BASELINES
        label = path.stem if is_file else label
        if label in systems:
            raise ValueError(f"two models are called {label!r}: their rows would mix")
        if name.startswith(PREFIX):
            systems[label] = Files(path, protocol, samples, everything)
        else:
            from dualfocus.loading import load_model

            systems[label] = loaded[name] = loaded[name] if name in loaded else load_model(name, device=device)
    return systems
