"""How glibc gives memory to programs that recognize speech."""

import ctypes

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 512 * 2**20
"""At the heap's end: what two windows need at once in the encoder of base is 290 MB."""


def share_one_heap() -> None:
    """Let all threads allocate from one heap that keeps what is freed; no effect without glibc.

    By default glibc maps a block of more than 32 MB anew each time, and the kernel clears its pages: the
    encoder's attention (72 MB a layer, base) took a quarter of the encoder's time for that. By default, too,
    each thread has a heap of its own, so that the memory of a service grew by half over several loads.
    `free_memory` gives the kernel what an unloaded model leaves.

    To be called before threads start.
    """
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_M_ARENA_MAX, 1)
        set_option(_M_MMAP_MAX, 0)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
