"""What a run keeps of an unfinished transcript, the next attempt finds; the UI says how much that was."""

from contextlib import contextmanager

import pytest

from tests.fake_speech import FakeEngine, FakeSpeech
from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.storage.checkpoints import ROOT


class BreaksOff(FakeEngine):
    """An engine that is gone after a third of the sound, unless that was done before."""

    def transcribe(self, audio, options, progress=None, on_words=None, checkpoint=None):
        if not checkpoint.load():
            checkpoint.save({"the first third": "words"})
            raise ServiceUnreachable("The service was killed")
        checkpoint.note_resumed(audio.duration_s / 3)
        return super().transcribe(audio, options, progress, on_words, checkpoint)


class BreaksOffSpeech(FakeSpeech):
    @contextmanager
    def engine(self, options, background=False):
        yield BreaksOff(self.choose(options).options)


def test_a_retry_goes_on_and_tells_how_much_was_done_before(pipeline):
    pipeline.use_speech(BreaksOffSpeech())
    pipeline.add("talk.mp4")
    done = pipeline.run()
    assert done.success
    metadata = {name: value.value for name, value in pipeline.metadata("transcript").items()}
    assert metadata["attempts"] == 2
    assert metadata["resumed_s"] == pytest.approx(metadata["duration_s"] / 3, abs=0.001)
    made = pipeline.resources["ledger"].materializations.of(done.partition_key)["transcript"]
    rest_s = metadata["duration_s"] * 2 / 3
    assert made.audio_s == pytest.approx(rest_s, abs=0.001), "the speed counts the rest alone"
    assert done.resumed_s == metadata["resumed_s"]
    assert pipeline.resources["storage"].files.folders(ROOT) == {}


def test_other_settings_begin_anew(pipeline):
    pipeline.use_speech(BreaksOffSpeech())
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.run(speech={"language": "de"})
    assert pipeline.metadata("transcript")["attempts"].value == 2
