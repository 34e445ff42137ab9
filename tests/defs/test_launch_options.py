from typing import get_args

import dagster as dg
import pytest

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.launch import SpeechConfig, SubtitleConfig
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.errors.tree import ConfigValidationError, ServiceUnreachable
from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import CUSTOM_MODEL, LAUNCHED_LANGUAGES, SpeechOptions
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.stages import JOB


def launch(**given):
    """The resource as a run has it."""
    made = build_resources(load_settings())["launch"]
    kept = {name: getattr(made, name) for name in ("models", "settings", "source", "listener")}
    return type(made)(**kept, writes_anywhere=False, **given)


@pytest.fixture(scope="module")
def job(shared_pipeline):
    """The job whose launches are tried, as the code server has it: held to the allowed folders."""
    resources = build_resources(shared_pipeline.settings, shared_pipeline.speech)
    return build_definitions(resources).resolve_job_def(JOB)


def refusal(job, config, *, resource="launch") -> str:
    """What Dagster says of a launch; empty where it accepts it."""
    try:
        dg.validate_run_config(job, {"resources": {resource: {"config": config}}})
    except dg.DagsterInvalidConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("config", "options", "more"),
    [
        (SpeechConfig, SpeechOptions, [CUSTOM_MODEL, LAUNCHED_LANGUAGES]),
        (SubtitleConfig, SubtitleOptions, []),
    ],
)
def test_a_launch_can_change_every_option(config, options, more):
    assert list(config.model_fields) == [*options.model_fields, *more]
    for name, field in config.model_fields.items():
        assert type(None) in get_args(field.annotation), f"{name} can be left out"
        assert name in more or options.model_fields[name].description in field.description


def test_bounds_are_part_of_a_field_s_description():
    assert "(1 to 64)" in SpeechConfig.model_fields["batch_size"].description


def test_what_the_launch_leaves_open_is_as_the_settings_say(home, monkeypatch):
    monkeypatch.setenv("YIVIDEO_SPEECH__BEAM_SIZE", "2")
    options = launch(speech=SpeechConfig(language="chinese")).speech_options()
    assert (options.beam_size, options.language) == (2, "zh")


def test_lists_are_taken_as_formats(home):
    options = launch(subtitles=SubtitleConfig(formats=["vtt", "json"])).subtitle_options()
    assert options.formats == (SubtitleFormat.VTT, SubtitleFormat.JSON)


def test_a_model_without_a_name_of_its_own_has_a_field_of_its_own(home):
    assert (
        launch(speech=SpeechConfig(custom_model="owner/model")).speech_options().model_name == "owner/model"
    )


def test_several_languages_have_a_field_of_their_own(home):
    options = launch(speech=SpeechConfig(languages=["zh", "english"])).speech_options()
    assert options.languages == ("zh", "en")


@pytest.mark.parametrize(
    ("speech", "words"),
    [
        ({"languages": ["zh", "klingon"]}, "not in enum"),
        ({"languages": ["zh", "en"], "language": "en"}, "speech.languages: language is given too"),
        ({"model_name": "nonsense"}, "not in enum"),
        ({"device": "gpu"}, "auto | cpu | cuda | mps got gpu"),
        ({"language": "klingon"}, "not in enum"),
        ({"compute_type": "int4"}, "not in enum"),
        ({"zh_script": "latin"}, "not in enum"),
        ({"modle_name": "tiny"}, 'unexpected config entry "modle_name"'),
        ({"batch_size": "many"}, 'expected type "Int"'),
        ({"batch_size": 0}, "speech.batch_size: 0 is not allowed: must be at least 1"),
        ({"beam_size": 21}, "speech.beam_size: 21 is not allowed: must be at most 20"),
        ({"custom_model": "nonsense"}, "speech.custom_model: 'nonsense' is not a known model"),
        ({"custom_model": "a/b", "model_name": "tiny"}, "speech.custom_model: model_name is given too"),
        ({"model_name": "tiny.en", "language": "zh"}, "model tiny.en supports English only"),
    ],
)
def test_a_wrong_speech_option_is_refused_before_the_run(job, speech, words):
    assert words in refusal(job, {"speech": speech})


