"""`dualfocus submit`: the predictions of one model for a hidden test set, in the ZIP that its server takes."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.atomic import replacing
from dualfocus.benchmarks.evaluation.evaluator import Progress
from dualfocus.benchmarks.evaluation.measure import fill
from dualfocus.benchmarks.evaluation.systems import System, answer, load_models
from dualfocus.benchmarks.protocols import PROTOCOLS, BenchmarkProtocol, find_protocol
from dualfocus.datasets import Sample
from dualfocus.datasets.uploads import RUNTIME, UPLOADS


def write_upload(
    model: str,
    protocol_name: str,
    data: str | Path,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
) -> int:
    """Predict every stack of a hidden test set and write the maps, in the protocol's space, as 32-bit floats.

    What a model leaves out takes the farthest plane, as where errors are measured.

    Args:
        model: a name that `evaluate` takes, `files:FOLDER` too.
        protocol_name: one with a hidden test set.
        data: folder or file of the test set.
        out: the .zip; an older one is replaced when this one is done.
        device: auto, cpu, cuda or mps.
        progress: called with (done, total, sample name).

    Returns:
        how many maps were written.

    Raises:
        ValueError: a protocol without a test set, one that is not complete, a suffix other than .zip, a folder.
    """
    protocol, target = find_protocol(protocol_name), Path(out)
    if protocol.open_test is None:
        known = ", ".join(name for name, other in PROTOCOLS.items() if other.open_test is not None)
        raise ValueError(f"protocol {protocol_name} has no hidden test set: use one of {known}")
    if target.suffix != ".zip":
        raise ValueError(f"{target}: an upload is a .zip file")
    if target.is_dir():
        raise ValueError(f"{target}: is a folder; choose another name for the upload")
    upload = UPLOADS[protocol_name.partition("/")[0]]
    dataset = protocol.open_test(Path(data))
    if tuple(dataset.names) != upload.names:
        raise ValueError(f"{data}: {len(dataset)} of the {len(upload.names)} test stacks there; get all of them")
    (system,) = load_models([model], device, protocol, dataset.names).values()
    times = []
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, name in enumerate(dataset.names):
            values, seconds = _predict(system, dataset[index], protocol)
            archive.writestr(f"{name}.npy", _npy(values))
            times.append(f"{name} {seconds:.6f}\n")
            if progress:
                progress(index + 1, len(dataset), name)
        if upload.runtime:
            archive.writestr(RUNTIME, "".join(times))
    return len(dataset)


def _predict(system: System, sample: Sample, protocol: BenchmarkProtocol) -> tuple[NDArray[np.float32], float]:
    """(H, W) values in the protocol's space, and the seconds they took."""
    start = time.perf_counter()
    result = answer(system, sample, protocol)
    seconds = time.perf_counter() - start
    rows, columns = sample.stack.size
    depth, _ = fill(sample.stack, np.asarray(result.depth, np.float64)[:rows, :columns])
    return protocol.carried(depth).astype(np.float32), seconds


def _npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
