import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from dualfocus.app import jobs
from dualfocus.app.fields import LABELS, UNKNOWN_UNIT, settings_of
from dualfocus.app.jobs import Answer, Limits, answer
from dualfocus.app.words import in_fields, on_page
from dualfocus.loading import load_model
from dualfocus.outputs.files import RESULT_FILES
from dualfocus.pipeline import Settings
from dualfocus.readers import Reading
from dualfocus.remedies import Remedy, phrased

CLASSICAL = Settings("classical")


def uploads(folder: Path, workplace: Path) -> list[Path]:
    """Every file in a folder of its own, as gradio keeps uploads."""
    found = []
    for number, file in enumerate(sorted(folder.iterdir(), reverse=True)):
        place = workplace / f"{number:08x}" / file.name
        place.parent.mkdir(parents=True)
        place.write_bytes(file.read_bytes())
        found.append(place)
    return found


def test_an_answer_holds_the_page_and_all_files(tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    files = uploads(tiny_stack_folder, workplace)
    settings = Settings("classical", reading=Reading("0.5,0.6,0.75,1,1.5", "m"))
    found = answer(files, settings, load_model("classical"), workplace, Limits())
    assert found.summary.startswith("depth from 0.") and "<title>" in found.page
    with zipfile.ZipFile(found.archive) as archive:
        assert set(archive.namelist()) == {*RESULT_FILES, "report.html", "depth.tiff", "points.ply", "mesh.glb"}
        with archive.open("depth.npy") as file:
            depth = np.load(file)
    assert np.median(depth[:, 6:26]) == pytest.approx(0.6, rel=0.05), "planes are in the order of their names"
    relative = answer(files, CLASSICAL, load_model("classical"), workplace, Limits())
    assert "plane" in relative.summary and any("unknown" in text for text in relative.warnings)
    uploaded = {file.parent.name for file in files}
    assert {path.name for path in workplace.iterdir()} == {*uploaded, "downloads"}, "nothing else is left"

    os.utime(found.archive.parent, (0, 0))
    answer(files, CLASSICAL, load_model("classical"), workplace, Limits())
    assert not found.archive.exists() and relative.archive.exists(), "old downloads are removed"


def test_errors_are_sentences_without_paths(
    tiny_stack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = tmp_path / "work"
    files = uploads(tiny_stack_folder, workplace)

    def said(chosen: list[Path], limits: Limits = Limits(), **reading: str) -> str:  # noqa: B008
        with pytest.raises(ValueError) as caught:
            answer(
                chosen, Settings("classical", reading=Reading(**reading)), load_model("classical"), workplace, limits
            )
        assert str(workplace) not in str(caught.value)
        return str(caught.value)

    assert "no photographs" in said([])
    assert "at most 3" in said(files, Limits(files=3))
    pages = workplace / "pages.tif"
    tifffile.imwrite(pages, np.zeros((4, 8, 9), np.uint8), photometric="minisblack")
    assert "4 planes" in said([pages], Limits(files=3))
    assert "img0.png" in said([files[0], *files[1:], files[4].with_name("img0.png")])
    assert "focal stack" in said(files[:1])
    assert "furlong" in said(files, unit="furlong")
    Image.new("RGB", (5, 5)).save(files[2])
    assert said(files).startswith("img")
    monkeypatch.setattr(jobs, "_MOST_PIXELS", 10)
    assert "too large" in said(files[:2])
    assert not (workplace / "downloads").exists()


@pytest.mark.parametrize("name", ["/etc/motd.png", "../other/img0.png", "..\\\\img0.png", "C:\\\\img0.png"])
def test_a_sidecar_cannot_reach_for_other_files(name: str, tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    for data in ({"images": ["img0.png", name]}, {"ground_truth": name}):
        (tiny_stack_folder / "stack.json").write_text(json.dumps(data))
        files = uploads(tiny_stack_folder, workplace)
        for chosen in (files, [file for file in files if file.name == "stack.json"]):
            with pytest.raises(ValueError, match="beside it"):
                answer(chosen, CLASSICAL, load_model("classical"), workplace, Limits())
        shutil.rmtree(workplace)


def in_archive(found: Answer) -> dict[str, Any]:
    """The result.json that is downloaded."""
    with zipfile.ZipFile(found.archive) as archive:
        return json.loads(archive.read("result.json"))


@pytest.mark.parametrize("packed", [False, True])
def test_warnings_are_sentences_without_paths(packed: bool, tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    data = {"focus_distances": [0.5, 0.6, 0.75, 1, 1.5], "unit": "m", "alignd": True}
    (tiny_stack_folder / "stack.json").write_text(json.dumps(data))
    files = uploads(tiny_stack_folder, workplace)
    if packed:
        with zipfile.ZipFile(workplace / "desk.zip", "w") as archive:
            for file in files:
                archive.write(file, file.name)
        files = [workplace / "desk.zip"]
    settings = Settings("classical", reading=Reading(unit="dioptre"))
    found = answer(files, settings, load_model("classical"), workplace, Limits())
    name = "desk.zip/stack.json" if packed else "stack.json"
    assert f'{name}: the key "alignd" is ignored; did you mean "aligned"?' in found.warnings
    assert f"{name}: its distances are in m, and taken in dioptre as told" in found.warnings
    record = in_archive(found)
    assert record["warnings"] == found.warnings
    for text in (json.dumps(record), found.page):
        assert str(workplace) not in text and "dualfocus-app" not in text


def test_a_folder_of_the_page_has_no_name(tiny_stack_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tiny_stack_folder / "stack.json").write_text("{}")
    texts = [tmp_path / "a" / "notes.txt", tmp_path / "b" / "stack.json"]
    for text in texts:
        text.parent.mkdir()
        text.write_text("{}")
    for files in (texts, texts[1:]):
        with pytest.raises(ValueError, match="^no images among these files; supported are .jpg"):
            answer(files, CLASSICAL, load_model("classical"), tmp_path / "work", Limits())
    settings = Settings("classical", reading=Reading("1,2,3"))
    photos = sorted(tiny_stack_folder.iterdir())
    with pytest.raises(ValueError, match="^3 focus distances for 5 images"):
        answer(photos, settings, load_model("classical"), tmp_path / "work", Limits())


@pytest.mark.parametrize("alone", ["desk.zip", "SWEEP.MP4"])
@pytest.mark.parametrize("beside", ["other.zip", "stack.json", "img0.png"])
def test_a_zip_or_video_is_refused_beside_other_files(
    alone: str, beside: str, tiny_stack_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    with zipfile.ZipFile(tiny_stack_folder / alone, "w") as archive:
        archive.write(tiny_stack_folder / "img1.png", "img1.png")
    shutil.copyfile(tiny_stack_folder / alone, tiny_stack_folder / "other.zip")
    (tiny_stack_folder / "stack.json").write_text("{}")
    for names in ([alone, beside], [beside, alone]):
        with pytest.raises(ValueError, match="^[^/]*: a video or a ZIP is a stack of its own; give it alone$"):
            files = [tiny_stack_folder / name for name in names]
            answer(files, CLASSICAL, load_model("classical"), tmp_path / "work", Limits())


EMPTY = {**dict.fromkeys(LABELS, ""), "unit": UNKNOWN_UNIT, "order": "given", "align": "auto"}


def from_page(files: list[Path], workplace: Path, **form: str) -> Answer:
    """What the page shows when its fields hold this and nothing else."""
    filled = {**EMPTY, **{name.replace("_", "-"): value for name, value in form.items()}}
    return answer(files, settings_of(filled, CLASSICAL), load_model("classical"), workplace, Limits())


def z_stack(folder: Path, axis: str) -> Path:
    """The planes of a folder as one of two channels (C) or time points (T); the other is black."""
    planes = np.stack([np.asarray(Image.open(file).convert("L")) for file in sorted(folder.iterdir())])
    both = np.stack([np.zeros_like(planes), planes], axis=1 if axis == "C" else 0)
    path = folder.parent / "cells.tif"
    tifffile.imwrite(path, both, imagej=True, metadata={"axes": "ZCYX" if axis == "C" else "TZYX"})
    return path


@pytest.mark.parametrize(("axis", "field", "label"), [("C", "channel", "Channel"), ("T", "time", "Time point")])
def test_a_channel_and_a_time_point_are_chosen_on_the_page(
    axis: str, field: str, label: str, tiny_stack_folder: Path, tmp_path: Path
) -> None:
    file, workplace = z_stack(tiny_stack_folder, axis), tmp_path / "work"
    workplace.mkdir()
    with pytest.raises(ValueError, match=f'choose one with "{label}" 0 to 1$') as caught:
        from_page([file], workplace)
    assert str(caught.value).startswith("cells.tif: holds 2 ")
    found = from_page([file], workplace, z_step="2.0", **{field: " 1"})
    record = in_archive(found)
    assert record["focus_distances"] == [0, 2, 4, 6, 8] and record["unit"] == "um"
    with zipfile.ZipFile(found.archive) as archive, archive.open("depth.npy") as stored:
        depth = np.load(stored)
    assert np.median(depth[:, 6:26]) == pytest.approx(2, abs=0.3), "the other channel has no depth"


def test_the_order_is_chosen_on_the_page(tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    files = uploads(tiny_stack_folder, workplace)
    said = " ".join(from_page(files, workplace).warnings)
    assert 'say it with "Order" near to far or far to near' in said
    assert '"Focus distances", such as 0.3,0.5,1 (metres; other units with "Their unit"), with "Z step"' in said
    assert "two known points with `dualfocus predict --calibrate`" in said
    found = from_page(files, workplace, order="far_to_near")
    assert in_archive(found)["order"] == "far_to_near" and "Order" not in " ".join(found.warnings)


def test_the_order_is_found_for_the_page(tiny_stack_folder: Path, tmp_path: Path) -> None:
    for name, other in (("img1.png", "kept"), ("img3.png", "img1.png"), ("kept", "img3.png")):
        (tiny_stack_folder / name).rename(tiny_stack_folder / other)
    files = uploads(tiny_stack_folder, tmp_path / "work")
    assert 'use it with "Order" auto' in " ".join(from_page(files, tmp_path / "work").warnings)
    found = from_page(files, tmp_path / "work", order="auto")
    names = in_archive(found)["images"]
    assert names != sorted(names)
    assert f"the images are put in the order of focus that was found: {', '.join(names)}" in found.warnings


def test_frames_that_do_not_align_are_used_as_they_are_on_request(tmp_path: Path) -> None:
    files = []
    for n in range(4):
        files.append(tmp_path / f"{n}.png")
        noise = np.random.default_rng(n).integers(0, 256, (96, 128, 3), np.uint8)
        Image.fromarray(noise).save(files[-1])
    (tmp_path / "work").mkdir()
    with pytest.raises(ValueError, match='or leave them as they are with "Alignment" none$'):
        from_page(files, tmp_path / "work")
    assert in_archive(from_page(files, tmp_path / "work", align="none"))["alignment"]["requested"] == "none"


@pytest.mark.parametrize("name", ["z-step", "channel", "time", "frames"])
def test_a_field_that_holds_no_number_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^\"{LABELS[name]}\" is 'one': give a .*number.*, or leave it empty$"):
        settings_of({**EMPTY, name: " one"}, CLASSICAL)


def test_messages_are_in_the_words_of_the_page() -> None:
    work = Path("/tmp/work")

    def said(text: str) -> str:
        return on_page(text, [work / "a b", work / "stack"], work)

    with phrased(in_fields):
        assert f"say {Remedy('unit', 'mm')}" == 'say "Their unit" mm'
        assert f"{Remedy('focus')} overrides them" == '"Focus distances" overrides them'
        assert f"give it with {Remedy('pixel-size')}" == "give it with `dualfocus predict --pixel-size`"
    assert said("holds a result, not photographs; give the folder they are in").endswith(
        "give the photographs it was made of"
    )
    assert said(f"{work}/a b/my photo--order.png: x") == "my photo--order.png: x", "a name stays as it is"
    assert said(f"{work}/stack/a.png and {work}/tmp1/result/b.png: y") == "a.png and b.png: y"
