import wave

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, wav_header, write_wav


def test_a_written_wav_reads_back_the_same_in_any_program(tmp_path):
    samples = np.arange(-8000, 8000, dtype=np.int16)
    audio = write_wav(tmp_path / "a.wav", samples, offset_s=1.5)
    assert np.array_equal(audio.samples, samples)
    assert (audio.duration_s, audio.offset_s) == (1.0, 1.5)
    with wave.open(str(audio.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE_HZ, 1, 2)
        assert file.readframes(file.getnframes()) == samples.tobytes()


def test_a_slice_is_the_sound_between_two_times_as_floats(tmp_path):
    audio = write_wav(tmp_path / "a.wav", np.arange(16_000, dtype=np.int16))
    part = audio.slice(0.25, 0.5)
    assert part.dtype == np.float32
    assert np.array_equal(part, np.arange(4000, 8000, dtype=np.float32) / 32768)


def test_a_slice_ends_where_the_sound_ends(tmp_path):
    audio = write_wav(tmp_path / "a.wav", np.ones(16_000, np.int16))
    assert len(audio.slice(-1.0, 0.5)) == 8000
    assert len(audio.slice(0.5, 9.0)) == 8000
    assert len(audio.slice(5.0, 9.0)) == 0
    assert len(audio.slice(0.5, 0.4)) == 0


def test_an_empty_wav_is_a_sound_of_length_zero(tmp_path):
    audio = write_wav(tmp_path / "a.wav", np.zeros(0, np.int16))
    assert audio.duration_s == 0
    assert len(audio.slice(0, 1)) == 0


def test_the_header_of_a_sound_over_4_gb_stays_at_its_largest_size():
    header = wav_header(40 * 3600 * SAMPLE_RATE_HZ)
    assert len(header) == 44
    assert int.from_bytes(header[4:8], "little") == int.from_bytes(header[40:44], "little") + 36
    assert int.from_bytes(header[40:44], "little") > 4_294_967_000


def test_a_sparse_sound_over_4_gb_is_read_past_the_limit_of_its_header(tmp_path):
    path, sample_count = tmp_path / "long.wav", 38 * 3600 * SAMPLE_RATE_HZ
    with path.open("wb") as file:
        file.write(wav_header(sample_count))
        file.truncate(44 + 2 * sample_count)
        file.seek(44 + 2 * (sample_count - 1))
        file.write(np.int16(1234).tobytes())
    audio = Audio(path)
    assert audio.duration_s == 38 * 3600
    assert audio.read(sample_count - 2, sample_count).tolist() == [0, 1234]
