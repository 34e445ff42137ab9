"""A host of a test: it processes one video on a fake engine, and waits for the test in mid-transcript."""

import os
import socket
from multiprocessing.connection import Connection
from unittest.mock import patch

from tests.fake_speech import FakeEngine, FakeSpeech
from yivideo_pipeline.defs.instance import limit_models, open_instance
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.settings.load import load_settings

_transcribe = FakeEngine.transcribe


def process_video(name: str, key: str, environment: dict[str, str], test: Connection) -> None:
    """Process a video as the host of a name; the main function of a process.

    Args:
        name: The host's.
        key: The video's.
        environment: Variables of the process.
        test: Gets `working` once a part of the transcript was kept, gives the word to go on, and gets what
            became of the video.
    """

    def transcribe_in_two_parts(engine, audio, options, progress=None, on_words=None, checkpoint=None):
        if checkpoint.load():
            checkpoint.note_resumed(audio.duration_s / 2)
        else:
            checkpoint.save({"the first half": "words"})
            test.send("working")
            test.recv()
        return _transcribe(engine, audio, options, progress, on_words, checkpoint)

    os.environ.update(environment)
    patch.object(socket, "gethostname", lambda: name).start()
    patch.object(FakeEngine, "transcribe", transcribe_in_two_parts).start()
    settings = load_settings()
    with open_instance(settings.home, settings.storage.read_database_url()) as instance:
        limit_models(instance, 2)
        resources = build_resources(settings, FakeSpeech(), writes_anywhere=True)
        done = Processor(instance, resources).process(key, tags={"yivideo/trigger": "sensor"})
    test.send({"failure": done.failure, "reused": done.reused, "resumed_s": done.resumed_s})
