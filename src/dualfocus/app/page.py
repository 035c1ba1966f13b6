"""The page of `dualfocus app`."""

from __future__ import annotations

import html
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dualfocus.app.jobs import KEPT_SECONDS, Answer, Limits, answer
from dualfocus.commands.single import Settings
from dualfocus.stack import UNITS

_QUEUE = 20  # visitors that may wait
_TITLE = "DualFocus"
_UNKNOWN = "as the files say, else m"
_INTRODUCTION = """# DualFocus
Depth from a focal stack: photographs of one scene from one position, each focused at another distance.
Everything is computed on this machine."""
_IDLE = "Drop photographs or take the example, then compute."
_STYLE = "#view iframe { width: 100%; height: 1250px; border: 0; border-radius: 8px; }"


def serve(host: str, port: int, settings: Settings, limits: Limits, example: Path, browser: bool) -> None:
    """Serve the page until it is interrupted; whatever was uploaded or made is removed then.

    Args:
        host: address to listen on.
        port: of the page.
        settings: model and device.
        limits: what is taken from a visitor.
        example: folder of the stack that can be tried.
        browser: open the page.

    Raises:
        ValueError: the model cannot be loaded, or the port is taken.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is sent anywhere
    import gradio

    from dualfocus.inference.loading import load_model

    model = load_model(settings.model, device=settings.device, precision=settings.precision)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as an interrupt: through the end of the block below
    with tempfile.TemporaryDirectory(prefix="dualfocus-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # uploads too

        def predict(files: list[Path], load: dict[str, Any], progress: Callable[[int, int, str], None]) -> Answer:
            chosen = Settings(settings.model, settings.device, settings.precision, load)
            return answer(files, chosen, model, Path(folder), limits, progress)

        page = build(predict, example)
        page.queue(max_size=_QUEUE, default_concurrency_limit=1)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                inbrowser=browser,
                share=False,
                max_file_size=limits.megabytes * 2**20,
                theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                css=_STYLE,
                footer_links=["gradio"],
            )
        except OSError as error:
            raise ValueError(f"{host}:{port} cannot be listened on ({error}): choose another --port") from error


def build(predict: Callable[..., Answer], example: Path) -> Any:
    """The gradio page; `predict` takes files, keyword arguments of `load_stack` and a progress callback."""
    import gradio as gr

    def run(
        files: list[str] | None,
        focus: str,
        unit: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        load = {"focus": focus.strip() or None, "unit": None if unit == _UNKNOWN else unit}

        def report(done: int, total: int, what: str) -> None:
            progress((done, total), desc=what, unit="planes")

        try:
            found = predict([Path(file) for file in files or ()], load, report)
        except (ValueError, OSError) as error:
            raise gr.Error(html.escape(str(error)), duration=30, print_exception=False) from error
        except ModuleNotFoundError as error:
            text = f"this needs {error.name}, which is not installed on the machine that serves this page"
            raise gr.Error(text, duration=30, print_exception=False) from error
        except Exception as error:
            text = "something went wrong inside the program; the terminal it was started in says more"
            raise gr.Error(text, duration=30) from error
        said = "\n".join([f"**{found.summary}**", *(f"- {text}" for text in found.warnings)])
        return said, _frame(found.page), gr.DownloadButton(value=str(found.archive), interactive=True)

    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(600, KEPT_SECONDS)) as page:
        gr.Markdown(_INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=2):
                files = gr.File(
                    file_count="multiple",
                    label="Photographs; or one ZIP, multi-page TIFF or video of a focus sweep",
                    height=180,
                    elem_id="files",
                )
            with gr.Column(scale=1):
                focus = gr.Textbox(
                    label="Focus distances in the order of the file names",
                    placeholder="0.3, 0.5, 1 (empty: found in the files, else relative)",
                    elem_id="focus",
                )
                unit = gr.Dropdown([_UNKNOWN, *UNITS], value=_UNKNOWN, label="Their unit", elem_id="unit")
                with gr.Row():
                    pick = gr.Button("Take the example", elem_id="example")
                    start = gr.Button("Compute depth", variant="primary", elem_id="start")
        said = gr.Markdown(_IDLE, min_height=90, elem_id="said")  # progress is shown here
        save = gr.DownloadButton("Download everything (ZIP)", interactive=False, elem_id="save")
        view = gr.HTML(elem_id="view")
        pictures = [str(path) for path in sorted(example.iterdir())]
        pick.click(lambda: pictures, outputs=files, api_visibility="private")
        start.click(run, [files, focus, unit], [said, view, save], api_visibility="private", show_progress_on=said)
    return page


def _frame(page: str) -> str:
    """The report in a frame of its own: its scripts see nothing of this page."""
    return f'<iframe sandbox="allow-scripts" title="Result" srcdoc="{html.escape(page)}"></iframe>'
