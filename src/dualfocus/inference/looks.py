"""Two looks at large photographs: what one size does not show, the other does.

A network knows scenes as large as those it was trained on. In larger photographs bare areas are broader and blur is
wider, which it reads better at half the size; where planes hardly differ in blur, the finest pixels tell them apart.
So it looks twice, the second time at half the sides, for a quarter more work, and each pixel takes the mean of both
answers, weighted by their expected errors.

Only `dualfocus-s` looks twice (`models.kinds`): `dualfocus-xs` gains on path-traced scenes what it loses on
NYU. Weights that were trained otherwise may say in their record how many looks are best.
"""

from __future__ import annotations

from numpy.typing import NDArray

from dualfocus.inference.expected_error import expected_error, trust_in_fine
from dualfocus.inference.focus_maps import FocusMaps, Size
from dualfocus.inference.resizing import enlarge, working_size
from dualfocus.inference.windows import LONGEST, WINDOW

LEAST_PIXELS = 65_536  # smaller photographs are as the training scenes are: one look at all of them


def look_sizes(size: Size, most_pixels: int, planes: int, looks: int) -> list[Size]:
    """Heights and widths to look at, the larger one first.

    One where so many planes are fused at once that neighbours hardly differ: smaller, they look more alike still.

    Args:
        size: height and width of the photographs.
        most_pixels: most pixels of the larger look.
        planes: number of planes N.
        looks: number of looks that is best for the weights, 1 or 2.
    """
    first = working_size(size, most_pixels)
    pixels = first[0] * first[1]
    if looks == 1 or pixels <= LEAST_PIXELS or WINDOW < planes <= LONGEST:
        return [first]
    return [first, working_size(first, pixels // 4)]


def merge(fine: FocusMaps, coarse: FocusMaps, confidence: tuple[NDArray, NDArray], planes: int) -> FocusMaps:
    """The mean of two looks, weighted by their inverse expected variances.

    Args:
        fine: maps of the first look, (h, w) each.
        coarse: maps of the second look, smaller.
        confidence: confidences of both looks after the confidence map, at their own sizes.
        planes: number of planes N.

    Returns:
        maps of the size of `fine`.
    """
    size = (fine.coordinate.shape[0], fine.coordinate.shape[1])
    errors = [expected_error(values, planes) for values in confidence]
    trust = trust_in_fine(enlarge(errors[1], size), errors[0])
    other = [enlarge(values, size) for values in coarse]
    return FocusMaps(*(back + trust * (own - back) for own, back in zip(fine, other, strict=True)))
