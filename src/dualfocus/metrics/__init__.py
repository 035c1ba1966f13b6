"""Metrics of depth, of confidence and of pictures, each of one image and in float64.

Conventions that never share a column: `depth_metrics` counts accuracies as fractions over an explicit mask, as
HybridDepth does; `dfv_metrics` gives them in percent over the pixels with truth > 0, as DDFF and DFV do;
`fossa_metrics` adds the closer accuracies, the logarithmic errors and the boundary score of FOSSA to the first.
"""

from dualfocus.metrics.boundary import boundary_f1
from dualfocus.metrics.bump import bumpiness
from dualfocus.metrics.confidence import (
    error_by_confidence,
    error_by_confidence_level,
    expected_calibration_error,
    is_right,
    risk_coverage,
    sparsification_error,
)
from dualfocus.metrics.depth import (
    bad_pixels,
    correlation,
    depth_metrics,
    dfv_metrics,
    fossa_metrics,
    mean_absolute_error,
    root_mean_square_error,
)
from dualfocus.metrics.picture import psnr, ssim

__all__ = [
    "bad_pixels",
    "boundary_f1",
    "bumpiness",
    "correlation",
    "depth_metrics",
    "dfv_metrics",
    "error_by_confidence",
    "error_by_confidence_level",
    "expected_calibration_error",
    "fossa_metrics",
    "is_right",
    "mean_absolute_error",
    "psnr",
    "risk_coverage",
    "root_mean_square_error",
    "sparsification_error",
    "ssim",
]
