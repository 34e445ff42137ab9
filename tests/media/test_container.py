"""One media file is opened or refused, and nothing else is touched."""

import ctypes
import io
import os
import socket
import struct
import sys
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.media_files import Sound, cut, tone, write_media
from yivideo_pipeline.errors.tree import (
    DiskError,
    MediaError,
    NoAudioStream,
    RefusedMedia,
    TruncatedMedia,
    UnreadableMedia,
)
from yivideo_pipeline.media import container
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.images import poster_jpeg
from yivideo_pipeline.media.probe import choose_audio_stream, probe

IN_OPEN = 0x20
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="watches files with inotify")


@contextmanager
def opens_of(path):
    """Yield a function that counts how often a file was opened since, by anyone, in C or in Python."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0
    assert libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN) >= 0

    def count():
        try:
            return len(os.read(watch, 4096)) // 16
        except BlockingIOError:
            return 0

    yield count
    os.close(watch)


@pytest.fixture
def secret(tmp_path):
    return write_media(tmp_path / "secret.mp4", [Sound(tone(2), codec="aac")])


@pytest.fixture
def server():
    """A server that must not be called; a connection would wait in its queue though it accepts none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def is_uncalled(server):
    try:
        server.accept()
    except BlockingIOError:
        return True
    return False


def hls(target):
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"


def concat(target):
    return f"ffconcat version 1.0\nfile '{target}'\n"


def dash(target):
    return f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S" minBufferTime="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">
<Representation id="1" bandwidth="1000"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""


def sdp(target):
    return "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"


def rtsp_redirect(target):
    return f"[reference]\nref1={target}\n"


@linux_only
@pytest.mark.parametrize("playlist", [hls, concat, dash, sdp, rtsp_redirect])
@pytest.mark.parametrize("kind", ["file", "url", "http"])
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8"])
def test_a_playlist_opens_neither_another_file_nor_a_socket(tmp_path, secret, server, playlist, kind, suffix):
    port = server.getsockname()[1]
    target = {"file": str(secret), "url": f"file://{secret}", "http": f"http://127.0.0.1:{port}/a.mp4"}[kind]
    path = tmp_path / f"film{suffix}"
    path.write_text(playlist(target))
    with opens_of(secret) as count:
        with pytest.raises((RefusedMedia, UnreadableMedia)):
            probe(path)
        assert count() == 0
    assert is_uncalled(server)


@pytest.mark.parametrize("playlist", [hls, concat, dash, sdp, rtsp_redirect])
def test_a_playlist_is_called_refused_rather_than_damaged(tmp_path, playlist):
    path = tmp_path / "film.mp4"
    path.write_text(playlist("file:///etc/hostname"))
    with pytest.raises(RefusedMedia, match="This is a playlist"):
        probe(path)


@linux_only
def test_the_concat_bait_would_be_taken_without_our_locks(tmp_path, secret):
    path = tmp_path / "film.mp4"
    path.write_text(concat(secret))
    with opens_of(secret) as count, av.open(str(path), format="concat", options={"safe": "0"}):
        assert count() > 0


@linux_only
def test_an_mp4_that_keeps_its_sound_in_another_file_does_not_open_it(tmp_path, secret):
    path = tmp_path / "film.mp4"
    path.write_bytes(point_elsewhere(secret.read_bytes(), secret))
    with opens_of(secret) as count:
        info = probe(path)
        with pytest.raises(MediaError):
            decode_audio(path, tmp_path / "sound.wav", info.audio_streams[0])
        poster_jpeg(path)
        assert count() == 0
        allowed = {"enable_drefs": "1", "use_absolute_path": "1"}
        with av.open(str(path), options=allowed):
            assert count() > 0, "the bait does not work"


def point_elsewhere(movie, target):
    """Rewrite every data reference of an MP4 to another file, as QuickTime's alias records do."""
    name = os.fsencode(target)
    volume, file_name = (
        b"\x00" * 28,
        bytes([min(63, len(target.name))]) + target.name.encode()[:63].ljust(63, b"\0"),
    )
    alias = b"\0" * 10 + volume + b"\0" * 12 + file_name + b"\0" * 16 + struct.pack(">hh", 1, 1) + b"\0" * 16
    padded = name + b"\0" * (len(name) % 2)
    alias += struct.pack(">hH", 2, len(name)) + padded + struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    return grow(movie, dref)


def grow(boxes, dref):
    """Replace `dref` in nested boxes and correct the sizes around it."""
    out, position = b"", 0
    while position < len(boxes):
        size, kind = struct.unpack_from(">I4s", boxes, position)
        body = boxes[position + 8 : position + size]
        if kind == b"dref":
            out += dref
        elif kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = grow(body, dref)
            out += struct.pack(">I4s", 8 + len(body), kind) + body
        else:
            out += boxes[position : position + size]
        position += size
    return out


