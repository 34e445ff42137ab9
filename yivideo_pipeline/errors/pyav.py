"""PyAV: what FFmpeg says of a video, told apart from what it says of the disk or the machine."""

import errno

from yivideo_pipeline.errors.disk import disk_error
from yivideo_pipeline.errors.origin import class_names, explain
from yivideo_pipeline.errors.tree import RefusedMedia, TruncatedMedia, UnreadableMedia, YivideoError

_NOT_THE_VIDEO = (MemoryError, TimeoutError, ConnectionError)


def media_error(error: BaseException) -> YivideoError | None:
    """An error of PyAV as one of the video's, or of the disk that it lies on."""
    names = class_names(error)
    if "av.FFmpegError" not in names or isinstance(error, _NOT_THE_VIDEO):
        return None
    # FFmpeg's demuxers say EIO for a file that is too short; the disk itself is seldom to blame.
    if getattr(error, "errno", None) != errno.EIO:
        on_disk = disk_error(error)
        if on_disk is not None:
            return on_disk
    if "av.EOFError" in names:
        return TruncatedMedia(
            explain("The file breaks off before anything can be read", error), "Copy or download it again."
        )
    if "av.ProtocolNotFoundError" in names:
        return RefusedMedia(
            explain("The file points to another file or to the network, which is never opened", error),
            "Give the video file itself.",
        )
    if "av.DecoderNotFoundError" in names:
        return UnreadableMedia(
            explain("No decoder for this codec", error),
            "Convert the video to a common codec such as H.264 and AAC.",
        )
    return UnreadableMedia(
        explain("The file is damaged or no video or sound file", error),
        "Check that it plays, or copy it again.",
    )
