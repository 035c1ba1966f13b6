"""Which samples stand for all of a dataset."""

from __future__ import annotations

import numpy as np


def even_stride(count: int, limit: int | None) -> list[int]:
    """At most `limit` indices spread evenly over `count`, first and last included; all of them when None."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if limit is None or limit >= count:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, limit).round().astype(int)).tolist()
