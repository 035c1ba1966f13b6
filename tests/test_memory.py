"""Large blocks are used again: counted in page faults of a process of its own."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from dualfocus.commands.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is told")
def test_freed_memory_is_kept():
    assert faults("kept") < 0.2 * faults("not")
