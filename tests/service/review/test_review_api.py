"""The review API of a real service, over artifacts that a run of the pipeline has left in its home."""

import gzip
import json
import zipfile
from io import BytesIO
from urllib.parse import quote

import httpx
import pytest

from tests.service.review.fake_pipeline import FakePipeline
from tests.service.server import run_server

TALK = "talk.mp4"
ODD = "课程 #1/100%25 & <b>.mp4"
"""A key as the pipeline writes it: its folder and name have what addresses and HTML give a meaning to."""
FORMATS = ("srt", "vtt", "ass", "ttml", "json", "txt")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    home = tmp_path_factory.mktemp("review")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YIVIDEO_HOME", str(home))
        pipeline = FakePipeline()
    assert pipeline.add("课程 #1/100% & <b>.mp4") == ODD
    pipeline.add(TALK)
    pipeline.add("waiting.mp4")
    for key in (TALK, ODD):
        pipeline.run(key)
    yield pipeline
    pipeline.instance.dispose()


@pytest.fixture(scope="module")
def client(pipeline, model_dir):
    with run_server(pipeline.inbox.parent, model_dir) as server, server.client() as client:
        yield client


def at(key: str, rest: str = "") -> str:
    return f"/api/v1/review/{quote(key, safe='')}{rest}"


def cues_of(client: httpx.Client, key: str) -> tuple[int, list[dict]]:
    body = client.get(at(key)).json()
    return body["version"], [
        {name: cue[name] for name in ("start_ms", "end_ms", "text")} for cue in body["cues"]
    ]


def put(client: httpx.Client, key: str, version: int, cues: list[dict]) -> httpx.Response:
    return client.put(at(key, "/cues"), json={"version": version, "cues": cues})


@pytest.mark.parametrize("key", [TALK, ODD])
def test_the_review_holds_all_that_the_page_shows(client, key):
    body = client.get(at(key)).json()
    assert (body["key"], body["state"], body["language"]) == (key, "ready", "en")
    assert body["media"]["is_there"]
    assert all(stage["is_made"] for stage in body["stages"])
    assert (body["style"]["profile"], body["style"]["cues"]) == ("default", len(body["cues"]))
    assert {rule["rule"] for rule in body["style"]["rules"]} >= {"reading_speed", "lines", "phrases"}
    [(breath_ms, end_ms, reason)] = body["wordless_spans"]
    assert (end_ms - breath_ms, reason) == (500, "brief")
    first = body["cues"][0]
    assert "".join(word[0] for word in first["words"]).split() == first["text"].split()
    assert first["start_ms"] == first["words"][0][1]
    assert any(word[3] < body["low_confidence_pct"] for cue in body["cues"] for word in cue["words"])


def test_a_slash_in_the_key_may_stay_as_it_is(client):
    assert client.get(f"/api/v1/review/{quote(ODD)}").json()["key"] == ODD


