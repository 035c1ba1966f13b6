"""The benchmark protocols: what is measured, where and how, stated so that figures of different kinds never mix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dualfocus.benchmarks.protocols.peers import PEER_PROTOCOLS
from dualfocus.benchmarks.protocols.protocol import BenchmarkProtocol, Range, given
from dualfocus.datasets import (
    ArkitScenes,
    Dataset,
    Ddff12,
    Ddff12Test,
    Fod500,
    ProceduralScenes,
    StackFolders,
    open_nyu,
)
from dualfocus.datasets.ddff12 import DISPARITY_M, ROUNDED_FARTHEST, ROUNDED_NEAREST
from dualfocus.datasets.fod500 import FOCUS_DISTANCES_M
from dualfocus.datasets.nyu import MAX_DEPTH_M, MIN_DEPTH_M
from dualfocus.datasets.unpacked import unpacked

DEPTH_HEADLINE = ("rmse", "abs_rel", "delta1", "delta2", "delta3", "log_rms", "sq_rel", "bump")
DFV_HEADLINE = ("mse", "rmse", "log_rms", "abs_rel", "sq_rel", "delta1", "delta2", "delta3", "bump")
FIXED_DISTANCES_M = (1.0, 1.5, 2.5, 4.0, 6.0)
LEAKING = "N distances equally spaced in metres over the true depth range of each image: leaks that range"


def _nyu(
    name: str,
    planes: int,
    summary: str,
    focus_range: str = LEAKING,
    focus_distances: tuple[float, ...] | None = None,
    published: str | None = "nyu",
) -> BenchmarkProtocol:
    return BenchmarkProtocol(
        name=name,
        summary=summary,
        headline=DEPTH_HEADLINE,
        space="depth in metres",
        mask="0.001 m < truth < 10 m, no Eigen crop; 8-bit depth has its steps of 39 mm smoothed inside their bins",
        focus_range=focus_range,
        planes=f"{planes}, near to far",
        crop="uniform border removed and padded back, then the central 512 x 384",
        lens="thin lens 50 mm f/8, pixels of 12 um; gather blur with a window of 7",
        open=lambda data: open_nyu(
            given(data), planes=None if focus_distances else planes, focus_distances=focus_distances
        ),
        within=Range(MIN_DEPTH_M, MAX_DEPTH_M),
        published=published,
    )


def _fod500(name: str, summary: str, **conventions: Any) -> BenchmarkProtocol:
    return BenchmarkProtocol(
        name=name,
        summary=summary,
        space="depth in metres",
        focus_range="fixed at 0.1, 0.15, 0.3, 0.7, 1.5 m: tells nothing of the image",
        planes="5, near to far",
        crop="none (256 x 256)",
        lens="thin lens 2.9 mm f/1, rendered in Blender by the set's authors",
        open=lambda data: Fod500(given(data)),
        published="fod500",
        **conventions,
    )


def _ddff12(name: str, planes: int, summary: str, **conventions: Any) -> BenchmarkProtocol:
    chosen = "the ten planes" if planes == 10 else "planes 0, 2, 4, 6, 9 of the ten"
    return BenchmarkProtocol(
        name=name,
        summary=summary,
        headline=DFV_HEADLINE,
        space=f"disparity in px: {DISPARITY_M} / depth in metres",
        focus_range="fixed; the model is told linspace(0.28, 0.02, 10) px, where the exact ends are 0.2825 and 0.0202",
        planes=f"{planes}, near to far: {chosen}",
        crop="none: 383 x 552 padded below and right by reflection to 384 x 576, predictions cropped back",
        lens="light field camera, refocused by the set's authors from its views",
        open=lambda data: Ddff12(given(data), planes=planes),
        inverse=DISPARITY_M,
        multiple=32,
        published="ddff12",
        **conventions,
    )


PROTOCOLS: dict[str, BenchmarkProtocol] = {
    protocol.name: protocol
    for protocol in (
        BenchmarkProtocol(
            name="stacks",
            summary="Focal stacks with ground truth: every stack.json below a folder that names its truth.",
            headline=("rmse", "mae", "abs_rel", "delta1", "correlation", "plane_mae", "range_rmse"),
            space="depth in the unit of each stack; plane_ and range_ columns in the focus coordinate",
            mask="truth known (and > 0 for metric units); plane_ and range_ columns: and inside the focus range",
            focus_range="the focus distances of each stack",
            planes="as given",
            crop="none",
            lens="as photographed or rendered",
            open=lambda data: StackFolders(given(data)),
        ),
        _nyu(
            "nyu/hybriddepth-n5",
            5,
            "NYU Depth v2, 654 labelled test images, focal stacks rendered as by HybridDepth, five planes.",
        ),
        _nyu(
            "nyu/hybriddepth-n10",
            10,
            "NYU Depth v2, 654 labelled test images, focal stacks rendered as by HybridDepth, ten planes.",
        ),
        _nyu(
            "nyu/fixed-n5",
            5,
            "NYU Depth v2, 654 labelled test images, the same renderer, five focus distances that are always the same.",
            f"fixed at {', '.join(f'{s:g}' for s in FIXED_DISTANCES_M)} m: tells nothing of the image",
            FIXED_DISTANCES_M,
            published=None,
        ),
        _fod500(
            "fod500/dfv",
            "FoD500, 100 test stacks, measured as DFV does.",
            headline=DFV_HEADLINE,
            mask="truth > 0; deeper than 1.5 m counts, with truth 1.5",
            levels=10_000,
            clip=(0.0, FOCUS_DISTANCES_M[-1]),
            clipping="prediction and truth cut off to 16-bit levels of 0.1 mm, then clipped to 0 to 1.5 m",
            metric_set="dfv",
        ),
        _fod500(
            "fod500/aif",
            "FoD500, 100 test stacks, measured as AiFDepthNet does: inside the focus range alone.",
            headline=("mae", "mse", "rmse", "abs_rel", "sq_rel", "log_rms"),
            mask="0.1 m <= truth <= 1.5 m; deeper pixels do not count",
            within=Range(FOCUS_DISTANCES_M[0], FOCUS_DISTANCES_M[-1], closed=True),
        ),
        _ddff12(
            "ddff12/dfv-n5",
            5,
            "DDFF 12-Scene, DFV's 200 validation stacks, five planes, measured as DFV does.",
            mask="truth > 0",
            metric_set="dfv",
            open_test=lambda data: Ddff12Test(data, planes=5),
        ),
        _ddff12(
            "ddff12/dfv-n10",
            10,
            "DDFF 12-Scene, DFV's 200 validation stacks, ten planes, measured as DFV does.",
            mask="truth > 0",
            metric_set="dfv",
            open_test=Ddff12Test,
        ),
        _ddff12(
            "ddff12/hybriddepth-n5",
            5,
            "DDFF 12-Scene, DFV's 200 validation stacks, five planes, measured as HybridDepth does.",
            mask="0.02 px < truth < 0.28 px",
            within=Range(ROUNDED_FARTHEST, ROUNDED_NEAREST),
        ),
        BenchmarkProtocol(
            name="arkitscenes/hybriddepth-n5",
            summary="ARKitScenes upsampling, 5594 validation frames, stacks rendered as by HybridDepth; zero-shot.",
            headline=("rmse", "abs_rel", "delta1", "delta2", "delta3", "log_rms", "sq_rel"),
            space="depth in metres",
            mask="truth not 0, no upper bound; depth is resized like the image, so blended values near holes count",
            focus_range=LEAKING,
            planes="5, near to far",
            crop="none: image and depth resized to 640 x 480 by antialiased bilinear interpolation",
            lens="thin lens 2.9 mm f/0.5, pixels of 5.536 um; gather blur with a window of 7",
            open=lambda data: ArkitScenes(given(data)),
            published="arkitscenes",
        ),
        *PEER_PROTOCOLS,
        BenchmarkProtocol(
            name="fod-like",
            summary="Scenes of `dualfocus render fod`, in the manner of FoD500, measured as DFV measures FoD500.",
            headline=("mse", "rmse", "log_rms", "abs_rel", "sq_rel", "bump", "range_rmse"),
            space="depth in metres; range_ columns in the focus coordinate",
            mask="truth > 0; range_ columns: and inside the focus range",
            focus_range="fixed at 0.1, 0.15, 0.3, 0.7, 1.5 m: tells nothing of the image",
            planes="5, near to far",
            crop="none",
            lens="thin lens 2.9 mm f/1, sensor 3.1 mm, path-traced",
            open=lambda data: StackFolders(given(data)),
            clip=(0.0, 1.5),
            clipping="prediction and truth to at most 1.5 m; scenes are not those of FoD500: no figure of it compares",
        ),
        BenchmarkProtocol(
            name="pathtraced",
            summary="Our physical benchmark, `dualfocus render pathtraced`; nothing in it was seen in training.",
            headline=("rmse", "abs_rel", "delta1", "range_rmse", "range_mae", "plane_mae", "within_half_plane"),
            space="depth in metres, 0.12 to 5; range_ and plane_ columns in the focus coordinate",
            mask="truth known; range_ and plane_ columns: and inside the focus range, which holds all of it",
            focus_range="fixed for each of five cameras, even in dioptres: tells nothing of the scene",
            planes="5 to 8 by camera, near to far",
            crop="none",
            lens="thin lens at f/1.8 to f/5.6, path-traced; shot and read noise, 8 bits",
            open=lambda data: StackFolders(given(data)),
            parts=("general", "plain", "thin", "macro"),
        ),
        BenchmarkProtocol(
            name="procedural",
            summary="Seeded procedural scenes, textures held out from those of training, 3 to 10 planes.",
            headline=("range_rmse", "range_rmse_textured", "range_mae", "plane_mae", "within_half_plane"),
            space="focus coordinate (inverse depth) divided by the focus range",
            mask="truth inside the focus range",
            focus_range="drawn with the scene: covers all of it, part of it, or more",
            planes="3 to 10 drawn with the scene, near to far",
            crop="none",
            lens="thin lens drawn with the scene, layered renderer, noise and JPEG",
            open=lambda data: ProceduralScenes(textures=data),
            needs_data=False,
        ),
    )
}


def find_protocol(name: str) -> BenchmarkProtocol:
    """The protocol of that name; ValueError listing the known ones otherwise."""
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def open_dataset(protocol: BenchmarkProtocol, data: str | Path | None) -> Dataset:
    """The samples of a protocol.

    Args:
        protocol: one of `PROTOCOLS`.
        data: the folder of stacks, of labelled NYU, or of texture images (procedural; None: noise textures only).
    """
    if data is None and protocol.needs_data:
        raise ValueError(f"protocol {protocol.name} needs the folder or file of its data: --data")
    return protocol.open(None if data is None else unpacked(Path(data)))
