"""Rendered stacks on disk: written by worker processes in resumable shards, read by random access."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch

from dualfocus.atomic import replacing
from dualfocus.rendering.capture import PLANE_RANGE, RenderedStack, render_stack
from dualfocus.rendering.options import keep_options
from dualfocus.rendering.textures import TexturePool

SHARD_SIZE = 32
_META = "meta.json"
_MOST_MAPS = 256  # every mapped file keeps a descriptor open
_pool: TexturePool | None = None
_stop: Event | None = None


def write_dataset(
    out: str | Path,
    count: int,
    seed: int,
    texture_folder: str | Path | None = None,
    size: int | tuple[int, int] = 160,
    workers: int = 1,
    *,
    planes: tuple[int, int] = PLANE_RANGE,
    split: str = "train",
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Render `count` stacks into `out`; shards that are already there are kept, so a stopped run goes on.

    Stack i depends on (seed, i) and the options only, not on the number of workers. All stacks of one shard have the
    same number of planes, which makes batches easy; it is drawn evenly from `planes` for each shard. An error or
    Ctrl-C ends it when the shards in progress are written.

    Args:
        out: folder to make or to continue.
        count: stacks in all, rounded up to whole shards of 32.
        seed: of the data set.
        texture_folder: folder of images, None for noise textures.
        size: side or (height, width) of the pictures.
        workers: processes, one torch thread each.
        planes: least and most planes.
        split: which textures: "train", "held_out" or "all".
        progress: called with (stacks present, stacks per second) after every shard.

    Raises:
        ValueError: `out` holds a data set made with other options or textures (told by the names of their files),
            or the textures, split or planes are no good.
    """
    if not 2 <= planes[0] <= planes[1]:
        raise ValueError(f"planes must be least and most with least >= 2, not {planes[0]} and {planes[1]}")
    pool = TexturePool(texture_folder, split)  # a mistake in the options must not leave a folder that records them
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"version": 1, "seed": seed, "size": size if isinstance(size, int) else list(size), "split": split}
    meta |= {"planes": list(planes), "textures": pool.fingerprint(), "shard_size": SHARD_SIZE}
    keep_options(folder / _META, meta)
    shards = -(-count // SHARD_SIZE)
    missing = [k for k in range(shards) if not _shard_path(folder, k).exists()]
    done, started = shards - len(missing), time.monotonic()
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (texture_folder, split, stop)) as executor:
        try:
            jobs = [executor.submit(_write_shard, folder, k, seed, size, planes) for k in missing]
            for index, job in enumerate(as_completed(jobs), 1):
                job.result()
                if progress:
                    progress((done + index) * SHARD_SIZE, index * SHARD_SIZE / (time.monotonic() - started))
        except BaseException:
            stop.set()  # a few jobs are with the workers already, where they cannot be cancelled
            executor.shutdown(cancel_futures=True)
            raise


class RenderedDataset:
    """Random access to a folder made by `write_dataset`, also while it is still growing (call `refresh`).

    Safe to share with forked or spawned data-loader workers: files are mapped, never held at a position.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open `folder`. Raises ValueError when it holds no finished shard."""
        self.folder = Path(folder)
        self._maps: dict[Path, np.ndarray] = {}
        self.shards: list[Path] = []
        self.planes = np.zeros(0, np.int64)  # (len,) number of planes of every stack
        self._place: list[tuple[Path, int, tuple[int, int, int]]] = []
        self.refresh()
        if not self.shards:
            raise ValueError(f"{folder}: no rendered shards (shard_*.npy) here; make them with `dualfocus render`")

    def refresh(self) -> int:
        """Take up shards finished since; returns the number of stacks."""
        known = set(self.shards)
        for path in sorted(self.folder.glob("shard_*.npy")):
            if path not in known:
                table = np.load(path, mmap_mode="r")[: 8 * (1 + 4 * SHARD_SIZE)].view(np.int64)
                rows = np.array(table[1 : 1 + 4 * int(table[0])]).reshape(-1, 4).tolist()
                self._place += [(path, offset, (n, h, w)) for offset, n, h, w in rows]
                self.shards.append(path)
        self.planes = np.array([shape[0] for _, _, shape in self._place], np.int64)
        return len(self)

    def __len__(self) -> int:
        """Number of stacks in the finished shards."""
        return len(self._place)

    def __getitem__(self, index: int) -> RenderedStack:
        """Stack `index`; truth has half precision."""
        path, offset, shape = self._place[index]
        if path not in self._maps:
            if len(self._maps) >= _MOST_MAPS:
                self._maps.clear()
            self._maps[path] = np.load(path, mmap_mode="r")
        return _unpack(self._maps[path], offset, shape)

    def __getstate__(self) -> dict:
        """State for a spawned worker: everything but the mapped files, which it opens itself."""
        return self.__dict__ | {"_maps": {}}


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard_{shard:05d}.npy"


def _start_worker(texture_folder: str | Path | None, split: str, stop: Event) -> None:
    global _pool, _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides what it means
    torch.set_num_threads(1)
    _stop = stop
    _pool = TexturePool(texture_folder, split)


def _write_shard(folder: Path, shard: int, seed: int, size: int | tuple[int, int], planes: tuple[int, int]) -> None:
    """Render one shard to a temporary file and rename it, so that only whole shards are ever seen."""
    if _stop is not None and _stop.is_set():
        return
    count = int(np.random.default_rng([seed, shard, 1]).integers(planes[0], planes[1] + 1))
    parts: list[np.ndarray] = []
    table = np.zeros((SHARD_SIZE, 4), np.int64)
    offset = 8 * (1 + table.size)
    for k in range(SHARD_SIZE):
        stack = render_stack(np.random.SeedSequence([seed, shard * SHARD_SIZE + k]), _pool, size=size, planes=count)
        table[k] = (offset, *stack.images.shape[:3])
        packed = _pack(stack)
        parts.append(packed)
        offset += packed.size
    head = np.concatenate([[SHARD_SIZE], table.ravel()]).astype(np.int64).view(np.uint8)
    path = _shard_path(folder, shard)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate([head, *parts]))


def _layout(shape: tuple[int, int, int]) -> list[tuple[str, np.dtype, tuple[int, ...]]]:
    """Fields of a packed stack in order; every one starts at a multiple of 8 bytes."""
    n, h, w = shape
    return [
        ("coordinates", np.dtype(np.float64), (n,)),
        ("focus_distances", np.dtype(np.float64), (n,)),
        ("spacing_px", np.dtype(np.float32), (n - 1,)),
        ("truth", np.dtype(np.float16), (h, w)),
        ("all_in_focus", np.dtype(np.uint8), (h, w, 3)),
        ("images", np.dtype(np.uint8), (n, h, w, 3)),
    ]


def _pack(stack: RenderedStack) -> np.ndarray:
    parts = []
    for name, dtype, _ in _layout(stack.images.shape[:3]):
        data = np.ascontiguousarray(getattr(stack, name), dtype).reshape(-1).view(np.uint8)
        parts += [data, np.zeros(-data.size % 8, np.uint8)]
    return np.concatenate(parts)


def _unpack(data: np.ndarray, offset: int, shape: tuple[int, int, int]) -> RenderedStack:
    fields: dict[str, np.ndarray] = {}
    for name, dtype, dims in _layout(shape):
        size = int(np.prod(dims)) * dtype.itemsize
        fields[name] = np.array(data[offset : offset + size]).view(dtype).reshape(dims)
        offset += size + -size % 8
    truth = fields.pop("truth").astype(np.float32)
    return RenderedStack(truth=truth, valid=(truth >= 0.0) & (truth <= 1.0), **fields)
