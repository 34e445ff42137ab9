"""A copy of a video with subtitles as a track: nothing is lost, nothing is encoded again."""

from pathlib import Path

import av
import pytest
from av.stream import Disposition

from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.media.mux import NotMuxed, mux_subtitles

SRT = b"1\n00:00:00,500 --> 00:00:01,000\nHello\nthere\n\n2\n00:00:01,500 --> 00:00:02,000\nWorld\n\n"


def packets_of(path: Path, kind: str) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(getattr(container.streams, kind)) if packet.size]


def write_film(path: Path) -> Path:
    sounds = [
        Sound(tone(3), codec="aac", language="eng"),
        Sound(tone(3, 600), codec="aac", language="deu", title="Kommentar", disposition=Disposition.comment),
    ]
    return write_media(path, sounds, video_s=3.0)


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_the_copy_has_every_track_as_it_was_and_the_subtitles_in_time(tmp_path, container):
    film = write_film(tmp_path / "film.mkv")
    before = film.read_bytes()
    first, copy = tmp_path / "first.mkv", tmp_path / f"copy.{container}"
    mux_subtitles(film, SRT, first, "mkv", "en")
    mux_subtitles(first if container == "mkv" else film, SRT, copy, container, "zh-TW")
    assert film.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    for kind in ("video", "audio"):
        assert packets_of(copy, kind) == packets_of(film, kind)
    with av.open(copy) as found:
        sounds, texts = found.streams.audio, found.streams.subtitles
        assert [sound.language for sound in sounds] == ["eng", "deu"]
        assert sounds[1].disposition & Disposition.comment or container == "mp4"
        assert [text.language for text in texts] == (["eng", "chi"] if container == "mkv" else ["chi"])
        title = texts[-1].metadata.get("title") or texts[-1].metadata.get("name")
        assert title == "Chinese"
        start_ms = round((found.start_time or 0) / 1000)
        packets = [packet for packet in found.demux(texts[-1]) if packet.size > 2]
        shown = [(round(one.pts * one.time_base * 1000) - start_ms, bytes(one)) for one in packets]
    assert [at for at, _ in shown] == pytest.approx([500, 1500], abs=2)
    assert [text[2 if container == "mp4" else 0 :] for _, text in shown] == [b"Hello\nthere", b"World"]


def test_text_lies_among_the_packets_of_its_time(tmp_path):
    copy = tmp_path / "copy.mkv"
    mux_subtitles(write_film(tmp_path / "film.mkv"), SRT, copy, "mkv", "en")
    with av.open(copy) as found:
        kinds = [packet.stream.type for packet in found.demux() if packet.size]
    assert "subtitle" in kinds[: len(kinds) // 2]


def test_a_track_that_mp4_does_not_hold_is_named_and_leaves_nothing_behind(tmp_path):
    film = tmp_path / "film.mkv"
    mux_subtitles(write_film(tmp_path / "plain.mkv"), SRT, film, "mkv", "en")  # a track of SRT
    with pytest.raises(NotMuxed, match="Choose mux: mkv"):
        mux_subtitles(film, SRT, tmp_path / "copy.mp4", "mp4", "en")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mkv", "plain.mkv"]
