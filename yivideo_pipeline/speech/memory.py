"""Giving memory back to the machine when a model has been let go."""

import ctypes
import gc
import sys


def free_memory() -> None:
    """Give back what nobody refers to any more, in the process and on the GPU; imports no library for it."""
    gc.collect()
    # What torch keeps for itself no other library could use.
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    # glibc keeps freed memory in the arenas of the threads that took it: after base, a third of the process.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
