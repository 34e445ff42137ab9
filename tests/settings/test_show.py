"""Settings shown to the user, and compared."""

from yivideo_pipeline.settings.key_paths import list_fields
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.show import describe_settings, diff_settings


def test_every_setting_is_shown_with_its_source_and_a_description(load, tmp_path):
    settings = load("whisperx_service: {language: zh}\n", YIVIDEO_SPEECH__DEVICE="cpu")
    rows = {row.field: row for row in describe_settings(settings)}
    assert list(rows) == [".".join(path) for path in list_fields(Settings)]
    assert all(row.description for row in rows.values())
    assert (rows["speech.language"].value, rows["speech.language"].source) == (
        "zh", f"{tmp_path}/config.yml line 1, whisperx_service.language",
    )  # fmt: skip
    assert (rows["speech.device"].value, rows["speech.device"].source) == ("cpu", "YIVIDEO_SPEECH__DEVICE")
    assert (rows["subtitles.formats"].value, rows["subtitles.formats"].source) == ("srt", "default")
    assert rows["speech.faster_whisper_threads"].value == "unset"
    assert rows["library.roots"].value == f"inbox: {tmp_path}/home/inbox"


def test_the_token_is_shown_as_set_alone(load):
    rows = {row.field: row for row in describe_settings(load(HF_TOKEN="hf_verysecret"))}
    assert (rows["hub.token"].value, rows["hub.token"].source) == ("set", "HF_TOKEN")
    assert "verysecret" not in str(rows)


def test_equal_settings_do_not_differ_wherever_they_were_set(load):
    assert diff_settings(load("speech: {device: cpu}"), load(YIVIDEO_SPEECH__DEVICE="cpu")) == []


def test_changes_name_the_field_both_values_and_whether_a_reload_is_needed(load):
    old = load()
    new = load("speech: {model_name: small, batch_size: 2}\nsubtitles: {formats: [srt, vtt]}")
    changes = [(c.field, c.old, c.new, c.needs_reload) for c in diff_settings(old, new)]
    assert changes == [
        ("speech.model_name", "auto", "small", True),
        ("speech.batch_size", "8", "2", False),
        ("subtitles.formats", "srt", "srt, vtt", False),
    ]


def test_a_changed_secret_is_not_shown(load):
    none, one, two = load(), load(HF_TOKEN="hf_one"), load(HF_TOKEN="hf_two")
    assert [(c.old, c.new) for c in diff_settings(none, one)] == [("unset", "set")]
    assert [(c.old, c.new) for c in diff_settings(one, two)] == [("set", "changed")]
    assert [(c.old, c.new) for c in diff_settings(one, none)] == [("set", "unset")]
