"""The fields of the page and what they hold as settings; knows nothing of gradio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from dualfocus.pipeline import Settings
from dualfocus.readers import Reading
from dualfocus.stack import UNITS

Number = TypeVar("Number", int, float)

# What each is called, by the option of `dualfocus predict` that it stands for: messages name them, see `words`.
LABELS = {
    "focus": "Focus distances",
    "unit": "Their unit",
    "order": "Order",
    "align": "Alignment",
    "z-step": "Z step",
    "channel": "Channel",
    "time": "Time point",
    "frames": "Frames",
}
UNKNOWN_UNIT = "as the files say, else m"
UNIT_CHOICES = (UNKNOWN_UNIT, *UNITS)
ORDER_CHOICES = (
    ("given", "given"),
    ("auto", "auto"),
    ("near to far", "near_to_far"),
    ("far to near", "far_to_near"),
)
ALIGN_CHOICES = ("auto", "none")


def settings_of(form: Mapping[str, str], settings: Settings) -> Settings:
    """The settings of one prediction.

    Args:
        form: what the fields hold, by the keys of `LABELS`; all of it text, "" where nothing is given.
        settings: model, device and precision.

    Raises:
        ValueError: a number that is none, naming the field.
    """
    reading = Reading(
        focus=form["focus"].strip() or None,
        unit=None if form["unit"] == UNKNOWN_UNIT else form["unit"],
        z_step=_number(form, "z-step", float),
        channel=_number(form, "channel", int),
        time=_number(form, "time", int),
        frames=_number(form, "frames", int),
    )
    return replace(settings, reading=reading, order=form["order"], align=form["align"])


def _number(form: Mapping[str, str], name: str, kind: type[Number]) -> Number | None:
    text = form[name].strip()
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number with a point for decimals"
        raise ValueError(f'"{LABELS[name]}" is {text!r}: give {wanted}, or leave it empty') from error
