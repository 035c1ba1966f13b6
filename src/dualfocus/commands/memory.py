"""What the program asks of the system's allocator."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_MOST_AT_ONCE = 1 << 28  # bytes
_KEPT = 1 << 29


def keep_freed_memory() -> None:
    """Let glibc use large blocks again that were freed; elsewhere nothing happens.

    It gives them back to the system otherwise, and every large array then begins with a fault for each of its pages.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, _MOST_AT_ONCE)
    mallopt(_TRIM_THRESHOLD, _KEPT)
