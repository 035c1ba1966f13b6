"""Several processes for one evaluation, on one machine or wherever `accelerate launch` or `torchrun` starts them.

Each takes every `count`-th image, and the first one gathers the rows. Nothing but the wait for each other is shared, so
that the figures are those of one process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from dualfocus.child_process import child_environment

_PATIENCE = timedelta(days=7)  # how long one process may wait for another
_POLL_S, _GRACE_S, _LAST_WORD_S = 0.1, 1.0, 10.0

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """The processes of this run, and which of them this is.

    Attributes:
        rank: number of this process, 0 for the main one.
        count: how many there are.
        state: accelerate's state, where there are several.
    """

    rank: int = 0
    count: int = 1
    state: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process gathers and reports."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The part of the items that this process works on."""
        return list(items[self.rank :: self.count])

    def wait(self) -> None:
        """Until all processes are here (ValueError when one of them has ended)."""
        if self.state is None:
            return
        try:
            self.state.wait_for_everyone()
        except RuntimeError:
            time.sleep(_LAST_WORD_S)  # whoever started the processes ends them all now; that one's message is enough
            raise ValueError("another process of this evaluation has failed; its message says why") from None

    def leave(self) -> None:
        """End what they have in common, when all is done."""
        if self.state is not None:
            self.state.destroy_process_group()


ALONE = Processes()


def join(device: str) -> Processes:
    """The processes that this one was started with, told by the environment, as accelerate and torchrun set it.

    Args:
        device: auto, cpu, cuda or mps; with "auto" or "cuda" every process gets a GPU of its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    import torch
    from accelerate import PartialState

    on_cpu = device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=on_cpu, timeout=_PATIENCE)
    return Processes(state.process_index, state.num_processes, state)


def launch(count: int, device: str, arguments: Sequence[str]) -> int:
    """Run `dualfocus` with these arguments in several processes on this machine; wait for all of them.

    The first shows its progress and result as usual. When one fails, the others are stopped and its message is shown.

    Args:
        count: how many processes; on a CPU the cores are divided between them.
        device: the one that the arguments name.
        arguments: the words of the command line after `dualfocus`.

    Returns:
        the exit code: 0, or that of the process that failed.

    Raises:
        ValueError: more processes than GPUs, or a process was killed.
    """
    import accelerate  # noqa: F401  # missing, it is named here, once
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if 0 < gpus < count:
        raise ValueError(f"{count} processes need a GPU each, this machine has {gpus}: use fewer, or --device cpu")

    with tempfile.TemporaryDirectory() as folder:
        logs = [os.path.join(folder, f"{rank}.log") for rank in range(count)]
        workers = _start(count, arguments, logs)
        try:
            failed = _wait(workers)
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()
        if failed is None:
            return 0
        if failed:
            with open(logs[failed], encoding="utf-8", errors="replace") as log:
                sys.stderr.write(log.read())
        code = workers[failed].returncode
        if code < 0:
            raise ValueError(f"process {failed + 1} of {count} was killed by signal {-code}; the same command goes on")
        return code


def _start(count: int, arguments: Sequence[str], logs: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = os.cpu_count() or 1
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count))),
    }
    workers = []
    for rank, log in enumerate(logs):
        with open(log, "wb") as file:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dualfocus", *arguments],
                    stdout=None if rank == 0 else subprocess.DEVNULL,
                    stderr=None if rank == 0 else file,
                    env={**child_environment(), **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                )
            )
    return workers


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """The number of the process whose failure is to be reported, None when all succeed."""
    while any(worker.poll() is None for worker in workers):
        if any(worker.poll() for worker in workers):
            time.sleep(_GRACE_S)  # what fails in one often fails in the first too, which then says so itself
            break
        time.sleep(_POLL_S)
    return next((rank for rank, worker in enumerate(workers) if worker.poll()), None)