@pytest.mark.parametrize(
    ("subtitles", "words"),
    [
        ({"formats": ["docx"]}, "karaoke-ass got docx"),
        ({"formats": []}, "subtitles.formats"),
        ({"max_lines": 9}, "subtitles.max_lines: 9 is not allowed: must be at most 4"),
        ({"min_duration_s": 5.0, "max_duration_s": 4.0}, "min_duration_s 5 is over max_duration_s 4"),
    ],
)
def test_a_wrong_subtitle_option_is_refused_before_the_run(job, subtitles, words):
    assert words in refusal(job, {"subtitles": subtitles})


def test_what_can_t_work_where_the_models_run_is_refused_before_the_run(job, shared_pipeline, monkeypatch):
    def check(options):
        raise ConfigValidationError("device: this machine has no GPU")

    monkeypatch.setattr(shared_pipeline.speech, "check", check)
    assert "this machine has no GPU" in refusal(job, {"speech": {"device": "cuda"}})
    assert refusal(job, {"speech": {"device": None}}) == "", "what the settings say is checked by the run"


def test_a_service_that_does_not_answer_refuses_no_launch(job, shared_pipeline, monkeypatch):
    def check(options):
        raise ServiceUnreachable("The service does not answer")

    monkeypatch.setattr(shared_pipeline.speech, "check", check)
    assert refusal(job, {"speech": {"device": "cuda"}}) == ""


def test_all_wrong_fields_are_named_at_once(job):
    message = refusal(job, {"speech": {"batch_size": 0, "beam_size": 99}})
    assert "batch_size: 0" in message and "beam_size: 99" in message


@pytest.mark.parametrize("field", ["model_name", "language"])
def test_everything_that_is_known_by_name_is_accepted(job, field):
    names = (
        ("auto", *MODELS)
        if field == "model_name"
        else ("auto", *LANGUAGES, *LANGUAGES.values(), "deu", "ger", "zh-TW")
    )
    one_by_one = {"subtitles": {"formats": ["srt", "txt"]}}
    for name in names:
        given = {field: name, **({"model_name": "large-v3"} if name in ("yue", "cantonese") else {})}
        assert refusal(job, {"speech": given, **one_by_one}) == ""


def test_steps_and_resources_that_have_no_options_take_none(job):
    with pytest.raises(dg.DagsterInvalidConfigError, match='unexpected config entry "model_name"'):
        dg.validate_run_config(job, {"ops": {"transcript": {"config": {"model_name": "tiny"}}}})
    for resource in ("ledger", "library", "storage"):
        assert "unexpected config entry" in refusal(job, {"root": "/"}, resource=resource)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/etc", "/etc lies outside the allowed folders"),
        ("subtitles", "'subtitles' is not absolute"),
        ("~/subtitles", "is not absolute"),
        ("{inbox}/../../elsewhere", "lies outside the allowed folders"),
        ("{inbox}/link/below", "lies outside the allowed folders"),
        ("{inbox}/new/folder", ""),
        ("{inbox}", ""),
    ],
)
def test_subtitles_are_written_below_the_allowed_folders_alone(job, shared_pipeline, folder, words):
    link = shared_pipeline.inbox / "link"
    if not link.exists():
        link.symlink_to("/var")
    message = refusal(job, {"output_dir": folder.format(inbox=shared_pipeline.inbox)})
    assert words in message if words else message == ""


def test_a_folder_of_the_service_s_roots_is_allowed_as_soon_as_the_settings_name_it(
    shared_pipeline, tmp_path
):
    now = [shared_pipeline.settings]
    resources = build_resources(now[0], shared_pipeline.speech, read_settings=lambda: now[0])
    job = build_definitions(resources).resolve_job_def(JOB)
    assert "lies outside" in refusal(job, {"output_dir": str(tmp_path)})
    service = now[0].service.model_copy(update={"roots": (tmp_path,)})
    now[0] = now[0].model_copy(update={"service": service})
    assert refusal(job, {"output_dir": str(tmp_path)}) == ""
