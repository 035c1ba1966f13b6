"""The page itself, of gradio's parts."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dualfocus.app.fields import ALIGN_CHOICES, LABELS, ORDER_CHOICES, UNIT_CHOICES, UNKNOWN_UNIT
from dualfocus.app.jobs import KEPT_SECONDS, Answer

STYLE = "#view iframe { width: 100%; height: 1250px; border: 0; border-radius: 8px; }"

_TITLE = "DualFocus"
_INTRODUCTION = """# DualFocus
Depth from a focal stack: photographs of one scene from one position, each focused at another distance.
Everything is computed on this machine."""
_IDLE = "Drop photographs or take the example, then compute."
_ADVANCED = "Advanced"
_SHOWN_SECONDS = 30  # how long an error is shown


def build(predict: Callable[..., Answer], example: Path) -> gr.Blocks:
    """The page.

    Args:
        predict: takes files, what the fields hold by the keys of `LABELS`, and a progress callback.
        example: folder of the stack that can be tried.
    """
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(600, KEPT_SECONDS)) as page:
        gr.Markdown(_INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=2):
                files = _files()
            with gr.Column(scale=1):
                fields = {**_distances(), **_advanced()}
                with gr.Row():
                    pick = gr.Button("Take the example", elem_id="example")
                    start = gr.Button("Compute depth", variant="primary", elem_id="start")
        said = gr.Markdown(_IDLE, min_height=90, elem_id="said")  # progress is shown here
        save = gr.DownloadButton("Download everything (ZIP)", interactive=False, elem_id="save")
        view = gr.HTML(elem_id="view")
        pictures = [str(path) for path in sorted(example.iterdir())]
        pick.click(lambda: pictures, outputs=files, api_visibility="private")
        start.click(
            _job(predict, files, fields),
            {files, *fields.values()},
            [said, view, save],
            api_visibility="private",
            show_progress_on=said,
        )
    return page


def _files() -> gr.File:
    return gr.File(
        file_count="multiple",
        label="Photographs; or one ZIP, multi-page TIFF or video of a focus sweep",
        height=180,
        elem_id="files",
    )


def _distances() -> dict[str, gr.components.Component]:
    return {
        "focus": gr.Textbox(
            label=LABELS["focus"],
            info="in the order of the file names",
            placeholder="0.3, 0.5, 1 (empty: found in the files, else relative)",
            elem_id="focus",
        ),
        "unit": _choice("unit", UNIT_CHOICES, UNKNOWN_UNIT),
    }


def _advanced() -> dict[str, gr.components.Component]:
    with gr.Accordion(_ADVANCED, open=False, elem_id="advanced"):
        with gr.Row():
            order = _choice("order", ORDER_CHOICES, "given", "where distances are unknown")
            align = _choice("align", ALIGN_CHOICES, "auto", "none: frames as they are")
        with gr.Row():
            channel = _number("channel", "of a microscope's TIFF, from 0")
            time = _number("time", "of a microscope's TIFF, from 0")
        with gr.Row():
            step = _number("z-step", "micrometres, in place of distances")
            frames = _number("frames", "of a video, to use (10)")
    return {"order": order, "align": align, "z-step": step, "channel": channel, "time": time, "frames": frames}


def _choice(name: str, choices: Sequence[Any], value: str, info: str | None = None) -> gr.Dropdown:
    return gr.Dropdown(list(choices), value=value, label=LABELS[name], info=info, elem_id=name)


def _number(name: str, info: str) -> gr.Textbox:
    """A number that may be left out; gradio's own field for numbers takes an empty one for 0 once it was shown."""
    return gr.Textbox(label=LABELS[name], info=info, max_lines=1, elem_id=name)


def _job(
    predict: Callable[..., Answer], files: gr.File, fields: dict[str, gr.components.Component]
) -> Callable[..., tuple[Any, ...]]:
    """What happens on "Compute depth"."""

    def run(values: dict[Any, Any], progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        def report(done: int, total: int, what: str) -> None:
            progress((done, total), desc=what, unit="planes")

        try:
            form = {name: values[field] or "" for name, field in fields.items()}  # None before it was shown
            found = predict([Path(file) for file in values[files] or ()], form, report)
        except Exception as error:
            raise _told(error) from error
        said = "\n".join([f"**{found.summary}**", *(f"- {text}" for text in found.warnings)])
        return said, _frame(found.page), gr.DownloadButton(value=str(found.archive), interactive=True)

    return run


def _told(error: Exception) -> gr.Error:
    """What is shown of an error: all of what the visitor can mend, nothing of what only the program can."""
    if isinstance(error, ValueError):
        return gr.Error(html.escape(str(error)), duration=_SHOWN_SECONDS, print_exception=False)
    if isinstance(error, ModuleNotFoundError):
        text = f"this needs {error.name}, which is not installed on the machine that serves this page"
        return gr.Error(text, duration=_SHOWN_SECONDS, print_exception=False)
    text = "something went wrong inside the program; the terminal it was started in says more"
    return gr.Error(text, duration=_SHOWN_SECONDS)


def _frame(page: str) -> str:
    """The report in a frame of its own: its scripts see nothing of this page."""
    return f'<iframe sandbox="allow-scripts" title="Result" srcdoc="{html.escape(page)}"></iframe>'
