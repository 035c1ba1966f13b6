"""The `dualfocus` command. Torch and the models are imported inside the commands, so that `--help` is quick."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dualfocus import __version__
from dualfocus.commands.batch import predict_batch
from dualfocus.commands.console import fail, progress_bar, status
from dualfocus.commands.predict import Settings, calibration_settings, parse_formats, predict_one
from dualfocus.commands.stacks import find_batch

DEFAULT_MODEL = "dualfocus-s"
DEMO_STACK = Path(__file__).parent / "samples" / "desk"

_EXTRAS = {
    "accelerate": "train",
    "tensorboard": "train",
    "gradio": "app",
    "h5py": "data",
    "OpenEXR": "data",
    "scipy": "data",
    "matplotlib": "figures",
    "mitsuba": "render",
    "trimesh": "render",
    "pyoidn": "render",
    "ray": "ray",
    "transformers": "depth-anything",
    "onnx": "export",
    "onnxruntime": "export",
}

_INPUT, _FOCUS, _BATCH = "Input", "Focus distances", "Several stacks"  # headings in the help of predict

app = typer.Typer(
    help="Metric depth, confidence and an all-in-focus image from a focal stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelOption = Annotated[str, typer.Option("--model", "-m", help="Name of a model, or a .safetensors file.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Write among files that are not ours.", rich_help_panel="Output")
]
PointsOption = Annotated[
    bool,
    typer.Option("--points", help="Also write a point cloud, points.ply: --also ply.", rich_help_panel="Output"),
]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Also write, separated by commas: tiff, exr (float depth), ply (point cloud), glb (mesh), html (report).",
        metavar="FORMATS",
        rich_help_panel="Output",
    ),
]
FovOption = Annotated[
    float | None,
    typer.Option(
        help="Field of view over the longer side, for what is in 3-D; else the lens's, else 60 degrees.",
        metavar="DEGREES",
        rich_help_panel="Output",
    ),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 2 for what the user can mend (one line on stderr says what), 130 when interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name its encoding lacks must not fail a finished run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="dualfocus", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return fail("interrupted", 130)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return fail(f'this needs {error.name}, which is not installed: pip install "dualfocus[{extra}]"')
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return fail(f"{where}{error.strerror or error}")
    except ValueError as error:
        return fail(str(error))
    except Exception as error:
        # Usage errors: typer carries its own copy of click or uses the package, by version; both look like this.
        if not hasattr(error, "format_message"):
            raise
        return fail(str(error.format_message())) if error.format_message() else 2
    return code if isinstance(code, int) else 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dualfocus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Metric depth, confidence and an all-in-focus image from a focal stack."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("dualfocus-demo"),
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    points: PointsOption = False,
    also: AlsoOption = None,
    fov: FovOption = None,
) -> None:
    """Depth of the focal stack that comes with the program."""
    predict_one(DEMO_STACK, out, Settings(model, device, {}, parse_formats(also, points), fov), overwrite)


@app.command()
def predict(
    stack: Annotated[
        list[Path],
        typer.Argument(
            help="A folder of photographs or a ZIP of one, the photographs, a multi-page TIFF, a video of a focus "
            "sweep, or a stack.json; several of these, or a folder of them, are a batch."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")],
    focus: Annotated[
        str | None,
        typer.Option(
            help="Focus distances in file order, separated by commas.", metavar="0.3,0.5,...", rich_help_panel=_FOCUS
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Their unit: m, mm, um, dioptre or index.", rich_help_panel=_FOCUS)
    ] = None,
    z_step: Annotated[
        float | None, typer.Option(help="Micrometres from plane to plane, instead.", rich_help_panel=_FOCUS)
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            help="Of images without distances: as given, found from the images (auto), or near_to_far or far_to_near.",
            metavar="given|auto|...",
            rich_help_panel=_FOCUS,
        ),
    ] = "given",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            help="Pixels of known distance, two or more, which make a relative depth metric; in --unit.",
            metavar="'X,Y=DISTANCE ...'",
            rich_help_panel=_FOCUS,
        ),
    ] = None,
    calibrate_in: Annotated[
        str | None,
        typer.Option(
            help="inverse_depth (a lens moved in equal steps) or depth (a stage).",
            metavar="COORDINATE",
            rich_help_panel=_FOCUS,
        ),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
    ] = None,
    time: Annotated[
        int | None, typer.Option(min=0, help="Time point of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(help="Micrometres of the scene to a pixel.", rich_help_panel=_INPUT)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=2, help="Frames of a video to use (10).", rich_help_panel=_INPUT)
    ] = None,
    align: Annotated[
        str,
        typer.Option(
            help="Register the frames: auto, none, translation, similarity, affine or homography.",
            rich_help_panel="Alignment",
        ),
    ] = "auto",
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    points: PointsOption = False,
    also: AlsoOption = None,
    fov: FovOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the results that are there.", rich_help_panel=_BATCH)
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, or ray: many at once, on one or more machines.", rich_help_panel=_BATCH)
    ] = "local",
    cluster: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster; this machine without.", rich_help_panel=_BATCH),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most stacks at once, with Ray.", rich_help_panel=_BATCH)
    ] = None,
) -> None:
    """Depth, confidence and an all-in-focus image of a focal stack, or of several."""
    calibration = calibration_settings(calibrate, unit, calibrate_in, (focus, z_step))
    reading = {
        "focus": focus,
        "unit": "index" if calibration else unit,
        "channel": channel,
        "time": time,
        "z_step": z_step,
        "pixel_size": pixel_size,
        "frames": frames,
    }
    settings = Settings(model, device, reading, parse_formats(also, points), fov, align, order, **calibration)
    batch = find_batch(stack)
    if batch is None:
        if resume or engine != "local":
            raise ValueError("--resume and --engine are for several stacks, and this is one")
        predict_one(stack[0] if len(stack) == 1 else stack, out, settings, overwrite)
    elif predict_batch(batch, out, settings, overwrite, resume, engine, cluster, workers):
        raise typer.Exit(1)


@app.command()
def evaluate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the figures; a stopped run goes on there.")],
    protocol: Annotated[
        list[str],
        typer.Option(help="stacks, procedural, nyu/hybriddepth-n5, ... (docs/benchmarks.md); may be repeated."),
    ],
    models: Annotated[
        list[str] | None, typer.Argument(help=f"Models, or files:FOLDER of predictions; {DEFAULT_MODEL} if none.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="Data of the protocol, of protocol NAME, or of all NAME/...; repeat."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many samples, evenly spread.")] = None,
    device: DeviceOption = "auto",
    resume: Annotated[bool, typer.Option(help="Keep the rows that are there already.")] = True,
    worst: Annotated[int, typer.Option(min=0, help="Draw this many of the worst images of each model.")] = 3,
    worst_by: Annotated[str | None, typer.Option(help="Metric that tells which are worst; the table's first.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Share the images between so many processes or GPUs.")] = 1,
) -> int:
    """Measure models on stacks with ground truth, under one protocol or several."""
    from dualfocus.benchmarks.evaluate import Options
    from dualfocus.commands import evaluate as command

    options = Options(limit, device, resume, worst, worst_by)
    paths = command.assign_data(protocol, data or [])
    if processes > 1:
        return command.run_in_processes(processes, models or [DEFAULT_MODEL], paths, out, options)
    command.run(models or [DEFAULT_MODEL], paths, out, options)
    return 0


@app.command()
def submit(
    out: Annotated[Path, typer.Option("--out", "-o", help="The .zip to write.")],
    protocol: Annotated[str, typer.Option(help="With a hidden test set: zedd/f2.8-n5, ddff12/dfv-n5 or -n10.")],
    data: Annotated[Path, typer.Option(help="Folder or file of the test set.")],
    model: Annotated[str, typer.Argument(help="A model, or files:FOLDER of predictions.")] = DEFAULT_MODEL,
    device: DeviceOption = "auto",
) -> None:
    """Write a model's predictions for a hidden test set as the ZIP that its server takes."""
    from dualfocus.benchmarks.submission import write_upload

    with progress_bar("predicting") as report:
        count = write_upload(model, protocol, data, out, device, report)
    name = protocol.partition("/")[0]
    typer.echo(f"{count} maps in {out}; `dualfocus check-data {name}-upload {out}` looks at them as the server does")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration, e.g. configs/dualfocus-s.yaml.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output folder, in place of the configured.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    time_limit: Annotated[float | None, typer.Option(min=0, help="Minutes, in place of the configured.")] = None,
) -> None:
    """Train a network and export its weights."""
    from dualfocus.training.loop import train as run_training

    weights = run_training(config, resume=resume, time_limit=time_limit, output=out)
    typer.echo(f"weights written to {weights}")


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(help="YAML comparison, e.g. configs/comparison/nyu-small.yaml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs; a stopped comparison goes on there.")],
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
) -> None:
    """Train and measure networks that differ in one thing, and write the table."""
    from dualfocus.benchmarks.comparison import compare as run_comparison

    typer.echo(run_comparison(config, out, row or (), report=lambda line: typer.echo(line, err=True)))