def test_a_long_response_is_compressed(client):
    packed = client.get(at(TALK), headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    plain = client.get(at(TALK), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == packed.json()


def test_a_video_that_waits_says_how_far_it_is(client):
    body = client.get(at("waiting.mp4")).json()
    assert (body["state"], body["cues"], body["media"]) == ("unprocessed", [], None)
    assert not any(stage["is_made"] for stage in body["stages"])
    refused = client.get(at("waiting.mp4", "/subtitles.srt"))
    assert (refused.status_code, refused.json()["error"]["kind"]) == (409, "not_processed")


@pytest.mark.parametrize(
    "key",
    [
        "none.mp4",
        "../config.yml",
        "..%2Ftalk.mp4",
        "/etc/passwd",
        "other:talk.mp4",
        "",
        "talk.mp4\0",
        "/",
        "talk.en.srt",
    ],
)
@pytest.mark.parametrize("rest", ["", "/media", "/sound", "/subtitles.srt"])
def test_no_other_file_is_handed_out(client, key, rest):
    refused = client.get(at(key, rest))
    assert refused.status_code == 404
    assert refused.json()["error"]["kind"] == "not_found"


def test_the_video_comes_whole_and_in_parts(client, pipeline):
    video = (pipeline.inbox / TALK).read_bytes()
    whole = client.get(at(TALK, "/media"))
    assert (whole.status_code, whole.content) == (200, video)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    tag = whole.headers["etag"]
    for asked, part in {"0-9": video[:10], "100-": video[100:], "-25": video[-25:]}.items():
        answer = client.get(at(TALK, "/media"), headers={"Range": f"bytes={asked}", "If-Range": tag})
        assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["content-range"] == f"bytes {len(video) - 25}-{len(video) - 1}/{len(video)}"


def test_a_part_of_another_version_of_the_file_is_not_mixed_in(client):
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert client.get(at(TALK, "/media"), headers=headers).status_code == 200


def test_a_part_that_is_not_there_is_refused(client):
    answer = client.get(at(TALK, "/media"), headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"].startswith("bytes */")


def test_head_returns_the_size_only(client, pipeline):
    answer = client.head(at(TALK, "/media"))
    assert int(answer.headers["content-length"]) == (pipeline.inbox / TALK).stat().st_size
    assert answer.content == b""


def test_the_sound_comes_as_wav_in_parts(client):
    answer = client.get(at(ODD, "/sound"), headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, b"RIFF")
    assert answer.headers["content-type"] == "audio/wav"


def test_a_file_that_was_put_in_the_videos_place_is_not_handed_out(client, pipeline, tmp_path):
    key = pipeline.add("replaced.mp4")
    pipeline.run(key)
    secret = tmp_path / "secret"
    secret.write_text("not a video")
    (pipeline.inbox / "replaced.mp4").unlink()
    (pipeline.inbox / "replaced.mp4").symlink_to(secret)
    refused = client.get(at(key, "/media"))
    assert (refused.status_code, refused.json()["error"]["kind"]) == (404, "no_media")
    assert client.get(at(key)).json()["media"]["is_there"] is False


@pytest.mark.parametrize("kind", FORMATS)
def test_the_machines_subtitles_come_in_each_format(client, kind):
    answer = client.get(at(ODD, f"/subtitles.{kind}"))
    assert answer.status_code == 200
    assert "quick" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        answer.headers["content-disposition"]
        == f"attachment; filename*=utf-8''{quote(f'100% & <b>.en.{kind}')}"
    )


def test_a_saved_version_is_current_everywhere_and_no_run_replaces_it(client, pipeline):
    key = pipeline.add("saved.mp4")
    machine = pipeline.run(key, subtitles={"formats": ["srt", "vtt"]}).files[0].read_text()
    version, cues = cues_of(client, key)
    cues[0]["text"] = "Typed <i>by hand</i>\r\n  & twice "
    saved = put(client, key, version, cues).json()
    assert (saved["version"], saved["files"], saved["warnings"]) == (1, ["saved.en.srt", "saved.en.vtt"], [])
    body = client.get(at(key)).json()
    assert body["edited"] == {
        "saved_at": saved["edited"]["saved_at"],
        "by": "127.0.0.1",
        "machine_changed": False,
    }
    assert body["cues"][0]["text"] == "Typed <i>by hand</i>\n& twice"
    assert {word[4] for word in body["cues"][0]["words"]} == {"interpolated"}
    assert {word[4] for word in body["cues"][1]["words"]} == {"aligned"}
    assert "Typed" in (pipeline.inbox / "saved.en.srt").read_text()
    assert "&lt;i&gt;by hand" in (pipeline.inbox / "saved.en.vtt").read_text()
    for kind in FORMATS:
        assert "& twice" in client.get(at(key, f"/subtitles.{kind}")).text.replace("&amp;", "&")
    assert client.get(at(key, "/subtitles.srt?version=machine")).text == machine
    assert "Typed" in client.get(at(key, "/subtitles.srt?version=1")).text
    (difference,) = client.get(at(key, "/differences")).json()["differences"]
    assert difference["edited"][0]["text"] == "Typed <i>by hand</i>\n& twice"
    again = pipeline.run(key, subtitles={"formats": ["srt"], "max_chars_per_line": 20})
    assert "Typed" in again.files[0].read_text()
    assert client.get(at(key)).json()["edited"]["machine_changed"] is True


def test_the_waveform_comes_as_the_peaks_of_the_sound_and_is_kept(client):
    first = client.get(at(ODD, "/peaks"))
    assert first.headers["content-type"] == "application/octet-stream"
    seconds = (int(client.head(at(ODD, "/sound")).headers["content-length"]) - 44) / 32_000
    assert len(first.content) == 2 * round(50 * seconds)
    signed = [byte - 256 * (byte > 127) for byte in first.content]
    assert min(signed) < -20
    assert max(signed) > 20
    assert client.get(at(ODD, "/peaks")).content == first.content
    assert client.get(at("waiting.mp4", "/peaks")).status_code == 404
    assert client.post(at("waiting.mp4", "/light-copy")).status_code == 404


def test_older_versions_are_listed_and_shown(client, pipeline):
    key = pipeline.add("older.mp4")
    pipeline.run(key)
    put(client, key, 0, [{"start_ms": 500, "end_ms": 900, "text": "The mine"}])
    client.delete(at(key, "/edits?version=1"))
    listed = client.get(at(key, "/versions")).json()["versions"]
    assert [(one["version"], one["cues"]) for one in listed] == [(2, None), (1, 1)]
    (cue,) = client.get(at(key, "/versions/1")).json()["cues"]
    assert (cue["text"], [word[4] for word in cue["words"]]) == ("The mine", ["aligned", "interpolated"])
    assert client.get(at(key, "/versions/2")).json()["cues"] == client.get(at(key)).json()["cues"]
    assert client.get(at(key, "/versions/3")).status_code == 404


def test_restoring_the_machine_version_restores_its_files_and_loses_nothing(client, pipeline):
    key = pipeline.add("back.mp4")
    machine = pipeline.run(key).files[0].read_bytes()
    put(client, key, 0, [{"start_ms": 0, "end_ms": 900, "text": "mine"}])
    back = client.delete(at(key, "/edits?version=1")).json()
    assert (back["version"], back["edited"]) == (2, None)
    assert (pipeline.inbox / "back.en.srt").read_bytes() == machine
    assert client.get(at(key)).json()["edited"] is None
    assert "mine" in client.get(at(key, "/subtitles.srt?version=1")).text


def test_saving_over_another_version_is_a_conflict(client, pipeline):
    key = pipeline.add("both.mp4")
    pipeline.run(key)
    cue = {"start_ms": 0, "end_ms": 900, "text": "first"}
    assert put(client, key, 0, [cue]).status_code == 200
    refused = put(client, key, 0, [cue | {"text": "second"}])
    assert (refused.status_code, refused.json()["error"]["kind"]) == (409, "edit_conflict")
    assert "version 1" in refused.json()["error"]["message"]
    assert "first" in (pipeline.inbox / "both.en.srt").read_text()
    assert client.delete(at(key, "/edits?version=7")).status_code == 409


@pytest.mark.parametrize(
    ("cues", "said"),
    [
        ([(500, 500, "a")], "ends before it starts"),
        ([(0, 900, "a"), (899, 1500, "b")], "Cue 2 starts before cue 1 ends"),
        ([(0, 999_000, "a")], "after the end of the video"),
        ([(0, 900, " \n\t")], "no text"),
        ([(0, 900, "a" * 1001)], "1000"),
        ([(-1, 900, "a")], "must be at least 0"),
        ([(0, 900.5, "a")], "must be a whole number"),
    ],
)
def test_invalid_cues_are_refused_and_nothing_is_saved(client, cues, said):
    sent = [dict(zip(("start_ms", "end_ms", "text"), cue, strict=True)) for cue in cues]
    refused = put(client, TALK, 0, sent)
    assert refused.status_code == 422
    assert said in refused.json()["error"]["message"]
    assert client.get(at(TALK)).json()["version"] == 0


def test_half_a_character_is_refused(client):
    body = b'{"version": 0, "cues": [{"start_ms": 0, "end_ms": 9, "text": "\\ud800"}]}'
    headers = {"Content-Type": "application/json"}
    assert client.put(at(TALK, "/cues"), content=body, headers=headers).status_code == 422


def test_a_page_of_another_site_cannot_save(client):
    refused = client.put(
        at(TALK, "/cues"), json={"version": 0, "cues": []}, headers={"Origin": "http://elsewhere.example"}
    )
    assert refused.status_code == 403


def test_a_version_is_saved_even_if_its_files_cannot_be_written(client, pipeline, tmp_path):
    key = pipeline.add("elsewhere.mp4")
    pipeline.run(key, output_dir=tmp_path / "out")
    (tmp_path / "out" / "elsewhere.en.srt").unlink()
    (tmp_path / "out").rmdir()
    saved = put(client, key, 0, [{"start_ms": 0, "end_ms": 900, "text": "kept"}]).json()
    assert (saved["version"], saved["files"]) == (1, [])
    assert client.get(at(key)).json()["cues"][0]["text"] == "kept"


def test_an_older_artifact_without_cues_gets_them_anew(client, pipeline):
    key = pipeline.add("old.mp4")
    pipeline.run(key)
    storage = pipeline.resources["storage"]
    made = storage.find_latest(key, "subtitles")
    before = client.get(at(key)).json()["cues"]
    older = {name: value for name, value in made.document.items() if name not in ("cues", "options")}
    with storage.scratch() as folder:
        files = {name: folder / name for name in made.files}
        for name, path in files.items():
            path.write_bytes(storage.read(made, name))
        storage.save(made.video_hash, made.stage, made.key, older, files)
    assert client.get(at(key)).json()["cues"] == before


def test_the_compressed_response_is_gzip(client):
    with client.stream("GET", at(TALK), headers={"Accept-Encoding": "gzip"}) as answer:
        assert gzip.decompress(b"".join(answer.iter_raw()))[:1] == b"{"


def test_a_thousand_videos_are_put_into_one_archive_and_one_more_is_refused_with_what_to_do(client):
    keys = [TALK, *(f"{'产品介绍' * 20}/{number:04}.mp4" for number in range(998)), ODD]

    def ask(keys: list[str]) -> httpx.Response:
        form = {"keys": (None, json.dumps(keys, ensure_ascii=False)), "kind": (None, "srt")}
        return client.post("/library/subtitles.zip", files=form)

    with zipfile.ZipFile(BytesIO(ask(keys).content)) as archive:
        assert archive.namelist() == ["talk.en.srt", "课程 #1/100% & <b>.en.srt"]
        assert archive.testzip() is None
        assert b"-->" in archive.read("talk.en.srt")
    refused = ask([*keys, "1001.mp4"])
    error = refused.json()["error"]
    assert refused.status_code == 422
    assert (error["message"], error["hint"]) == (
        "More than 1000 videos",
        "Select fewer, or search by name first",
    )
    assert ask(["none.mp4"]).status_code == 404
