"""NYU Depth v2 in whichever form it lies on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dualfocus.datasets import nyu_bts, nyu_labelled, nyu_mat
from dualfocus.datasets.nyu import NyuImages


def open_nyu(
    path: str | Path,
    split: str = "test",
    *,
    planes: int | None = None,
    focus_distances: Sequence[float] | None = None,
) -> NyuImages:
    """Open NYU in whichever of its three forms `path` is; arguments as for `NyuImages`.

    Raises:
        ValueError: none of the three.
    """
    root = Path(path)
    form: type[NyuImages]
    if root.is_file() or root.suffix == ".mat":
        form = nyu_mat.NyuMat
    elif (root / "splits.json").is_file():
        form = nyu_labelled.form_of(root)
    elif (root / "nyu_depth_v2_labeled.mat").is_file():
        root, form = root / "nyu_depth_v2_labeled.mat", nyu_mat.NyuMat
    elif any((root / part).is_dir() for part in ("sync", "test", "official_splits")):
        form = nyu_bts.NyuBts
    else:
        raise ValueError(
            f"{root}: no NYU Depth v2 there: give nyu_depth_v2_labeled.mat, a folder with sync and official_splits "
            f"(the set of BTS), or one with splits.json, rgb and depth_u8; {nyu_mat.HOW}; {nyu_bts.HOW}"
        )
    return form(root, split, planes=planes, focus_distances=focus_distances)
