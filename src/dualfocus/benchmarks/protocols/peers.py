"""The protocols that FOSSA, AiFDepthNet and DfF-in-the-wild measure with, beyond the data of the paper's tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dualfocus.benchmarks.protocols.protocol import BenchmarkProtocol, Range, given
from dualfocus.datasets import (
    Dataset,
    Hammer,
    InfinigenDefocus,
    LightField4d,
    MobileDepth,
    Smartphone,
    SyntheticFs,
    Uniformat,
    Zedd,
)
from dualfocus.datasets.light_field_4d import DISPARITIES, SHIFT_PX
from dualfocus.datasets.smartphone import POSITIONS_MM
from dualfocus.datasets.synthetic_fs import FLYINGTHINGS3D, MIDDLEBURY, StereoSet
from dualfocus.datasets.uniformat import DIODE, IBIMS1

FOSSA_HEADLINE = ("d1_05", "d1_15", "delta1", "abs_rel")


def _fossa(name: str, summary: str, open: Callable[[Path], Dataset], **conventions: Any) -> BenchmarkProtocol:
    return BenchmarkProtocol(
        name=name,
        summary=summary,
        headline=FOSSA_HEADLINE,
        space="depth in metres",
        planes="5, near to far",
        open=lambda data: open(given(data)),
        **conventions,
    )


def _rendered(name: str, title: str, mask: str, open: Callable[[Path], Dataset]) -> BenchmarkProtocol:
    return _fossa(
        f"{name}/f1.4-n5",
        f"{title}, stacks rendered as by FOSSA, five planes; zero-shot.",
        open,
        mask=mask,
        focus_range="evenly spaced in disparity between the 5 % and 95 % quantiles of each image: leaks its true range",
        crop="none",
        lens="thin lens f/1.4 of the image's own field of view before a 36 mm sensor; gather blur with a window of 15",
        published=name,
    )


def _stereo(name: str, kind: StereoSet, published: str | None) -> BenchmarkProtocol:
    return BenchmarkProtocol(
        name=f"{name}/aif-n15",
        summary=f"{kind.title}, {kind.count} scenes, measured as AiFDepthNet does: inside the focus range alone.",
        headline=("mae", "mse", "rmse", "abs_rel", "sq_rel"),
        space="disparity in px",
        mask=f"{kind.farthest:g} px <= truth <= {kind.nearest:g} px",
        focus_range=f"fixed at linspace({kind.farthest:g}, {kind.nearest:g}, 15) px: tells nothing of the image",
        planes="15, far to near",
        crop="none: padded below and right with black to multiples of 32, predictions cropped back",
        lens="blurred from stereo disparity by the set's authors",
        open=lambda data: SyntheticFs(given(data), kind),
        inverse=1.0,
        within=Range(kind.farthest, kind.nearest, closed=True),
        multiple=32,
        padding="constant",
        published=published,
    )


PEER_PROTOCOLS = (
    _rendered(
        "ibims-1",
        "iBims-1, 100 images",
        "the set's own mask; truth is the filled depth, which is the measured one there",
        lambda data: Uniformat(data, IBIMS1),
    ),
    _rendered(
        "diode",
        "DIODE, 771 validation images",
        "the set's own mask; truth is the filled depth, which is the measured one there",
        lambda data: Uniformat(data, DIODE),
    ),
    _rendered("hammer", "HAMMER in MoGe's packaging", "truth finite", Hammer),
    BenchmarkProtocol(
        name="4d-light-field/aif-n10",
        summary="4D Light Field, 4 validation scenes refocused from their views, as AiFDepthNet does.",
        headline=("mse", "rmse", "badpix", "bump"),
        space="signed disparity in px",
        mask="-2.5 px <= truth <= 2.5 px",
        focus_range="fixed at linspace(-2.5, 2.5, 10) px: tells nothing of the image",
        planes="10, far to near; told to the model as dioptres, disparity + 4, since it takes none below 0",
        crop="none (512 x 512)",
        lens="9 x 9 views shifted and averaged, continued periodically beyond the image",
        open=lambda data: LightField4d(given(data)),
        inverse=1.0,
        shift=SHIFT_PX,
        within=Range(DISPARITIES[0], DISPARITIES[-1], closed=True),
        metric_set="signed",
        published="4d-light-field",
    ),
    _stereo("flyingthings3d", FLYINGTHINGS3D, None),
    _stereo("middlebury", MIDDLEBURY, "middlebury"),
    _fossa(
        "zedd/f2.8-n5",
        "ZEDD, 50 photographed validation scenes at f/2.8, five planes, measured as FOSSA does; zero-shot.",
        Zedd,
        mask="truth finite, from 0.01 m to 1000 m",
        focus_range="fixed, runs 1, 3, 5, 7, 9 of the set's metadata.txt: tells nothing of the image",
        crop="shrunk to a height of 480 (images by Lanczos, depth to the nearest pixel), then the central 640 x 480",
        lens="as photographed, f/2.8",
        open_test=lambda data: Zedd(data, "test"),
        published="zedd",
    ),
    _fossa(
        "infinigen/f1.4-n5",
        "Infinigen-Defocus, 200 path-traced scenes at f/1.4, five planes, measured as FOSSA does; zero-shot.",
        InfinigenDefocus,
        mask="truth finite, from 0.01 m to 1000 m",
        focus_range="fixed at 0.8, 1.7, 3, 4.7, 8 m: tells nothing of the image",
        crop="none (960 x 720)",
        lens="thin lens f/1.4, path-traced by the set's authors",
        published="infinigen-defocus",
    ),
    BenchmarkProtocol(
        name="smartphone/wild-n10",
        summary="The smartphone set of Learning to Autofocus, 47 test scenes, measured as DfF-in-the-wild does.",
        headline=("mae", "mse", "rmse"),
        space="dioptres: 1 / depth in metres",
        mask="0.10201 m <= depth <= 3.91092 m and confidence above 0; each pixel counts by its confidence, at most 1",
        focus_range="fixed: 10 of the set's 49 positions, rint(linspace(0, 48, 10)), told in dioptres",
        planes="10, far to near",
        crop="the central 252 x 336 of 378 x 504, padded below and right with black to multiples of 32, cropped back",
        lens="as photographed with a telephone, scaled to one field of view by the set's authors",
        open=lambda data: Smartphone(given(data)),
        inverse=1.0,
        within=Range(1000 / POSITIONS_MM[0], 1000 / POSITIONS_MM[-1], closed=True),
        multiple=32,
        padding="constant",
        averaging="weighted means of each image, then the plain mean over images; ratios and Bump stay empty, range_ "
        "and plane_ columns count all pixels of the mask alike",
    ),
    BenchmarkProtocol(
        name="mobile-depth/n5",
        summary="Mobile Depth, 11 hand-held stacks, aligned: no truth, so there are pictures and no errors.",
        headline=("avg_unc",),
        space="position in the stack, from 0 to 4",
        mask="empty: there is no truth",
        focus_range="unknown: the frames by their rank",
        planes="5, evenly taken from the sweep by rank",
        crop="none",
        lens="as photographed with a telephone, aligned by the set's authors",
        open=lambda data: MobileDepth(given(data)),
    ),
)