@app.command()
def analyse(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the answers; a stopped run goes on there.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(help=f"Models or weights files, or LABEL=FILE; {DEFAULT_MODEL} and classical if none."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="textures, pathtraced or nyu: pictures for more answers; repeat."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Stacks at each level.")] = 24,
    size: Annotated[int, typer.Option(min=32, help="Side of the rendered pictures.")] = 160,
    only: Annotated[list[str] | None, typer.Option(help="This experiment (docs/analysis.md); may be repeated.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure what accuracy and confidence depend on: a figure and numbers for each question."""
    from dualfocus.commands import analyse as command

    command.run(models, data or [], limit, size, only, device, out)
    typer.echo(f"written to {out}")


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the stacks; a stopped run goes on there.")],
    kind: Annotated[
        str,
        typer.Argument(
            help="procedural; fod: path-traced in the manner of FoD500; pathtraced: the benchmark;"
            " fixture: a tiny data set to test with."
        ),
    ] = "procedural",
    name: Annotated[str | None, typer.Argument(help="fixture: nyu-bts, fod500, ddff12, ... of which data set.")] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Stacks: 40 of pathtraced, else 1024; procedural: rounded up to whole shards."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the data set.")] = 0,
    textures: Annotated[Path | None, typer.Option(help="Folder of images; noise textures without.")] = None,
    split: Annotated[str, typer.Option(help="Which textures and meshes: train, held_out or all.")] = "train",
    size: Annotated[
        int | None, typer.Option(min=16, help="Side of procedural pictures, 160; width of pathtraced ones, 256.")
    ] = None,
    planes: Annotated[tuple[int, int], typer.Option(metavar="LEAST MOST", help="Planes of a procedural stack.")] = (
        2,
        12,
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes of procedural rendering.")] = 1,
    meshes: Annotated[
        Path | None, typer.Option(help="fod, pathtraced: folder of the Sweet Home 3D catalogues (.sh3f).")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="fod, pathtraced: paths a pixel.")] = 24,
) -> None:
    """Render focal stacks, to train on or to measure with."""
    from dualfocus.outputs import check_output

    if kind not in ("procedural", "fod", "pathtraced", "fixture"):
        raise ValueError(f"kind {kind!r} is not one of procedural, fod, pathtraced, fixture")
    if kind == "fixture":
        from dualfocus.datasets.fixtures import write_fixture

        write_fixture(name or "", out)
        return typer.echo(f"fixture of {name} in {out}")
    if name is not None:
        raise ValueError(f"{name!r}: only fixture takes a name")
    check_output(out, overwrite=True)
    stacks = count or (40 if kind == "pathtraced" else 1024)
    with progress_bar("rendering") as report:
        if kind == "pathtraced":
            from dualfocus.rendering.pathtraced_benchmark import write_pathtraced

            write_pathtraced(
                *(out, stacks, seed, meshes, size or 256, samples),
                progress=lambda done, total: report(done, total, ""),
            )
        elif kind == "fod":
            from dualfocus.rendering.fod import write_fod

            if meshes is None:
                raise ValueError("fod scenes need --meshes, the folder of the Sweet Home 3D furniture catalogues")
            write_fod(
                *(out, stacks, seed, meshes, textures, split, samples),
                progress=lambda done, total: report(done, total, ""),
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


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="Labelled NYU, a folder with rgb and depth, or stack.json folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .zip to write; `train` and `evaluate` read it.")],
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the WebP photographs.")] = 90,
    split: Annotated[str | None, typer.Option(help="Of NYU: train or test.")] = None,
) -> None:
    """Pack a data set into one small file: WebP photographs, lossless depth."""
    from dualfocus.datasets.pack import pack as write_pack

    with progress_bar("packing") as report:
        count = write_pack(folder, out, quality, split, progress=lambda done, total: report(done, total, ""))
    typer.echo(f"{count} files, {out.stat().st_size / 1e6:.1f} MB, in {out}")


