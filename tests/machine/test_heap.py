"""The heap as programs that recognize speech use it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, re
from pathlib import Path
from yivideo_pipeline.machine.heap import reserve_huge_pages, share_one_heap

share_one_heap()
reserve_huge_pages()
sound = (ctypes.c_char * (64 * 2**20))()
address = ctypes.addressof(sound) + 32 * 2**20
for area in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())[1:]:
    first, last = (int(end, 16) for end in area.split()[0].split("-"))
    if first <= address < last:
        print(re.search(r"(?m)^VmFlags:(.*)$", area)[1])
"""


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="needs huge pages")
def test_what_is_allocated_next_may_have_huge_pages():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert "hg" in done.stdout.split()
