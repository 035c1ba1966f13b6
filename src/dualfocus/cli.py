"""The `dualfocus` command, put together from `dualfocus.commands`, which import what is slow when they run."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dualfocus import __version__
from dualfocus.commands import (
    analyse,
    app,
    bench,
    data,
    evaluate,
    export,
    info,
    plan,
    predict,
    render,
    submit,
    train,
)
from dualfocus.commands.console import as_option, fail
from dualfocus.extras import install
from dualfocus.messages import of_the_system
from dualfocus.remedies import phrased

_INTERRUPTED = 130
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

program = typer.Typer(
    help="Metric depth, confidence and an all-in-focus image from a focal stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 2 for what the user can mend (one line on stderr says what), 130 when interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name its encoding lacks must not fail a finished run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with phrased(as_option):
            code = program(
                args=None if arguments is None else list(arguments), prog_name="dualfocus", standalone_mode=False
            )
        if code == _INTERRUPTED:  # so newer versions of typer say it
            return fail("interrupted", _INTERRUPTED)
    except (typer.Abort, KeyboardInterrupt):
        return fail("interrupted", _INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name == "torch":
            return fail("this needs torch, which is not installed: install DualFocus as its README says")
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return fail(f"this needs {error.name}, which is not installed: {install(extra)}")
    except OSError as error:
        return fail(of_the_system(error))
    except UnicodeEncodeError as error:  # of a path, in a record that is UTF-8
        name = re.split(r'[\s"/\\]', error.object[: error.end])[-1].encode("ascii", "backslashreplace").decode()
        return fail(f"{name}...: a name that is no UTF-8 text cannot be written into records; rename it")
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


@program.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Metric depth, confidence and an all-in-focus image from a focal stack."""


# in the order of --help
for command in (
    predict.demo,
    predict.predict,
    evaluate.evaluate,
    submit.submit,
    train.train,
    train.compare,
    analyse.analyse,
    render.render,
    data.pack,
    bench.bench,
    export.export,
    plan.plan,
    app.app,
    info.info,
    data.check_data,
):
    program.command()(command)


if __name__ == "__main__":
    sys.exit(main())
