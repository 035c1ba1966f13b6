"""What a prediction is and how it is written to disk (no torch)."""

from dualfocus.outputs.files import check_output, write_result
from dualfocus.outputs.points import check_points
from dualfocus.outputs.result import DepthResult

__all__ = ["DepthResult", "check_output", "check_points", "write_result"]
