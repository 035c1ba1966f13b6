"""A batch on a Ray cluster: the same job for every stack, on many machines."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dualfocus.batch.jobs import Outcome, Run, run_job
from dualfocus.messages import one_line
from dualfocus.pipeline import Settings
from dualfocus.remedies import Phrasing, current_phrasing, phrased

_RETRIES = 2  # further tries at a stack whose worker died


@contextlib.contextmanager
def connected(device: str, cluster: str | None, workers: int | None) -> Iterator[Run]:
    """Connect to Ray; gives the function that runs jobs there, see `run_on_ray`.

    Args:
        device: what the jobs run on; a GPU is asked for when it is "cuda".
        cluster: address; None starts Ray on this machine until the end.
        workers: most jobs at the same time; None for one for each CPU (or GPU) of the cluster.

    Raises:
        ValueError: an unknown device, a cluster that cannot be reached, or one without a GPU for "cuda".
        ModuleNotFoundError: Ray is not installed.
    """
    from dualfocus.inference.choices import check_device

    check_device(device)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    import ray

    try:
        _connect(cluster)
        kind = "GPU" if device == "cuda" else "CPU"
        there = int(ray.cluster_resources().get(kind, 0))
        if kind == "GPU" and there < 1:
            raise ValueError("--device cuda: no machine of the Ray cluster has a GPU; use --device auto or cpu")
        yield partial(run_on_ray, limit=workers or max(1, there))
    finally:
        ray.shutdown()


def _connect(cluster: str | None) -> None:
    import ray

    address, dashboard = ("local", False) if cluster is None else (cluster, None)
    try:
        ray.init(address=address, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises all sorts at an address
        where = "Ray cannot be started on this machine" if cluster is None else f"--cluster {cluster}: cannot connect"
        text = one_line(error) or type(error).__name__
        raise ValueError(f"{where} ({text})") from error


def run_on_ray(
    jobs: Mapping[str, Path], out: Path, settings: Settings, overwrite: bool, limit: int
) -> Iterator[tuple[str, Outcome]]:
    """Run every job; yields names and outcomes as they come.

    All machines must have this package and see the stacks and the output folder under the same paths. A stack whose
    worker is killed is started again on another one: a result is written as a whole, so nothing half done is left.

    Args:
        jobs: name to source.
        out: the output folder.
        settings: the same for all; a GPU is asked for when their device is "cuda".
        overwrite: write among files that are not ours.
        limit: most jobs at the same time.
    """
    import ray

    out = out.resolve()
    task = ray.remote(num_cpus=1, num_gpus=int(settings.device == "cuda"), max_retries=_RETRIES)(run_job_in)
    waiting, running = list(jobs.items()), dict[Any, str]()
    while waiting or running:
        while waiting and len(running) < limit:
            name, source = waiting.pop(0)
            running[task.remote(current_phrasing(), source, out / name, settings, overwrite)] = name
        (finished,), _ = ray.wait(list(running))
        yield running.pop(finished), _outcome(finished)


def run_job_in(phrasing: Phrasing, source: Path, out: Path, settings: Settings, overwrite: bool) -> Outcome:
    """Run a job in another process, which does not know the phrasing of this one; see `run_job`."""
    with phrased(phrasing):
        return run_job(source, out, settings, overwrite)


def _outcome(finished: Any) -> Outcome:
    import ray

    try:
        return ray.get(finished)
    except ray.exceptions.WorkerCrashedError:
        text = f"its worker process died {_RETRIES + 1} times"
    except ray.exceptions.RayTaskError as error:  # before our job began: it cannot be imported there, for example
        text = f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:
        text = str(error).strip().partition("\n")[0]
    return {"status": "failed", "error": one_line(text), "seconds": 0.0}
