"""The output folder of a batch: one result folder for every stack, and batch.json, which says how far it has come.

Only one run at a time may write there. Each result is written as a whole, so a run that was killed leaves nothing half
done and can be resumed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dualfocus import __version__
from dualfocus.atomic import is_temporary, remove, replacing
from dualfocus.batch.options import changed_option
from dualfocus.batch.stacks import name_stacks
from dualfocus.outputs.files import check_output, foreign_names, plain_errors, real_path, remove_result
from dualfocus.readers.sidecar import SIDECAR
from dualfocus.result_mark import BATCH_RECORD, is_ours

LOCK = ".dualfocus.lock"

Entry = dict[str, Any]


class BatchFolder:
    """What is known of a batch; made by `open_batch`.

    Attributes:
        path: the folder's own, without links.
        stacks: name to source of this run's stacks.
        entries: name to status and what came out, of these and of earlier runs' stacks.
    """

    def __init__(self, path: Path, stacks: dict[str, Path], entries: dict[str, Entry], settings: Entry) -> None:
        self.path, self.stacks, self.entries, self._settings = path, stacks, entries, settings

    def unfinished(self) -> dict[str, Path]:
        """This run's stacks that have no result yet."""
        return {name: source for name, source in self.stacks.items() if not self._is_finished(name)}

    def note(self, name: str, entry: Entry) -> None:
        """Keep what became of a stack, on disk too."""
        self.entries[name] = {"source": str(self.stacks[name]), **entry}
        self.write()

    def write(self) -> None:
        """Write batch.json as a whole."""
        record = {"dualfocus": __version__, "settings": self._settings, "stacks": self.entries}
        text = json.dumps(record, indent=2, ensure_ascii=False)
        with replacing(self.path / BATCH_RECORD) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")

    def _is_finished(self, name: str) -> bool:
        return self.entries.get(name, {}).get("status") == "done" and is_ours(self.path / name / "result.json")


@contextlib.contextmanager
def open_batch(
    path: Path, stacks: Sequence[Path], settings: Entry, resume: bool, overwrite: bool
) -> Iterator[BatchFolder]:
    """Take an output folder for a batch, and keep every other run out of it.

    An earlier batch there is replaced as a whole, or with `resume` gone on with.

    Args:
        path: the folder; made when it does not exist.
        stacks: the sources.
        settings: plain data that decide what comes out; a resumed run must have the same.
        resume: keep the results that are there.
        overwrite: write among files that are not ours.

    Raises:
        ValueError: another run is writing there, the folder holds files that are not ours or cannot be written, it is
            that of the stacks, or a resumed run has other settings.
    """
    target = real_path(path)
    _check_apart(path, target, stacks)
    _check(path, target, settings, resume, overwrite)
    with plain_errors(path):
        target.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"{path}: another run is writing there; wait for it, or choose another folder") from None
    try:
        _check(path, target, settings, resume, overwrite)  # again: another run may have ended just now
        earlier = _read_record(target).get("stacks", {})
        with plain_errors(path):
            _remove_temporary(target)
            remove_result(target)  # the result of a single stack
            if not resume:
                for name in earlier:
                    remove_result(target / name)
                earlier = {}
        named = name_stacks(stacks, {name: entry["source"] for name, entry in earlier.items()})
        waiting = {name: {"source": str(source), "status": "waiting"} for name, source in named.items()}
        batch = BatchFolder(target, named, {**waiting, **earlier}, settings)
        with plain_errors(path):
            batch.write()
        yield batch
    finally:
        with contextlib.suppress(OSError):
            _remove_temporary(target)
        lock.release()


def _check_apart(path: Path, target: Path, stacks: Sequence[Path]) -> None:
    """Refuse a folder of photographs, and one of stacks: each result would take the place of its own photographs."""
    for stack in stacks:
        folder = stack.parent if stack.name == SIDECAR else stack
        real = real_path(folder)
        if os.path.isdir(folder) and target in (real, real.parent):
            raise ValueError(f"{path} is the folder of the stacks: choose another output folder")


def _check(path: Path, target: Path, settings: Entry, resume: bool, overwrite: bool) -> None:
    check_output(path, overwrite=True)
    record = _read_record(target)
    with plain_errors(path):
        foreign = _foreign(target, record.get("stacks", {})) if target.is_dir() else []
    if foreign and not overwrite:
        raise ValueError(
            f"{path} holds files that are not an earlier result ({foreign[0]}): "
            "choose another output folder, or say --overwrite to write among them"
        )
    if resume and record and (changed := changed_option(record.get("settings", {}), settings)):
        raise ValueError(
            f"{path}: the earlier run had {changed}: resume with the same options or choose another output folder"
        )


def _foreign(path: Path, stacks: Mapping[str, Entry]) -> list[str]:
    """Names in the folder that we have not made, also inside the folders of an earlier batch."""
    found = []
    for name in foreign_names(path):
        if name in stacks and (path / name).is_dir():
            found += [f"{name}/{inner}" for inner in foreign_names(path / name)]
        elif name not in (BATCH_RECORD, LOCK) and not is_temporary(name):
            found.append(name)
    return found


def _read_record(path: Path) -> dict[str, Any]:
    """batch.json of an earlier run, or nothing."""
    if not is_ours(path / BATCH_RECORD):
        return {}
    record = json.loads((path / BATCH_RECORD).read_text(encoding="utf-8"))
    stacks = record.get("stacks")
    whole = isinstance(stacks, dict) and isinstance(record.get("settings", {}), dict)
    whole = whole and all(isinstance(entry, dict) and {"source", "status"} <= entry.keys() for entry in stacks.values())
    return record if whole else {}


def _remove_temporary(path: Path) -> None:
    """What killed processes left."""
    for entry in path.iterdir():
        if is_temporary(entry.name):
            remove(entry)
