"""How glibc gives memory to programs that recognize speech."""

import ctypes

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 512 * 2**20
"""At the heap's end: what two windows need at once in the encoder of base is 290 MB."""

# linux/mman.h; what is asked of a part of a page stays without effect
_MADV_HUGEPAGE = 14
_HUGE_PAGE_BYTES = 2 * 2**20
_RESERVED_BYTES = _KEPT_BYTES - 64 * 2**20
"""Less than what is kept, or it would be given back at once."""


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


def reserve_huge_pages() -> None:
    """Let the heap's end, which the model that is loaded next takes, consist of huge pages where it can.

    Each step of the decoder reads all weights and all that the encoder wrote. With pages of 4 kB the
    processor looks their places up anew each time, on a virtual machine twice: a window took 9% more in the
    decoder and 4% more in the encoder (tiny.en). Many kernels give huge pages only to programs that ask
    (`madvise`). Memory is taken when it is written to, as before. No effect without `share_one_heap`.
    """
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "madvise")):
        return
    libc.malloc.restype = ctypes.c_void_p
    if block := libc.malloc(ctypes.c_size_t(_RESERVED_BYTES)):
        start = -(-block // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
        length = _RESERVED_BYTES - _HUGE_PAGE_BYTES
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(block))
