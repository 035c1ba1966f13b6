"""Serves the page of `dualfocus app`."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from dualfocus.app.address import check_address, in_url
from dualfocus.app.fields import settings_of
from dualfocus.app.jobs import Answer, Limits, answer
from dualfocus.pipeline import Settings

_QUEUE = 20  # visitors that may wait


def serve(host: str, port: int, settings: Settings, limits: Limits, example: Path, browser: bool) -> None:
    """Serve the page until it is interrupted; whatever was uploaded or made is removed then.

    Args:
        host: address to listen on.
        port: the port that the page is served on.
        settings: model and device.
        limits: what is taken from a visitor.
        example: folder of the stack that can be tried.
        browser: open the page.

    Raises:
        ValueError: the model cannot be loaded, or the address cannot be listened on.
    """
    check_address(host, port)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is sent anywhere
    import gradio

    from dualfocus.app.layout import STYLE, build
    from dualfocus.loading import load_model

    model = load_model(settings.model, device=settings.device, precision=settings.precision)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as an interrupt: through the end of the block below
    with tempfile.TemporaryDirectory(prefix="dualfocus-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # uploads too

        def predict(files: list[Path], form: dict[str, str], progress: Callable[[int, int, str], None]) -> Answer:
            return answer(files, settings_of(form, settings), model, Path(folder), limits, progress)

        page = build(predict, example)
        page.queue(max_size=_QUEUE, default_concurrency_limit=1)
        try:
            page.launch(
                server_name=in_url(host),
                server_port=port,
                inbrowser=browser,
                share=False,
                quiet=True,  # it would advise a public link, which this program never opens
                prevent_thread_lock=True,
                max_file_size=limits.megabytes * 2**20,
                theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                css=STYLE,
                footer_links=["gradio"],
            )
        except OSError as error:  # taken since it was looked at
            raise ValueError(f"{host}:{port} cannot be listened on ({error}): choose another --port") from error
        print(f"the page is at {page.local_url}; Ctrl-C ends it", flush=True)
        page.block_thread()
