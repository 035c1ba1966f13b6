"""What a prediction is and how it is written to disk (no torch)."""

from dualfocus.outputs.files import check_output, write_result
from dualfocus.outputs.formats import FORMATS, check_formats
from dualfocus.outputs.result import DepthResult

__all__ = ["FORMATS", "DepthResult", "check_formats", "check_output", "write_result"]
