"""The numbers of a file name that may be focus distances, each with the unit that the name gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

DOUBT = "?"  # the unit of a number that may be a distance, but of which the name does not say in what

_PART = re.compile(r"\.?\d+(?:[.,]\d+)*|[^\W\d_]+")  # a number (or several, as in a date) or a word
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?|\.\d+")
_HYPHENS = "-\N{MINUS SIGN}"

# Words for a unit, in any case. "m" and "D" alone count only behind a number: before one they say too little.
_UNIT = re.compile(
    r"(?P<dioptre>dptr?s?|diopt\w*)|(?P<um>[uµμ]m|microns?|micromet(?:re|er)s?)|(?P<mm>mm|millimet(?:re|er)s?)"
    r"|(?P<cm>cm|centimet(?:re|er)s?)|(?P<m>met(?:re|er)s?)"
)
_LETTER_UNITS = {"m": "m", "D": "dioptre"}
_UNIT_PREFIX = re.compile(r"(?:focus|dist(?:ance)?|depth|pos(?:ition)?|z)+(?=.)")  # distmm_350, zum_3.5
_UNIT_ENDING = re.compile(r".*(?:mm|cm|[µμ]m|dptr?|diopt\w*)")  # of a word that is otherwise unknown

_FOCUS_WORDS = {"focus", "dist", "distance", "d", "fd"}
# What a word before a number says that it is, and so no distance, whatever follows.
_QUANTITIES = frozenset(
    "f fno fnr fnum fnumber fstop stop av iso asa t tv time exp expo ev bias speed x y mag temp kelvin focal fl "
    "length".split()
)
_QUANTITY_STARTS = ("aperture", "exposure", "shutter", "zoom", "temperature", "focallen")
# The same, unless a unit of length follows.
_WEAK_QUANTITIES = frozenset(
    "s sec ms n i e k v number ver version rev gain gamma scale crop size deg degree degrees angle rot rotation pan "
    "tilt roll pitch yaw volt voltage fps rate sigma blur coc brightness contrast wavelength".split()
)
_OTHER_LENGTHS = frozenset("in inch inches ft foot feet yd yard yards nm pm dm km".split())
_OTHER_UNITS = _OTHER_LENGTHS | frozenset(
    "sec secs second seconds ms us min ev stops deg degree degrees degc hz fps pct percent px mp mpx db".split()
)
_OTHER_LETTERS = "cdghkmsuvwx"  # behind a number, of which "m" and "D" are metres and dioptres
_NEXT_LETTERS = "fnt"  # likewise, unless they name the number that follows
# Before a number without a unit: a stage or a motor counts in anything.
_UNITLESS_IN_DOUBT = _OTHER_LENGTHS | {"z", "pos", "position", "stage", "step", "motor", "power", "minus", "neg"}


class _Part(NamedTuple):
    gap: str  # what separates it from the part before
    text: str

    @property
    def is_word(self) -> bool:
        return self.text[0].isalpha()

    @property
    def is_decimal(self) -> bool:
        return "." in self.text or "," in self.text

    @property
    def is_padded(self) -> bool:
        return self.text[0] == "0" and self.text != "0" and not self.is_decimal


class _Word(NamedTuple):
    """A word beside a number, "" for none.

    Attributes:
        text: the word as it stands in the name.
        touches: whether nothing separates it from the number.
        owned: whether it can be the unit of the number; None when it can as well be that of the number behind it.
        between: whether there is a number on its other side too.
    """

    text: str = ""
    touches: bool = False
    owned: bool | None = True
    between: bool = False


def numbers_in(stem: str) -> list[tuple[float, str]]:
    """Numbers of a file name (without suffix) that may be distances, as (value, unit).

    The unit is m, cm, mm, um, dioptre, "" for a decimal number that nothing speaks against, or `DOUBT`. Left out are
    counters, dates, numbers in other units (100ms) and numbers that a word before them calls something else (f 2.8).
    """
    found = list(_PART.finditer(stem))
    ends = [0, *(match.end() for match in found)]
    parts = [_Part(stem[end : match.start()], match[0]) for end, match in zip(ends, found, strict=False)]
    readings = [(part, _unit_of(parts, n), _sign(parts, n)) for n, part in enumerate(parts)]
    return [(sign * float(part.text.replace(",", ".")), unit) for part, unit, sign in readings if unit is not None]


def _unit_of(parts: Sequence[_Part], n: int) -> str | None:
    """The unit of part n as in `numbers_in`; None when it is no distance."""
    number = parts[n]
    if not _NUMBER.fullmatch(number.text) or number.text[0] == "." and number.gap[-1:] in ("", "."):  # focus.5
        return None
    before, after = _beside(parts, n, -1), _beside(parts, n, 1)
    name = re.split(r"(?<=[a-z])(?=[A-Z])", before.text)[-1]  # Time of ExposureTime
    if name.lower() in _QUANTITIES or before.text.lower().startswith(_QUANTITY_STARTS):
        return None
    behind = _behind(number, after)
    if after.touches and not (after.owned and behind):  # 12bit, 3months, 0.5s, 3D
        return None
    unit = behind or _ahead(name, before)
    if unit == "um" and (_is_unclear_hyphen(number, before) or name.lower() in ("m", "minus", "neg")):
        return DOUBT
    return unit or _without_unit(number, before, name)


def _behind(number: _Part, word: _Word) -> str | None:
    """The unit that the word behind a number gives it; `DOUBT` when the word is another unit or not surely its own."""
    if word.text in _LETTER_UNITS:
        is_counter = number.is_padded and not word.touches or word.text == "D" and not number.is_decimal
        return None if is_counter else _LETTER_UNITS[word.text]  # 0001_m, 3D
    found = _UNIT.fullmatch(word.text.lower())
    if found:
        return DOUBT if word.owned is None else found.lastgroup if word.owned else None
    if word.touches or not _is_other_unit(word):
        return None
    return DOUBT if number.is_decimal else None


def _is_other_unit(word: _Word) -> bool:
    """Whether a word apart from the number before it is another unit, or a letter that may be one."""
    text = word.text.lower()
    if len(text) == 1:
        return text in _OTHER_LETTERS or text in _NEXT_LETTERS and not word.between  # 0.5_f_2.8
    return text in _OTHER_UNITS


def _ahead(name: str, word: _Word) -> str | None:
    """The unit that the word before a number gives it."""
    found = _UNIT.fullmatch(_UNIT_PREFIX.sub("", name.lower(), count=1)) or _UNIT.fullmatch(name.lower())
    return None if not found or word.owned is False else DOUBT if word.owned is None else found.lastgroup


def _without_unit(number: _Part, word: _Word, name: str) -> str | None:
    """What a number without a unit is, by the word before it: "" for metres, as `_unit_of`."""
    known = name.lower()
    if "." not in number.text:  # a counter; with a comma two numbers, or one as some countries write it
        return None
    if known in _WEAK_QUANTITIES or word.touches and word.text.lower() not in _FOCUS_WORDS:  # v_1.2, img0.5
        return None
    if name == "D" or known in _UNITLESS_IN_DOUBT or known.startswith("lens") or _UNIT_ENDING.fullmatch(known):
        return DOUBT  # D is as well the unit as the distance
    return ""


def _beside(parts: Sequence[_Part], n: int, step: int) -> _Word:
    """The word directly before (step -1) or behind (step 1) number n, unless it is part of another number."""
    k, other = n + step, n + 2 * step
    if not (0 <= k < len(parts) and parts[k].is_word):
        return _Word()
    text, touches = parts[k].text, not parts[max(n, k)].gap
    if not 0 <= other < len(parts) or parts[other].is_word:
        return _Word(text, touches)
    touches_other = not parts[max(k, other)].gap
    if touches or touches_other:  # 3_mm350; neither's in 3mm350
        return _Word(text, touches, owned=not touches_other, between=True) if touches else _Word()
    mine, others = ((part.is_decimal, not part.is_padded) for part in (parts[n], parts[other]))
    return _Word(text, False, None if mine == others else mine > others, between=True)  # 001_mm_3.5, 3.5_mm_1


def _is_unclear_hyphen(number: _Part, before: _Word) -> bool:
    """Whether a hyphen may be a sign: z-3.5um may lie at 3.5 or at -3.5, which would exchange near and far.

    Only stage positions have signs; behind a digit, as in 001-3.5um, it separates.
    """
    return before.text != "" and number.gap != "" and not number.gap.strip(_HYPHENS)


def _sign(parts: Sequence[_Part], n: int) -> int:
    """-1 for a number behind a minus sign, which is at the start or behind a separator, else 1."""
    gap = parts[n].gap
    if gap == "" or gap[-1] not in _HYPHENS:
        return 1
    return -1 if (n == 0 if len(gap) == 1 else gap[-2].isspace() or gap[-2] in "_=(") else 1
