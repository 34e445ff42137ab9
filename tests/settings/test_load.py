"""Where settings come from, which source wins, and how a wrong one is reported."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import ComputeType, Device
from yivideo_pipeline.settings.settings import find_home
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

ROOT = Path(__file__).parents[2]

PRODUCTION = """
whisperx_service:
  model_name: large-v2
  language: zh
  device: cuda
  compute_type: float16
  batch_size: 4
  use_faster_whisper: true
  faster_whisper_threads: 4
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.yml"

    def write(text: str) -> Path:
        file.write_text(text, encoding="utf-8")
        return file

    return write


def refusal(config: Path, environ: dict[str, str] | None = None) -> list[str]:
    """Return the lines that refuse these settings, without the folder of the file."""
    with pytest.raises(ConfigError) as caught:
        load_settings(config, environ or {})
    return str(caught.value).replace(f"{config.parent}/", "").splitlines()


def test_defaults_stand_under_home(config, tmp_path):
    settings = load_settings(config(""), {"YIVIDEO_HOME": str(tmp_path)})
    assert settings.home == tmp_path
    assert settings.library.roots == {"inbox": tmp_path / "inbox"}
    assert settings.storage.root == str(tmp_path / "artifacts")
    assert settings.cache.model_dir == tmp_path / "models"


def test_home_is_the_checkouts_data_folder_whatever_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_home() == ROOT / "data"


def test_the_owners_section_name_and_keys_are_understood(config):
    speech = load_settings(config(PRODUCTION), {}).speech.options
    assert (speech.model_name, speech.language, speech.batch_size) == ("large-v2", "zh", 4)
    assert (speech.device, speech.compute_type) == (Device.CUDA, ComputeType.FLOAT16)
    assert speech.faster_whisper_threads == 4


def test_both_section_names_together_are_merged(config):
    file = config("whisperx_service: {language: zh}\nspeech: {batch_size: 2}\n")
    speech = load_settings(file, {}).speech.options
    assert (speech.language, speech.batch_size) == ("zh", 2)


def test_the_same_key_in_both_sections_may_agree_but_not_differ(config):
    assert load_settings(config("whisperx_service: {language: zh}\nspeech: {language: zh}\n"), {})
    assert refusal(config("whisperx_service: {language: zh}\nspeech: {language: en}\n")) == [
        "config.yml line 2, speech.language: contradicts config.yml line 1, whisperx_service.language:"
        " keep one of them"
    ]


def test_the_environment_goes_before_the_file(config):
    file = config("speech: {device: cuda, batch_size: 2}\nsubtitles: {formats: [ass]}\n")
    environ = {"YIVIDEO_SPEECH__DEVICE": "cpu", "YIVIDEO_SUBTITLES__FORMATS": "srt, vtt"}
    settings = load_settings(file, environ)
    speech = settings.speech.options
    assert (speech.device, speech.batch_size) == (Device.CPU, 2)
    assert settings.subtitles.formats == (SubtitleFormat.SRT, SubtitleFormat.VTT)


def test_our_variables_go_before_those_of_other_programs(config, tmp_path):
    environ = {
        "HF_TOKEN": "hf_shared",
        "HF_HOME": str(tmp_path / "hf"),
        "TRANSFORMERS_CACHE": str(tmp_path / "transformers"),
        "WHISPERX_MODEL_CACHE_DIR": str(tmp_path / "whisperx"),
        "HF_HUB_OFFLINE": "1",
    }
    settings = load_settings(config("cache: {model_dir: from-file}"), environ)
    assert settings.cache.model_dir == tmp_path / "whisperx"
    assert settings.cache.hf_home == tmp_path / "hf"
    assert settings.cache.transformers_cache == tmp_path / "transformers"
    assert settings.hub.offline
    assert settings.hub.token == SecretStr("hf_shared")
    ours = load_settings(config(""), {**environ, "YIVIDEO_CACHE__MODEL_DIR": str(tmp_path / "ours")})
    assert ours.cache.model_dir == tmp_path / "ours"


def test_relative_paths_are_relative_to_home_and_urls_stay(config):
    text = "library: {roots: {tv: shows, my.films: /films}}\nstorage: {root: 's3://bucket/folder'}\n"
    settings = load_settings(config(text), {"YIVIDEO_HOME": "/srv/yivideo"})
    assert settings.library.roots == {"tv": Path("/srv/yivideo/shows"), "my.films": Path("/films")}
    assert settings.storage.root == "s3://bucket/folder"


