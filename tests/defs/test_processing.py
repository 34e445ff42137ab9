import json
import os
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from shutil import copyfile

import dagster as dg
import pytest
from av.stream import Disposition

from tests.defs.pipeline import SAMPLE
from tests.fake_speech import FakeEngine
from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.defs import stage as work
from yivideo_pipeline.defs.instance import limit_models, open_instance
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.errors.tree import MemoryExhausted, ModelLoadError
from yivideo_pipeline.settings.options import Device
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.partition_keys import encode_key


def test_a_video_becomes_subtitles_beside_it(pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run()
    assert done.success
    assert done.files == (pipeline.inbox / "talk.en.srt",)
    assert "-->" in done.files[0].read_text()
    assert done.language == "en"
    assert done.reused == ()
    assert done.cues and done.readability
    assert 14 < done.audio_s < 17
    assert pipeline.speech.loads == 2


def test_a_run_that_fails_outside_of_all_stages_is_a_failure_with_a_reason(pipeline, home):
    pipeline.add("talk.mp4")
    with open_instance(home) as instance:
        limit_models(instance, 1)
        index = home / "dagster" / "history" / "runs" / "index.db"
        with closing(sqlite3.connect(index)) as database, database:
            database.execute("DROP TABLE concurrency_slots")  # a turn at the model can't be asked for
        failed = Processor(instance, pipeline.resources).process("talk.mp4")
    assert not failed.success and not failed.interrupted
    assert "no such table: concurrency_slots" in failed.failure.message


def test_the_listener_hears_every_stage_from_its_beginning_to_its_end(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    begins = [heard for before, heard in pairwise([("", 0.0), *pipeline.progress]) if heard[0] != before[0]]
    assert begins == [(stage, 0.0) for stage in STAGES]
    assert [stage for stage, fraction in pipeline.progress if fraction == 1.0 and stage != "video"][-3:] == [
        "transcript",
        "alignment",
        "subtitles",
    ]


def test_whoever_looks_meanwhile_sees_how_far_a_stage_is(pipeline, monkeypatch):
    monkeypatch.setattr(work, "REPORT_EVERY_S", 0.0)
    seen, at_work = [], pipeline.resources["ledger"].workers.at_work
    transcribe = FakeEngine.transcribe

    def watched(engine, audio, options, progress, **rest):
        transcript = transcribe(engine, audio, options, progress, **rest)
        seen.append(at_work("talk.mp4"))
        return transcript

    monkeypatch.setattr(FakeEngine, "transcribe", watched)
    pipeline.add("talk.mp4")
    assert pipeline.run().success
    assert [(one.stage, one.fraction) for one in seen] == [("transcript", 0.5)]
    assert at_work("talk.mp4") is None


def test_the_second_run_makes_nothing_and_loads_no_model(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    again = pipeline.run()
    assert again.success
    assert again.reused == tuple(STAGES)
    assert pipeline.speech.loads == 2
    assert pipeline.metadata("transcript")["reused"].value is True
    assert "rtfx" not in pipeline.metadata("transcript"), "the speed of finding says nothing"


def test_a_copy_under_another_name_costs_nothing(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.add("copies/other name.mp4")
    copy = pipeline.run("copies/other name.mp4")
    assert copy.files == (pipeline.inbox / "copies" / "other name.en.srt",)
    assert copy.reused == ("video", "audio", "transcript", "alignment")


def test_another_subtitle_option_renders_alone(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    again = pipeline.run(subtitles={"formats": ["srt", "vtt"], "max_lines": 1})
    assert again.reused == ("video", "audio", "transcript", "alignment")
    assert [file.name for file in again.files] == ["talk.en.srt", "talk.en.vtt"]
    assert pipeline.speech.loads == 2


def test_what_changes_the_price_alone_repeats_nothing(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    cheaper = {"batch_size": 2, "device": Device.CPU, "faster_whisper_threads": 1}
    assert pipeline.run(speech=cheaper).reused == tuple(STAGES)


def test_other_weights_of_a_named_model_repeat_the_speech_stages(pipeline):
    pipeline.name_model("base")
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.speech.weights = "fake-2"
    again = pipeline.run()
    # The fake hears the same with any weights: what follows from the same text is not repeated.
    assert again.reused == ("video", "audio", "alignment", "subtitles")


def test_another_language_repeats_from_the_transcript_on(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    again = pipeline.run(speech={"language": "zh"})
    assert again.reused == ("video", "audio")
    assert again.files[0].name == "talk.zh.srt"


def test_the_track_that_a_launch_asks_for_is_heard_and_named(pipeline):
    sounds = [Sound(tone(1), title="Comments", disposition=Disposition.default), Sound(tone(1), title="Main")]
    write_media(pipeline.inbox / "talk.mkv", sounds)
    own, asked = pipeline.run("talk.mkv"), pipeline.run("talk.mkv", speech={"audio_track": "1"})
    assert own.tracks == "Audio track 2 ('Main') is taken; there is also 1 ('Comments')"
    assert asked.tracks == "Audio track 1 ('Comments') is taken; there is also 2 ('Main')"
    assert pipeline.metadata("audio", "talk.mkv")["stream"].value == 1
    missing = pipeline.run("talk.mkv", speech={"audio_track": "jpn"})
    assert missing.failure.message == "There is no audio track in ja"
    assert pipeline.resources["ledger"].failures.find_quarantined("talk.mkv") is None
    assert missing.failure.hint == "The file has 1 ('Comments'); 2 ('Main')"


def test_a_replaced_video_is_processed_anew(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.add("talk.mp4", SAMPLE.with_name("lighthouse-60s.mkv"))
    again = pipeline.run()
    assert again.reused == ()
    assert 55 < again.audio_s < 65


def test_the_output_folder_is_made_and_used(pipeline, tmp_path):
    pipeline.add("talk.mp4")
    done = pipeline.run(output_dir=tmp_path / "new" / "out")
    assert done.files == (tmp_path / "new" / "out" / "talk.en.srt",)


def test_a_foreign_subtitle_is_kept_and_reported(pipeline):
    pipeline.add("talk.mp4")
    (pipeline.inbox / "talk.en.srt").write_text("by hand")
    done = pipeline.run()
    assert (pipeline.inbox / "talk.en.srt").read_text() == "by hand"
    assert any("talk.en.srt" in warning for warning in done.warnings)


def test_a_broken_video_fails_at_once_in_plain_words(pipeline):
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    done = pipeline.run("broken.mp4")
    assert not done.success
    assert done.failure.stage == "video"
    assert done.failure.kind.startswith("media")
    assert done.failure.message
    assert done.files == ()
    assert pipeline.speech.loads == 0
    assert steps(pipeline, done, dg.DagsterEventType.STEP_RESTARTED) == 0


def test_a_missing_video_is_named(pipeline):
    done = pipeline.run("gone.mp4")
    assert done.failure.kind == "disk"
    assert "gone.mp4" in done.failure.message


def test_a_wrong_option_is_refused_and_is_no_failed_operation(pipeline):
    pipeline.add("talk.mp4")
    with pytest.raises(dg.DagsterInvalidConfigError, match=r"speech\.batch_size: 999 is not allowed"):
        pipeline.run(speech={"batch_size": 999})
    assert pipeline.instance.get_runs() == []
    assert not pipeline.resources["ledger"].samples.samples()["run_id"]


def test_what_may_pass_is_tried_again(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")]
    done = pipeline.run()
    assert done.success
    assert pipeline.metadata("transcript")["attempts"].value == 2
    assert pipeline.metadata("alignment")["attempts"].value == 1
    assert steps(pipeline, done, dg.DagsterEventType.STEP_RESTARTED) == 1


def test_attempts_come_to_an_end(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full", "Use a smaller model")] * 9
    done = pipeline.run()
    assert pipeline.speech.loads == 3
    assert (done.failure.stage, done.failure.kind) == ("transcript", "memory")
    assert done.failure.hint == "Use a smaller model"
    assert done.audio_s, "what was made before is reported"


def test_what_cannot_pass_is_not_tried_again(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [ModelLoadError("The weights are damaged")]
    done = pipeline.run()
    assert done.failure.kind == "model_load"
    assert pipeline.speech.loads == 1
    pipeline.run()
    assert pipeline.run().reused == tuple(STAGES), "the next run picks up where it broke off"


def test_an_unforeseen_error_is_reported_with_its_message(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [RuntimeError("flux capacitor")]
    done = pipeline.run()
    assert "flux capacitor" in done.failure.message


@pytest.mark.parametrize(
    "stem", ["wait...\n100% 中文 'q'", '-rf "x"', "a\tb: c", "x" * 250, os.fsdecode(b"caf\xe9 \xff")]
)
def test_any_name_is_processed(pipeline, stem):
    key = pipeline.add(f"{stem}.mp4")
    done = pipeline.run(key, subtitles={"formats": list(SubtitleFormat)})
    assert done.success, done.failure
    assert len(done.files) == len(SubtitleFormat)
    for file in done.files:
        assert file.is_file()
        assert file.name.startswith(stem[:200])


def test_an_odd_name_of_a_missing_video_is_reported(pipeline):
    failure = pipeline.run(encode_key(os.fsdecode(b"caf\xe9\n.mp4"))).failure
    assert failure.kind == "disk"


def test_a_video_outside_every_library_is_processed(pipeline, tmp_path):
    outside = Path(copyfile(SAMPLE, tmp_path / "outside.mp4"))
    done = pipeline.run(pipeline.resources["library"].key_of(outside))
    assert done.files == (tmp_path / "outside.en.srt",)


def test_the_run_says_who_started_it(pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run()
    assert pipeline.instance.get_run_by_id(done.run_id).tags["yivideo/trigger"] == "cli"


def test_nothing_is_printed(pipeline, capfd):
    pipeline.add("talk.mp4")
    pipeline.run()
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    pipeline.run("broken.mp4")
    assert capfd.readouterr() == ("", "")


def test_the_token_stands_in_no_run(home, monkeypatch, pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run()
    record = pipeline.instance.get_run_by_id(done.run_id)
    assert json.dumps(record.run_config) == json.dumps(
        {
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "resources": {"launch": {"config": {"speech": {}, "subtitles": {}}}},
        }
    )


def steps(pipeline, done, kind):
    return len(pipeline.instance.all_logs(done.run_id, of_type=kind))
