"""Benchmark protocols: what is measured, where and how, stated so that figures of different kinds never mix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from dualfocus.datasets import Dataset, NyuLabelled, ProceduralScenes, StackFolders
from dualfocus.datasets.pack import unpacked

DEPTH_HEADLINE = ("rmse", "abs_rel", "delta1", "delta2", "delta3", "log_rms", "sq_rel", "bump")
FIXED_DISTANCES_M = (1.0, 1.5, 2.5, 4.0, 6.0)


@dataclass(frozen=True)
class Protocol:
    """One way to measure, with the conventions a reader needs to compare figures.

    Attributes:
        name: the name on the command line.
        summary: one sentence.
        headline: columns shown in the table; the CSV holds all of them.
        space: the quantity that errors are taken of.
        mask: the pixels that count.
        focus_range: where the focus distances come from; whether they tell the true depth range.
        planes: number of planes and their order.
        crop: part of the image that is used.
        lens: camera and renderer, or where the images come from.
        clipping: what is done to predictions before they are measured.
        clip: depths, least and most, to which prediction and truth are clipped in the columns of depth; or None.
        averaging: how images are combined.
        delta: percent or fraction.
        log_base: of logarithmic errors.
        published: name under which published figures are kept, or None.
    """

    name: str
    summary: str
    headline: tuple[str, ...]
    space: str
    mask: str
    focus_range: str
    planes: str
    crop: str
    lens: str
    clip: tuple[float, float] | None = None
    clipping: str = "none; predictions that are not finite take the farthest finite focus distance (column `filled`)"
    averaging: str = "figures per image, then the plain mean over images; ECE and the ten confidence bins pool pixels"
    delta: str = "fraction"
    log_base: str = "e"
    published: str | None = None

    def conventions(self) -> dict[str, str]:
        """Everything but the headline, as text, for records."""
        fields = asdict(self)
        del fields["headline"], fields["published"], fields["clip"]
        return fields


def _nyu(name: str, planes: int, summary: str, focus_range: str, published: str | None) -> Protocol:
    return Protocol(
        name=name,
        summary=summary,
        headline=DEPTH_HEADLINE,
        space="depth in metres",
        mask="0.001 m < truth < 10 m, no Eigen crop; 8-bit depth, its steps of 39 mm smoothed inside their bins",
        focus_range=focus_range,
        planes=f"{planes}, near to far",
        crop="uniform border removed and padded back, then the central 512 x 384",
        lens="thin lens 50 mm f/8, pixels of 12 um; gather blur with a window of 7",
        published=published,
    )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="stacks",
            summary="Focal stacks with ground truth: every stack.json below a folder that names its truth.",
            headline=("rmse", "mae", "abs_rel", "delta1", "correlation", "plane_mae", "range_rmse"),
            space="depth in the unit of each stack; plane_ and range_ columns in the focus coordinate",
            mask="truth known (and > 0 for metric units); plane_ and range_ columns: and inside the focus range",
            focus_range="the focus distances of each stack",
            planes="as given",
            crop="none",
            lens="as photographed or rendered",
        ),
        _nyu(
            "nyu/hybriddepth-n5",
            5,
            "NYU Depth v2, 654 labelled test images, focal stacks rendered as by HybridDepth, five planes.",
            "N distances equally spaced in metres over the true depth range of each image: leaks that range",
            "nyu",
        ),
        _nyu(
            "nyu/hybriddepth-n10",
            10,
            "NYU Depth v2, 654 labelled test images, focal stacks rendered as by HybridDepth, ten planes.",
            "N distances equally spaced in metres over the true depth range of each image: leaks that range",
            "nyu",
        ),
        _nyu(
            "nyu/fixed-n5",
            5,
            "NYU Depth v2, 654 labelled test images, the same renderer, five focus distances that are always the same.",
            f"fixed at {', '.join(f'{s:g}' for s in FIXED_DISTANCES_M)} m: tells nothing of the image",
            None,
        ),
        Protocol(
            name="fod-like",
            summary="Scenes of `dualfocus render fod`, in the manner of FoD500, measured as DFV measures FoD500.",
            headline=("mse", "rmse", "log_rms", "abs_rel", "sq_rel", "bump", "range_rmse"),
            space="depth in metres; range_ columns in the focus coordinate",
            mask="truth > 0; range_ columns: and inside the focus range",
            focus_range="fixed at 0.1, 0.15, 0.3, 0.7, 1.5 m: tells nothing of the image",
            planes="5, near to far",
            crop="none",
            lens="thin lens 2.9 mm f/1, sensor 3.1 mm, path-traced",
            clip=(0.0, 1.5),
            clipping="prediction and truth to at most 1.5 m; scenes are not those of FoD500: no figure of it compares",
        ),
        Protocol(
            name="procedural",
            summary="Seeded procedural scenes with textures held out from training, 3 to 10 planes.",
            headline=("range_rmse", "range_rmse_textured", "range_mae", "plane_mae", "within_half_plane"),
            space="focus coordinate (inverse depth) divided by the focus range",
            mask="truth inside the focus range",
            focus_range="drawn with the scene: covers all of it, part of it, or more",
            planes="3 to 10 drawn with the scene, near to far",
            crop="none",
            lens="thin lens drawn with the scene, layered renderer, noise and JPEG",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; ValueError listing the known ones otherwise."""
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def open_dataset(protocol: Protocol, data: str | Path | None) -> Dataset:
    """The samples of a protocol.

    Args:
        protocol: one of `PROTOCOLS`.
        data: the folder of stacks, of labelled NYU, or of texture images (procedural; None: noise textures only).
    """
    if protocol.name == "procedural":
        return ProceduralScenes(textures=data)
    if data is None:
        raise ValueError(f"protocol {protocol.name} needs the folder of its data")
    data = unpacked(Path(data))
    if protocol.name in ("stacks", "fod-like"):
        return StackFolders(data)
    if protocol.name == "nyu/fixed-n5":
        return NyuLabelled(data, focus_distances=FIXED_DISTANCES_M)
    return NyuLabelled(data, planes=5 if protocol.name.endswith("n5") else 10)
