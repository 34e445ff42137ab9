"""`yivideo compare` on a recording of the samples: figures, the page, and what it refuses."""

import json
import multiprocessing
import shutil

import pytest

from tests.browser import NEEDS_CHROMIUM
from tests.cli.command import SAMPLES, call, run, settings
from yivideo_pipeline.comparison.side import run_side
from yivideo_pipeline.errors.tree import SystemFault
from yivideo_pipeline.settings.load import load_settings

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def compared(tmp_path_factory, model_dir, tiny_weights, base_weights):
    """A folder with a recording, its text and times, and a damaged one; what the command said of it."""
    folder = tmp_path_factory.mktemp("compared")
    for sample in SAMPLES.glob("harbour-15s.*"):
        shutil.copyfile(sample, folder / sample.name)
    (folder / "damaged.mp4").write_bytes(b"no video")
    (folder / "b.yml").write_text("speech:\n  model_name: base\nsubtitles:\n  profile: netflix\n")
    environment = settings(folder / "home", model_dir)
    page = folder / "page.html"
    ended = run(
        environment, "compare", "tiny.en", folder / "b.yml", "--corpus", folder, "--output", page, "--json"
    )
    return ended, page


def test_both_sides_are_measured_on_what_both_could_read(compared):
    ended, _ = compared
    assert ended.returncode == 1, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("yivideo:")]
    assert [line.partition("damaged.mp4 is left out, by ")[2][:1] for line in lines] == ["A", "B"]
    told = json.loads(ended.stdout)
    assert [one["path"].rpartition("/")[2] for one in told["recordings"]] == ["harbour-15s.mp4"]
    # What the environment says of the model holds for a model that is named alone, not for a file.
    assert [one["engine"].split()[0] for one in told["sides"]] == ["tiny.en", "base"]
    assert [one["name"] for one in told["settings"]][:2] == ["speech.model_name", "subtitles.profile"]
    figures = {one["name"]: (one["a"], one["b"]) for one in told["figures"]}
    assert figures["WER en, 1 recording"][1] <= figures["WER en, 1 recording"][0] < 0.1
    assert min(figures["word starts within 0.1 s of the reference"]) > 0.9
    assert figures["peak memory, MB"][0] < figures["peak memory, MB"][1]
    assert figures["breaks of hard style rules"] == (0, 0)
    passages = told["recordings"][0]["passages"]
    assert passages
    assert all(one["a"] != one["b"] or one["shift_s"] for one in passages)
    assert all(one["reference"] for one in passages)


def test_the_page_plays_its_passages_from_the_disk_and_asks_no_host(compared, browser):
    _, path = compared
    page = browser.new_page()
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.goto(path.as_uri())
    assert page.locator("article").count() == len(json.loads(compared[0].stdout)["recordings"][0]["passages"])
    page.locator("article .word").first.click()
    page.wait_for_function("document.querySelector('audio').currentTime > 0.1")
    page.wait_for_selector(".word.now")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert faults == []
    page.close()


def test_what_can_not_be_compared_is_refused_in_a_line_before_the_work(tmp_path, model_dir, tiny_weights):
    environment = settings(tmp_path / "home", model_dir)
    (tmp_path / "a.yml").write_text("speech:\n  model_name: tiny.en\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "manifest.json").write_text('[{"audio": "talk.flac"}]')
    (tmp_path / "mine.html").write_text("my own page")
    a, video = tmp_path / "a.yml", SAMPLES / "harbour-15s.mp4"
    refusals = [
        ((a, "tiny.en", video), 2, "mean the same"),
        ((a, "base"), 2, "No recordings are named"),
        ((a, tmp_path / "none.yml", video), 2, "There is no settings file"),
        ((a, "bose", video), 2, "did you mean base"),
        ((a, "medium", video), 1, "medium: no weights for model medium"),
        ((a, "base", tmp_path / "none.mp4"), 1, "none.mp4 does not exist"),
        ((a, "base", "--corpus", tmp_path / "empty"), 2, "has no recordings"),
        ((a, "base", "--corpus", tmp_path / "list"), 2, "is no list of recordings"),
        ((a, "base", video, "--output", tmp_path / "mine.html"), 1, "is no page of a comparison"),
        ((a, "base", video, "--output", tmp_path / "none" / "page.html"), 1, "There is no folder"),
    ]
    for arguments, code, line in refusals:
        ended = call(environment, "compare", *arguments)
        first, *advice = ended.stderr.splitlines()
        assert (ended.returncode, len(advice) <= 1) == (code, True), ended.stderr
        assert line in first
    assert (tmp_path / "mine.html").read_text() == "my own page"


def test_a_side_that_the_system_ends_is_told_in_a_line(tmp_path, model_dir, tiny_weights):
    here = load_settings(environ=settings(tmp_path, model_dir))

    def kill(_number: int, _share: float) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(SystemFault, match=r"exit status -9.*memory"):
        run_side(here, [SAMPLES / "lighthouse-60s.mkv"], kill)
