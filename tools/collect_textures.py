"""Make the pool of surface pictures, `data/textures`, from Debian packages.

Usage: python tools/collect_textures.py PACKAGES -o data/textures

PACKAGES is a folder into which the packages of `textures.tsv` were unpacked (`apt-get download NAME` and `dpkg -x
NAME.deb PACKAGES` for each). Every picture is brought to 512 pixels along its shorter side, cut to a square where
`textures.tsv` says, and written as JPEG: the pictures that the shipped weights were trained with, most of them to the
bit.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

from PIL import Image

SIDE = 512
QUALITY = 82
TABLE = Path(__file__).with_name("textures.tsv")


class Texture(NamedTuple):
    """One picture: its name in the pool, where it comes from, and the left top corner of the square."""

    name: str
    package: str
    path: str
    left: int
    top: int


def read_table(table: Path = TABLE) -> list[Texture]:
    """The pictures of the pool."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Texture(r["name"], r["package"], r["path"], int(r["left"]), int(r["top"])) for r in rows]


def square(image: Image.Image, left: int, top: int) -> Image.Image:
    """The part of a picture that the pool holds, 512 x 512."""
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    if scale != 1:
        width, height = (max(SIDE, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return image.crop((left, top, left + SIDE, top + SIDE))


def main() -> None:
    """Write every picture that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    textures = read_table()
    missing = sorted({t.package for t in textures if not (arguments.packages / t.path).is_file()})
    if missing:
        raise SystemExit(f"error: {arguments.packages}: lacks files of {', '.join(missing)}; unpack them there")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for texture in textures:
        if not (arguments.out / texture.name).exists():
            with Image.open(arguments.packages / texture.path) as image:
                part = square(image, texture.left, texture.top)
            part.save(arguments.out / texture.name, "JPEG", quality=QUALITY)
    print(f"{len(textures)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()
