"""A batch on a Ray cluster: the same job for every stack, on many machines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dualfocus.commands.batch import Outcome, run_job
from dualfocus.commands.single import Settings

_RETRIES = 2  # of a stack whose worker died


def run_on_ray(
    jobs: Mapping[str, Path],
    out: Path,
    settings: Settings,
    overwrite: bool,
    cluster: str | None,
    workers: int | None,
) -> Iterator[tuple[str, Outcome]]:
    """Run every job; yields names and outcomes as they come.

    All machines must have this package and see the stacks and the output folder under the same paths. A stack whose
    worker is killed is started again on another one: a result is written as a whole, so nothing half done is left.

    Args:
        jobs: name to source.
        out: the output folder.
        settings: the same for all; a GPU is asked for when their device is "cuda".
        overwrite: write among files that are not ours.
        cluster: address; None starts Ray on this machine for the time of the run.
        workers: most jobs at the same time; None for one for each CPU (or GPU) of the cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    import ray

    out = out.resolve()
    address, dashboard = ("local", False) if cluster is None else (cluster, None)
    ray.init(address=address, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
    try:
        gpu = settings.device == "cuda"
        limit = workers or max(1, int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
        task = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=_RETRIES)(run_job)
        waiting, running = list(jobs.items()), dict[Any, str]()
        while waiting or running:
            while waiting and len(running) < limit:
                name, source = waiting.pop(0)
                running[task.remote(source, out / name, settings, overwrite)] = name
            (finished,), _ = ray.wait(list(running))
            yield running.pop(finished), _outcome(finished)
    finally:
        ray.shutdown()


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
    return {"status": "failed", "error": " ".join(text.split()), "seconds": 0.0}