@pytest.mark.parametrize(
    "name",
    [
        "-film.mp4",
        "a film.mp4",
        'it\'s "quoted".mp4',
        "two\nlines.mp4",
        "海港之晨.mp4",
        "frame-%03d.mp4",
        "100%.mp4",
        "http:film.mp4",
        "concat:a|b.mp4",
        "pipe:0",
        "film.jpg",
        "x" * 246 + ".mp4",
    ],
)
def test_any_file_name_works(tmp_path, monkeypatch, name):
    made = write_media(tmp_path / "made.mp4", [Sound(tone(1), codec="aac")])
    path = made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    relative = path.relative_to(tmp_path)
    decoded = decode_audio(relative, tmp_path / "sound.wav", probe(relative).audio_streams[0])
    assert decoded.audio.duration_s == pytest.approx(1, abs=0.1)
    assert poster_jpeg(relative)


def test_a_name_that_is_not_utf_8_works(tmp_path):
    made = write_media(tmp_path / "made.mp4", [Sound(tone(1), codec="aac")])
    path = made.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    assert len(probe(path).audio_streams) == 1


def test_an_empty_file_is_called_empty(tmp_path):
    path = tmp_path / "a.mp4"
    path.touch()
    with pytest.raises(UnreadableMedia, match="The file is empty"):
        probe(path)


def test_text_renamed_mp4_is_no_media(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("Dear diary, today I renamed a file.\n" * 50)
    with pytest.raises(UnreadableMedia, match="no video or audio file"):
        probe(path)


def test_a_picture_is_a_format_that_is_refused(tmp_path):
    film = write_media(tmp_path / "a.mkv", [])
    path = tmp_path / "b.mp4"
    path.write_bytes(poster_jpeg(film))
    with pytest.raises(RefusedMedia, match="a format that yivideo does not read"):
        probe(path)


def test_a_folder_is_called_a_folder(tmp_path):
    with pytest.raises(UnreadableMedia, match="This is a folder"):
        probe(tmp_path)


def test_a_missing_file_is_called_missing(tmp_path):
    with pytest.raises(UnreadableMedia, match="There is no such file"):
        probe(tmp_path / "none.mp4")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UnreadableMedia, match=r"This is a pipe \(FIFO\), not a file"):
        probe(tmp_path / "a.mp4")


def test_a_socket_is_called_a_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "a.mp4"))
        with pytest.raises(UnreadableMedia, match="This is a socket, not a file"):
            probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_an_endless_device_is_refused(name):
    with pytest.raises(UnreadableMedia, match="This is a device, not a file"):
        probe(Path(name))


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")]
)
def test_a_file_that_the_system_does_not_let_us_open_is_a_disk_error(tmp_path, monkeypatch, fault):
    path = write_media(tmp_path / "a.mkv", [Sound(tone(1))])

    def refuse(*args, **kwargs):
        raise fault

    # Root may read everything, so the system itself can't be made to refuse here.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DiskError):
        probe(path)


class FailingDisk(io.FileIO):
    """A file whose second half can't be read."""

    def read(self, size=-1):
        if self.tell() > os.fstat(self.fileno()).st_size // 2:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_while_reading_is_a_disk_error_and_no_damaged_video(tmp_path, monkeypatch):
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (1, 60 * 16_000)).astype(np.float32)
    path = write_media(tmp_path / "a.mkv", [Sound(noise)], video_s=60.0)
    stream = probe(path).audio_streams[0]
    monkeypatch.setattr(container, "_open_regular", lambda path: FailingDisk(path))
    with pytest.raises(DiskError, match="Reading fails: Input/output error"):
        decode_audio(path, tmp_path / "sound.wav", stream)


@pytest.mark.parametrize("seed", range(8))
def test_noise_ends_in_a_clear_error_and_never_hangs(tmp_path, seed):
    path = tmp_path / "noise.mp4"
    noise = np.random.default_rng(seed).integers(0, 256, 500_000, np.uint8).tobytes()
    path.write_bytes(
        [b"", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypisom", b"RIFF", b"ID3\x03", b"fLaC", b"OggS", b"G"][seed]
        + noise
    )
    with pytest.raises(MediaError):
        info = probe(path)
        decode_audio(path, tmp_path / "sound.wav", choose_audio_stream(info, "auto"))


@pytest.mark.parametrize("keep", [0.001, 0.01])
def test_a_matroska_file_cut_before_its_first_sound_is_one_clear_error(tmp_path, keep):
    path = write_media(tmp_path / "a.mkv", [Sound(tone(10), start_s=5.0)], video_s=15.0)
    cut(path, keep)
    with pytest.raises((TruncatedMedia, NoAudioStream)):
        info = probe(path)
        decode_audio(path, tmp_path / "sound.wav", choose_audio_stream(info, "auto"))
