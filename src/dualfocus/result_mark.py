"""How a `result.json` is known as ours: what writes results replaces them, and what reads photographs leaves them."""

from __future__ import annotations

import json
from pathlib import Path

MARK = "dualfocus"  # the key; its value is the version
BATCH_RECORD = "batch.json"  # of a folder of results; marked likewise


def is_ours(path: Path) -> bool:
    """Whether a JSON file is a record of ours."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and MARK in record