def test_a_variable_that_ends_in_file_names_a_file_with_the_value(config, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("a key of the service\n")
    settings = load_settings(config("service: {api_key: another key of the file}"), {
        "YIVIDEO_SERVICE__API_KEY_FILE": str(secret),
        "YIVIDEO_HUB__TOKEN_FILE": str(secret),
    })  # fmt: skip
    assert settings.service.api_key == SecretStr("a key of the service")
    assert settings.origin("service.api_key") == "YIVIDEO_SERVICE__API_KEY_FILE"
    assert settings.hub.token_file == secret, "a setting of that name goes first"


def test_a_file_with_a_value_is_refused_where_it_says_nothing_or_is_not_alone(config, tmp_path):
    name, empty, secret = "YIVIDEO_SERVICE__API_KEY_FILE", tmp_path / "empty", tmp_path / "secret"
    empty.write_text(" \n")
    secret.write_text("short")
    assert refusal(config(""), {name: str(tmp_path / "none")}) == [
        f"{name}: none can't be read (No such file or directory): correct the path or remove it"
    ]
    assert refusal(config(""), {name: str(empty)}) == [f"{name}: empty is empty: write the value into it"]
    assert refusal(config(""), {name: str(secret), name.removesuffix("_FILE"): "a key of the service"}) == [
        f"{name}: YIVIDEO_SERVICE__API_KEY is set too: keep one of them"
    ]
    [line] = refusal(config(""), {name: str(secret)})
    assert line.startswith(f"{name}: ") and "short" not in line.removeprefix(name)


def test_a_variable_adds_a_library_root(config):
    environ = {"YIVIDEO_LIBRARY__ROOTS__FILMS": "/films"}
    settings = load_settings(config("library: {roots: {tv: /tv}}"), environ)
    assert settings.library.roots == {"tv": Path("/tv"), "films": Path("/films")}


def test_a_variable_names_several_folders_for_requests(config):
    environ = {"YIVIDEO_HOME": "/srv/yivideo", "YIVIDEO_SERVICE__ROOTS": "/films, more,"}
    settings = load_settings(config("service: {roots: [/tv]}"), environ)
    assert settings.service.roots == (Path("/films"), Path("/srv/yivideo/more"))


def test_a_folder_for_requests_without_a_name_is_refused(config):
    with pytest.raises(ConfigError) as caught:
        load_settings(config("service: {roots: ['/tv', '']}"), {})
    assert "service.roots" in str(caught.value)
    assert "is not a folder of this machine" in str(caught.value)


def test_the_file_is_found_by_variable_and_in_home(tmp_path):
    (tmp_path / "config.yml").write_text("speech: {batch_size: 3}\n")
    (tmp_path / "other.yml").write_text("speech: {batch_size: 5}\n")
    home = {"YIVIDEO_HOME": str(tmp_path)}
    assert load_settings(environ=home).speech.options.batch_size == 3
    named = {**home, "YIVIDEO_CONFIG": str(tmp_path / "other.yml")}
    assert load_settings(environ=named).speech.options.batch_size == 5
    assert load_settings(tmp_path / "config.yml", named).speech.options.batch_size == 3


def test_every_wrong_field_has_one_line_that_says_where_it_stands_and_what_is_allowed(config):
    text = """whisperx_service:
  compute_type: flaot16
  batch_size: 0
  devise: cuda
subtitles:
  formats: [srt, doc]
libary: {}
retry: {strategy: often}
"""
    lines = refusal(config(text), {"YIVIDEO_SPEECH__FASTER_WHISPER_THREADS": "64"})
    expected = [
        "config.yml line 2, whisperx_service.compute_type: 'flaot16' is not allowed:"
        " choose auto, float32, float16, bfloat16, int8, int8_float16 or int16",
        "config.yml line 3, whisperx_service.batch_size: 0 is not allowed: must be at least 1",
        "YIVIDEO_SPEECH__FASTER_WHISPER_THREADS: '64' is not allowed: must be at most 32",
        "config.yml line 6, subtitles.formats: 'doc' is not allowed: choose srt, vtt, ass, ttml, json, txt,"
        " imsc, ebu-tt-d, words-vtt or karaoke-ass",
        "config.yml line 8, retry.strategy: 'often' is not allowed:"
        " choose fixed, linear, exponential or fibonacci",
    ]
    assert [line for line in lines if line in expected] == expected
    assert any(line.startswith("config.yml line 4, whisperx_service.devise: is not a known key"
                               " (did you mean device?)") for line in lines)  # fmt: skip
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("subtitles: {formats: []}", "subtitles.formats: must have at least 1 entry"),
        ("library: {roots: [a]}", 'library.roots: ["a"] is not allowed: must be an object: keys with values'),
        ("library: {settle_s: soon}", "library.settle_s: 'soon' is not allowed: must be a number"),
        ("library: {max_duration_s: 0}", "library.max_duration_s: 0 is not allowed: must be more than 0"),
        ("speech: {batch_size: many}", "speech.batch_size: 'many' is not allowed: must be a whole number"),
        (
            "speech: {use_faster_whisper: perhaps}",
            "speech.use_faster_whisper: 'perhaps' is not allowed: must be true or false",
        ),
        ("speech: {language: [zh, 3]}", 'speech.language: ["zh", 3] is not allowed: must be text'),
        ("speech: {task: null}", "speech.task: null is not allowed: choose transcribe or translate"),
        ("hub: {token_file: 5}", "hub.token_file: 5 is not allowed: must be a path"),
        ("notices: {mail_to: 2026-01-31}", 'notices.mail_to: "2026-01-31" is not allowed: must be a list'),
        ("service: {api_key: short}", "service.api_key: must have at least 16 characters"),
        ("library: {extensions: [1]}", "library.extensions: 1 is not allowed: must be text"),
        ("storage: {root: [a]}", 'storage.root: ["a"] is not allowed: must be text'),
        (
            "speech: {model_name: ''}",
            "speech.model_name: no model is named:"
            " give a name such as base, a folder, or a hub id (owner/name)",
        ),
        ("storage: {root: ''}", "storage.root: '' is not allowed: must have at least 1 character"),
    ],
)
def test_what_is_allowed_is_said_in_plain_words(config, text, refused):
    assert refusal(config(text)) == [f"config.yml line 1, {refused}"]


