"""Giving memory back to the machine when a model has been let go."""

import ctypes
import gc
import sys

_M_ARENA_MAX = -8  # malloc.h


def free_memory() -> None:
    """Give back what nobody refers to any more, in the process and on the GPU; imports no library for it."""
    gc.collect()
    # What torch keeps for itself no other library could use.
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    # glibc keeps freed memory in the arenas of the threads that took it: after base, a third of the process.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def limit_arenas() -> None:
    """Let all threads of this process take their memory from two arenas; call it before they start.

    By default glibc gives each thread one of its own, up to eight a core, and a freed block stays in its
    arena: in a service whose requests each have a thread, memory wandered up by half from load to load.
    """
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_M_ARENA_MAX, 2)
