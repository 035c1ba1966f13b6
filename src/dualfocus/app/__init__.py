"""`dualfocus app`: a local web page for focal stacks (gradio, an extra)."""

from dualfocus.app.page import serve

__all__ = ["serve"]