@app.command()
def bench(
    models: Annotated[list[str] | None, typer.Argument(help="Models (dualfocus-s and dfv when none is named).")] = None,
    planes: Annotated[str, typer.Option(help="Numbers of planes.", metavar="5,10,...")] = "5",
    size: Annotated[str, typer.Option(help="Heights and widths.", metavar="480x640,...")] = "480x640",
    backend: Annotated[str, typer.Option(help="Of eager, compile and onnx.", metavar="eager,...")] = "eager",
    precision: Annotated[str, typer.Option(help="Of fp32, bf16, fp16 and int8.", metavar="fp32,...")] = "fp32",
    repeats: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 7,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the figures, JSON and Markdown.")] = None,
    stages: Annotated[bool, typer.Option("--stages", help="Also how the time divides, from files to files.")] = False,
    training: Annotated[Path | None, typer.Option(help="Time this training configuration instead.")] = None,
    projection: Annotated[bool, typer.Option("--projection", help="Time solvers of the projection instead.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Time streaming instead.")] = False,
) -> None:
    """Time and peak memory of models, interleaved (needs no weights), or the pace of a training."""
    from dualfocus.commands import bench as kinds

    models = models or [DEFAULT_MODEL, "dfv"]
    with status("timing"):
        if training is not None:
            text = kinds.training_pace(training)
        elif projection:
            text = kinds.projection_cost(out)
        elif stream:
            text = kinds.streaming_gain(planes, size, repeats, device)
        else:
            text = kinds.speed(models, planes, size, backend, precision, repeats, device, out, stages)
    typer.echo(text)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    model: Annotated[str, typer.Argument(help="Name of a model, or a .safetensors file.")] = DEFAULT_MODEL,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Write a model as an ONNX file for any number of planes and image size."""
    from dualfocus.export import export_onnx

    with status(f"exporting {model}"):
        path = export_onnx(model, out, precision)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


@app.command()
def plan(
    focal_length: Annotated[float | None, typer.Option(help="Of the lens, in mm.", rich_help_panel="Camera")] = None,
    f_number: Annotated[float | None, typer.Option(help="Of the aperture.", rich_help_panel="Camera")] = None,
    sensor_width: Annotated[float | None, typer.Option(help="In mm.", rich_help_panel="Camera")] = None,
    pixels: Annotated[int | None, typer.Option(help="Of a picture's width.", rich_help_panel="Camera")] = None,
    near: Annotated[float | None, typer.Option(help="Nearest distance in metres.", rich_help_panel="Camera")] = None,
    far: Annotated[float | None, typer.Option(help="Farthest, in metres or inf.", rich_help_panel="Camera")] = None,
    na: Annotated[float | None, typer.Option(help="Numerical aperture.", rich_help_panel="Microscope")] = None,
    pixel_um: Annotated[
        float | None, typer.Option(help="Pixel size in the object, in um.", rich_help_panel="Microscope")
    ] = None,
    depth_um: Annotated[
        float | None, typer.Option(help="Height of the object, in um.", rich_help_panel="Microscope")
    ] = None,
    planes: Annotated[int | None, typer.Option(min=2, help="How many, in place of --spacing.")] = None,
    spacing: Annotated[float, typer.Option(help="Largest blur, in pixels, between neighbouring planes.")] = 3.0,
    error: Annotated[float, typer.Option(help="Expected error in plane spacings.")] = 0.25,
) -> None:
    """Where to focus, how many planes it takes, and the depth accuracy to expect."""
    from rich.console import Console

    from dualfocus.commands.plan import advice, make_plan, to_table

    made = make_plan(
        {
            "--focal-length": focal_length,
            "--f-number": f_number,
            "--sensor-width": sensor_width,
            "--pixels": pixels,
            "--near": near,
            "--far": far,
        },
        {"--na": na, "--pixel-um": pixel_um, "--depth-um": depth_um},
        planes,
        spacing,
        error,
    )
    Console().print(to_table(made))
    for line in advice(made):
        typer.echo(line)


@app.command("app")
def serve_app(
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    most_files: Annotated[int, typer.Option(min=2, help="Most files of a stack.")] = 100,
    most_megabytes: Annotated[int, typer.Option(min=1, help="Most megabytes of a file.")] = 200,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Serve a local web page: drop photographs, look at depth."""
    from dualfocus.app import serve
    from dualfocus.app.jobs import Limits

    serve(host, port, Settings(model, device), Limits(most_files, most_megabytes), DEMO_STACK, browser)


@app.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Models with their size and cost at 5 planes of 480 x 640, versions and devices."""
    from dualfocus.commands.info import installation, show

    record = installation()
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        show(record)


@app.command("check-data")
def check_data(
    name: Annotated[str, typer.Argument(help="nyu, fod500, ddff12, ... or stacks; any other word lists them all.")],
    path: Annotated[Path, typer.Argument(help="Its file or folder.")],
) -> None:
    """Say whether a data set is complete."""
    from dualfocus.datasets.checks import check_data as check

    found, problems = check(name, path)
    for line in found:
        typer.echo(line)
    if problems:
        for problem in problems:
            fail(problem)
        raise typer.Exit(2)
    typer.echo(f"{name} is complete")


if __name__ == "__main__":
    sys.exit(main())