@pytest.mark.parametrize("home", ["5", "[a]", "s3://bucket/folder"])
def test_a_home_that_is_no_folder_is_refused(config, home):
    (line,) = refusal(config(f"home: {home}"))
    assert line.endswith("is not a folder of this machine: give its path")


def test_an_unknown_section_gets_the_nearest_name(config):
    (line,) = refusal(config("libary: {roots: {a: b}}"))
    assert line.startswith("libary (config.yml): is not a known key (did you mean library?)")


def test_a_variable_that_matches_nothing_is_refused_with_the_nearest_name(config):
    lines = refusal(config(""), {"YIVIDEO_SPEECH__DEVISE": "cpu"})
    assert lines == [
        "YIVIDEO_SPEECH__DEVISE: is not a known setting (did you mean YIVIDEO_SPEECH__DEVICE?):"
        " correct or remove it"
    ]


def test_variables_of_ours_that_are_no_settings_are_let_through(config):
    assert load_settings(config(""), {"YIVIDEO_SPEECH_CORPUS": "/x", "YIVIDEO_SPEECH__DEVICE": ""})


def test_fields_that_contradict_each_other_name_their_sources(config):
    lines = refusal(config("speech: {model_name: tiny.en}"), {"YIVIDEO_SPEECH__LANGUAGE": "zh"})
    assert lines == [
        "speech (config.yml, YIVIDEO_SPEECH__LANGUAGE): model tiny.en supports English only:"
        " choose model_name tiny, or language en"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speech:\n  language: [zh\n", "config.yml line 3: expected ',' or ']'"),
        ("speech:\n\tlanguage: zh\n", "config.yml line 2: found character '\\t'"),
        ("- speech\n", "config.yml holds no sections"),
        ("speech: cuda\n", "config.yml line 1, speech: is a section: write its keys below it"),
        (
            "speech:\n  device: cpu\n  device: cuda\n",
            "config.yml line 3: speech.device is already set in line 2",
        ),
        (
            "speech: {device: !!python/name:os.system x}\n",
            "config.yml line 1: could not determine a constructor",
        ),
    ],
)
def test_a_file_that_is_no_settings_file_is_refused_with_its_line(config, text, message):
    assert refusal(config(text))[0].startswith(message)


