"""`dualfocus render`: focal stacks of made scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import progress_bar
from dualfocus.commands.kinds import refuse_unused
from dualfocus.commands.options import output_option, path_option

# The parameters that each kind of scene reads, beside `out` and `kind`.
_KINDS = {
    "procedural": ("count", "seed", "textures", "split", "size", "planes", "workers"),
    "rooms": ("count", "seed", "textures", "split", "size", "meshes", "samples"),
    "fod": ("count", "seed", "textures", "split", "meshes", "samples"),
    "pathtraced": ("count", "seed", "size", "meshes", "samples"),
    "fixture": ("name",),
}


def render(
    context: typer.Context,
    out: Annotated[Path, output_option(help="Folder for the stacks; a stopped run goes on there.")],
    kind: Annotated[
        str,
        typer.Argument(
            help="procedural; rooms: path-traced, to train on; fod: path-traced in the manner of FoD500;"
            " pathtraced: the benchmark; fixture: a tiny data set to test with."
        ),
    ] = "procedural",
    name: Annotated[str | None, typer.Argument(help="fixture: nyu-bts, fod500, ddff12, ... of which data set.")] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Stacks: 40 of pathtraced, else 1024; procedural: rounded up to whole shards."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the data set.")] = 0,
    textures: Annotated[
        Path | None, path_option(help="procedural, rooms, fod: folder of images; noise textures without.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="procedural, rooms, fod: which textures and meshes: train, held_out or all.")
    ] = "train",
    size: Annotated[
        int | None, typer.Option(min=16, help="Side of procedural pictures, 160; width of rooms and pathtraced, 256.")
    ] = None,
    planes: Annotated[tuple[int, int], typer.Option(metavar="LEAST MOST", help="Planes of a procedural stack.")] = (
        2,
        12,
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes of procedural rendering.")] = 1,
    meshes: Annotated[
        Path | None, path_option(help="rooms, fod, pathtraced: folder of the Sweet Home 3D catalogues (.sh3f).")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="rooms, fod, pathtraced: paths a pixel.")] = 24,
) -> None:
    """Render focal stacks, to train on or to measure with."""
    from dualfocus.outputs import check_output

    if kind not in _KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(_KINDS)}")
    refuse_unused(context, f"render {kind}", ("out", "kind", *_KINDS[kind]))
    if kind == "fixture":
        typer.echo(_fixture(name or "", out))
        return
    check_output(out, overwrite=True)
    stacks = count or (40 if kind == "pathtraced" else 1024)
    with progress_bar("rendering") as report:
        job = _Job(out, stacks, seed, report)
        if kind == "pathtraced":
            _pathtraced(job, size or 256, meshes, samples)
        elif kind == "procedural":
            stacks = _procedural(job, size or 160, planes, textures, split, workers)
        else:
            _traced(job, kind, size or 256, meshes, textures, split, samples)
    typer.echo(f"{stacks} stacks in {out}")


@dataclass(frozen=True)
class _Job:
    """What every kind of rendering is asked for: how many stacks, where, from which seed, and whom to tell."""

    out: Path
    stacks: int
    seed: int
    report: Callable[[int, int, str], None]

    def progress(self, done: int, total: int) -> None:
        """Show how far it is."""
        self.report(done, total, "")


def _fixture(name: str, out: Path) -> str:
    """A tiny data set to test with; returns what to say of it."""
    from dualfocus.datasets.fixtures import write_fixture

    write_fixture(name, out)
    return f"fixture of {name} in {out}"


def _procedural(job: _Job, size: int, planes: tuple[int, int], textures: Path | None, split: str, workers: int) -> int:
    """Layered scenes made by rule; returns how many, which is rounded up to whole shards."""
    from dualfocus.rendering.dataset import SHARD_SIZE, write_dataset

    stacks = -(-job.stacks // SHARD_SIZE) * SHARD_SIZE
    write_dataset(
        job.out,
        stacks,
        job.seed,
        textures,
        size,
        workers,
        planes=planes,
        split=split,
        progress=lambda done, rate: job.report(done, max(stacks, done), f"{rate:.1f} a second"),
    )
    return stacks


def _pathtraced(job: _Job, width: int, meshes: Path | None, samples: int) -> None:
    """The path-traced benchmark."""
    from dualfocus.rendering.pathtraced_benchmark import write_pathtraced

    write_pathtraced(job.out, job.stacks, job.seed, meshes, width, samples, job.progress)


def _traced(
    job: _Job, kind: str, width: int, meshes: Path | None, textures: Path | None, split: str, samples: int
) -> None:
    """Path-traced scenes drawn from meshes and textures, to train on; those of `fod` all have the size of FoD500."""
    from dualfocus.rendering.fod import make_fod
    from dualfocus.rendering.rooms import make_room
    from dualfocus.rendering.traced_set import write_drawn_set

    if meshes is None:
        raise ValueError(f"{kind} scenes need --meshes, the folder of the Sweet Home 3D furniture catalogues")
    options = {"width": width} if kind == "rooms" else {}
    write_drawn_set(
        job.out,
        job.stacks,
        job.seed,
        make_room if kind == "rooms" else make_fod,
        meshes,
        textures,
        split=split,
        samples=samples,
        progress=job.progress,
        **options,
    )
