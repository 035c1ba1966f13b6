"""What the files of a stack say of its focus distances, in the order in which it is believed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from dualfocus.extras import install
from dualfocus.readers import metadata
from dualfocus.readers.distances import FocusDistances, convert, describe, disagree, even_steps, from_metres, from_names
from dualfocus.readers.frames import Frame
from dualfocus.readers.microscope import Geometry
from dualfocus.remedies import Remedy

FILE_NAMES = "the file names"


@dataclass(frozen=True)
class Stated:
    """Focus distances and the words for where they come from."""

    distances: FocusDistances
    source: str


def stated_by_files(
    frames: Sequence[Frame], geometry: Geometry, channel: int, time: int, warnings: list[str]
) -> list[Stated]:
    """Every complete set of distances in metadata, microscope data and file names, the most trusted first.

    Args:
        frames: the planes.
        geometry: what a microscope's file says of them, if they are in one.
        channel: the channel whose stage positions count.
        time: the time point whose stage positions count.
        warnings: gets a sentence for metadata that are there but cannot be used.
    """
    stated = [
        Stated(from_metres(distances), source)
        for source in metadata.SOURCES
        if (distances := _of_every_frame(frames, source, warnings)) is not None
    ]
    positions = geometry.positions(len(frames), channel, time)
    if positions is not None and len(set(positions)) == len(positions):
        stated.append(Stated(FocusDistances(positions, "um"), "the stage positions"))
    if geometry.z_step_um is not None:
        stated.append(Stated(even_steps(len(frames), geometry.z_step_um), "the z step"))
    named = from_names([frame.path.stem for frame in frames])
    if named is not None:
        stated.append(Stated(named, FILE_NAMES))
    return stated


def conflicts(chosen: Stated, others: Sequence[Stated]) -> list[str]:
    """A sentence for each source that says something else than the one that is used."""
    return [
        f"{chosen.source} and {other.source} disagree: "
        f"{describe(chosen.distances)} is used, not {describe(other.distances)}"
        for other in others
        if disagree(chosen.distances, other.distances)
    ]


def choose(stated: Sequence[Stated], unit: str | None, warnings: list[str]) -> FocusDistances | None:
    """The distances of the most trusted source in the unit asked for; says when it is only the file names."""
    if not stated:
        return None
    first, *others = stated
    warnings += conflicts(first, others)
    distances = convert(first.distances, unit)
    if first.source == FILE_NAMES:
        warnings.append(
            f"focus distances are read from the file names: {describe(distances)}; {Remedy('focus')} overrides them"
        )
    return distances


def maker_note_hint(frames: Sequence[Frame]) -> list[str]:
    """What to install when the answer may be in maker notes that cannot be read."""
    if not any(getattr(frame, "has_maker_note", False) for frame in frames):
        return []
    if importlib.util.find_spec("exifread") is not None:
        return []
    return [f"the maker notes may state focus distances, of some cameras readable: {install('exif')}"]


def _of_every_frame(frames: Sequence[Frame], source: str, warnings: list[str]) -> list[float] | None:
    """Distances in metres when every frame states one and all differ."""
    distances = [frame.distances[source] for frame in frames if source in frame.distances]
    if not distances:
        return None
    if len(distances) < len(frames):
        warnings.append(f"{source} is not used: only {len(distances)} of {len(frames)} images have one")
        return None
    if len(set(distances)) < len(distances):
        warnings.append(f"{source} is not used: several images have the same")
        return None
    return distances