def test_a_value_in_one_place_and_keys_below_it_in_another_are_refused(config):
    file = config("whisperx_service: {device: cpu}\nspeech: {device: {name: cuda}}\n")
    assert refusal(file) == [
        "config.yml line 2, speech.device.name: device is a value already: keep one of them"
    ]


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / "config.yml").write_bytes(b"\xff\xfe\x00")
    assert "can't be read" in refusal(tmp_path / "config.yml")[0]
    with pytest.raises(ConfigError, match=r"no settings file.*missing\.yml.*Correct --config"):
        load_settings(tmp_path / "missing.yml", {})


def test_an_empty_file_and_an_empty_section_change_nothing(config):
    assert load_settings(config(""), {}) == load_settings(config("speech:\n"), {})


def test_no_message_and_no_text_shows_the_token(config):
    settings = load_settings(config(""), {"HF_TOKEN": "hf_verysecret"})
    assert "verysecret" not in f"{settings} {settings!r} {settings.model_dump_json()}"
    lines = refusal(config("hub: {token: [hf_verysecret]}"))
    assert "verysecret" not in "\n".join(lines)


def test_a_wrong_value_is_a_validation_error_and_survives_pickling(config):
    with pytest.raises(ConfigValidationError) as caught:
        load_settings(config("speech: {batch_size: many}"), {})
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_example_file_is_valid_and_shows_the_defaults(config):
    environ = {"YIVIDEO_HOME": "/srv/yivideo"}
    example = load_settings(ROOT / "config.example.yml", environ)
    assert example.model_dump() == load_settings(config(""), environ).model_dump()


def test_settings_load_without_the_heavy_libraries(config):
    code = f"""
import sys
from pathlib import Path
from yivideo_pipeline.settings.load import load_settings
load_settings(Path({str(config(""))!r}), {{}})
heavy = {{"torch", "ctranslate2", "faster_whisper", "huggingface_hub", "numpy", "av"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_keys_of_speech_stand_in_the_section_itself(config):
    file = config("speech: {language: zh, service_url: 'http://127.0.0.1:8788', service_required: true}\n")
    speech = load_settings(file, {}).speech
    assert (speech.options.language, speech.service_required) == ("zh", True)
    assert refusal(config("speech: {options: {language: zh}}\n"))[0].endswith(
        "options is not a known key: write its keys in the section itself"
    )
    (line,) = refusal(config("speech: {service_ulr: x}\n"))
    assert line.startswith(
        "config.yml line 1, speech.service_ulr: is not a known key (did you mean service_url?)"
    )
    assert "choose one of model_name, model_revision, language" in line
    assert line.endswith("zh_script, service_url, service_required")


@pytest.mark.parametrize(
    ("language", "script", "decided"),
    [
        ("zh-TW", None, "traditional-tw"),
        ("chi-Hans", None, "simplified"),
        ("zh-HK", "traditional", "traditional-hk"),
    ],
)
def test_the_region_of_the_language_is_the_source_of_the_script(config, language, script, decided):
    lines = f"speech:\n  language: {language}\n" + (f"  zh_script: {script}\n" if script else "")
    settings = load_settings(config(lines), {})
    assert settings.speech.options.zh_script == decided
    assert settings.origin("speech.zh_script").endswith("line 2, speech.language")


def test_a_script_that_contradicts_the_region_is_refused_in_one_file_and_overridden_from_outside(config):
    assert refusal(config("speech:\n  language: zh-TW\n  zh_script: simplified\n")) == [
        "config.yml line 3, speech.zh_script: contradicts config.yml line 2, speech.language, zh-TW:"
        " keep one of them"
    ]
    settings = load_settings(
        config("speech:\n  zh_script: simplified\n"), {"YIVIDEO_SPEECH__LANGUAGE": "zho-TW"}
    )
    assert settings.speech.options.zh_script == "traditional-tw"
    assert settings.origin("speech.zh_script") == "YIVIDEO_SPEECH__LANGUAGE"


def test_a_vocabulary_may_be_a_text_file_beside_the_settings(config, tmp_path):
    file = config("speech: {vocabulary: names.txt}\n")
    assert "speech.vocabulary: " in refusal(file)[0]
    assert "names.txt can't be read (No such file or directory)" in refusal(file)[0]
    (file.parent / "names.txt").write_text("\ufeffGrimsby\nHåkon\n", encoding="utf-8")
    assert load_settings(file, {}).speech.options.vocabulary == ("Grimsby", "Håkon")
    (file.parent / "names.txt").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(file)[0]
    (file.parent / "names.txt").write_bytes(b"x" * 10**6)
    assert "is too large" in refusal(file)[0]
