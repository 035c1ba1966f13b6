"""`dualfocus render`: focal stacks of made scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        from dualfocus.datasets.fixtures import write_fixture

        write_fixture(name or "", out)
        return typer.echo(f"fixture of {name} in {out}")
    check_output(out, overwrite=True)
    stacks = count or (40 if kind == "pathtraced" else 1024)
    with progress_bar("rendering") as report:
        if kind == "pathtraced":
            from dualfocus.rendering.pathtraced_benchmark import write_pathtraced

            write_pathtraced(
                out,
                stacks,
                seed,
                mesh_folder=meshes,
                width=size or 256,
                samples=samples,
                progress=lambda done, total: report(done, total, ""),
            )
        elif kind in ("rooms", "fod"):
            from dualfocus.rendering.fod import make_fod
            from dualfocus.rendering.rooms import make_room
            from dualfocus.rendering.traced_set import write_drawn_set

            options: dict[str, Any] = {"width": size or 256} if kind == "rooms" else {}
            write_drawn_set(
                out,
                stacks,
                seed,
                make=make_room if kind == "rooms" else make_fod,
                mesh_folder=_catalogues(kind, meshes),
                texture_folder=textures,
                split=split,
                samples=samples,
                progress=lambda done, total: report(done, total, ""),
                **options,
            )
        else:
            from dualfocus.rendering.dataset import SHARD_SIZE, write_dataset

            stacks = -(-stacks // SHARD_SIZE) * SHARD_SIZE
            write_dataset(
                out,
                stacks,
                seed,
                textures,
                size or 160,
                workers,
                planes=planes,
                split=split,
                progress=lambda done, rate: report(done, max(stacks, done), f"{rate:.1f} a second"),
            )
    typer.echo(f"{stacks} stacks in {out}")


def _catalogues(kind: str, meshes: Path | None) -> Path:
    if meshes is None:
        raise ValueError(f"{kind} scenes need --meshes, the folder of the Sweet Home 3D furniture catalogues")
    return meshes
