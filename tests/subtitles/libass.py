"""Draws ASS subtitles with libass, the library behind mpv, VLC and FFmpeg's filters."""

import ctypes
import ctypes.util
from pathlib import Path

import matplotlib
import numpy as np

LIBRARY = ctypes.util.find_library("ass")
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
"""DejaVu, which has Hebrew and Arabic letters."""
WIDTH, HEIGHT = 960, 540
NO_FONT_PROVIDER = 0
LETTERS = 0
QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)(
    lambda *_: None
)


class Bitmap(ctypes.Structure):
    """libass's ASS_Image: one layer of one glyph run, with its place in the frame."""


Bitmap._fields_ = [
    ("width", ctypes.c_int),
    ("height", ctypes.c_int),
    ("stride", ctypes.c_int),
    ("pixels", ctypes.POINTER(ctypes.c_ubyte)),
    ("color", ctypes.c_uint32),
    ("left", ctypes.c_int),
    ("top", ctypes.c_int),
    ("next", ctypes.POINTER(Bitmap)),
    ("kind", ctypes.c_int),
]


def draw(ass: str, at_ms: int) -> np.ndarray:
    """Return how much letters, without their outlines, cover each pixel: 0 to 255, shape (540, 960)."""
    lib = ctypes.CDLL(LIBRARY)
    for name in ("ass_library_init", "ass_renderer_init", "ass_read_memory", "ass_render_frame"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.ass_render_frame.restype = ctypes.POINTER(Bitmap)
    library = ctypes.c_void_p(lib.ass_library_init())
    lib.ass_set_message_cb(library, QUIET, None)
    lib.ass_set_fonts_dir(library, str(FONTS).encode())
    renderer = ctypes.c_void_p(lib.ass_renderer_init(library))
    lib.ass_set_frame_size(renderer, WIDTH, HEIGHT)
    lib.ass_set_fonts(
        renderer, str(FONTS / "DejaVuSans.ttf").encode(), b"DejaVu Sans", NO_FONT_PROVIDER, None, 0
    )
    data = ass.encode()
    track = ctypes.c_void_p(lib.ass_read_memory(library, data, len(data), None))
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    image = lib.ass_render_frame(renderer, track, ctypes.c_longlong(at_ms), None)
    while image:
        part = image.contents
        if part.kind == LETTERS and part.height and part.width:
            size = part.stride * (part.height - 1) + part.width
            flat = np.zeros(part.stride * part.height, np.uint8)
            flat[:size] = np.ctypeslib.as_array(part.pixels, (size,))
            there = frame[part.top : part.top + part.height, part.left : part.left + part.width]
            np.maximum(there, flat.reshape(part.height, part.stride)[:, : part.width], out=there)
        image = part.next
    lib.ass_free_track(track)
    lib.ass_renderer_done(renderer)
    lib.ass_library_done(library)
    return frame
