"""The pages' texts: complete in both languages, and none missing that a page or its script asks for."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pandas as pd
import pytest

from tests.service.pages.said import said
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.service import pages
from yivideo_pipeline.service.pages.dashboard import CHARTS
from yivideo_pipeline.service.pages.translations import (
    LANGUAGES,
    MESSAGES,
    PHRASES,
    Texts,
    load_sections,
    say,
)
from yivideo_pipeline.service.pages.video_list import SORT_ORDERS, STATES
from yivideo_pipeline.service.performance.alerts import AlertName
from yivideo_pipeline.service.performance.insights import recommend
from yivideo_pipeline.service.performance.system import DaemonHealth, DiskHealth
from yivideo_pipeline.settings.options import SpeechOptions

ENGLISH, CHINESE = load_sections("en"), load_sections("zh")
SERVICE = Path(pages.__file__).parents[1]
CHOICES = ("templates/choices.html", "static/workflows.js")
PAGES = {
    "dashboard": (
        "pages/dashboard.py",
        "templates/dashboard.html",
        "static/dashboard.js",
        "static/charts.js",
    ),
    "library": (
        *CHOICES,
        "templates/library.html",
        "templates/videos.html",
        "static/library.js",
        "static/selection.js",
    ),
    "review": (
        *CHOICES,
        "templates/review.html",
        *(f"static/review/{path.name}" for path in (SERVICE / "static/review").iterdir()),
    ),
    "settings": ("pages/settings_page.py", "templates/settings.html", "static/settings.js"),
    "login": ("pages/login.py", "templates/login.html"),
    "error": ("templates/error.html",),
}


def test_both_languages_have_the_same_texts():
    assert CHINESE.keys() - ENGLISH.keys() == {MESSAGES, PHRASES}
    assert ENGLISH.keys() <= CHINESE.keys()
    for section, texts in ENGLISH.items():
        assert list(texts) == list(CHINESE[section]), section


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty(language):
    assert all(text.strip() for texts in load_sections(language).values() for text in texts.values())


def test_a_text_has_the_same_placeholders_in_both_languages():
    for section, texts in ENGLISH.items():
        for name, text in texts.items():
            assert placeholders(text) == placeholders(CHINESE[section][name]), name


def test_a_count_of_one_has_the_singular():
    t, zh = Texts("en", "library"), Texts("zh", "library")
    assert [t("count", total=number) for number in (0, 1, 2)] == ["0 videos", "1 video", "2 videos"]
    assert zh("count", total=1) == "共 1 个视频"


def test_no_section_hides_a_text_of_the_frame_or_a_message():
    shared = ENGLISH["frame"].keys() | CHINESE[MESSAGES].keys()
    for section in ENGLISH.keys() - {"frame"}:
        assert not shared & ENGLISH[section].keys(), section


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_every_text_that_it_asks_for_and_no_other(page):
    source = "\n".join((SERVICE / name).read_text() for name in ("templates/frame.html", *PAGES[page]))
    asked = set(re.findall(r"""\bt\(["'`]([\w.]*\w)["'`]""", source))
    assert asked <= Texts("en", page).table.keys()
    quoted = set(re.findall(r"""["'`]([\w.]+)["'`]""", source))
    prefixes = (*re.findall(r"""["'`](\w+\.)""", source), *(f"{chart}." for chart in CHARTS))
    assert [name for name in ENGLISH[page] if name not in quoted and not name.startswith(prefixes)] == []


def test_every_state_order_reason_and_alert_has_its_text():
    names = {f"state.{state}" for state in STATES} | {f"sort.{order}" for order in SORT_ORDERS}
    assert names <= ENGLISH["library"].keys()
    assert {f"reason.{reason.name}" for reason in Reason} <= CHINESE[MESSAGES].keys()
    alerts = {f"{prefix}.{name}" for name in get_args(AlertName) for prefix in ("alert", "alert_advice")}
    assert alerts <= CHINESE[MESSAGES].keys()


def test_each_advice_is_said_and_so_are_all_figures_that_it_is_based_on():
    times = {"duration_s": SimpleNamespace(p50=10.0), "times_real_time": 0.9}
    queue = SimpleNamespace(queued=3, wait_s=SimpleNamespace(p50=90.0))
    retries = SimpleNamespace(mean=0.5, total=5)
    gpu = {"gpu_utilization_pct": SimpleNamespace(mean=20.0)}
    every_rule_applies: Any = SimpleNamespace(
        summary=SimpleNamespace(count=10, queue=queue, retries=retries, **times, **gpu),
        operations=pd.DataFrame({"success": False, "kind": "memory", "hint": "Take less"}, index=range(2)),
        options=SpeechOptions(),
        gpu=SimpleNamespace(memory_used_pct=10.0),
        disks={"home": DiskHealth(total_mb=10, free_mb=0.5, used_pct=95)},
        daemons=[DaemonHealth(name="SENSOR", heartbeat_age_s=500, healthy=False, errors=[])],
    )
    advice = {one.name: one.figures for one in recommend(every_rule_applies)}
    texts = {name for name in ENGLISH["dashboard"] if name.startswith("evidence.")}
    assert texts == {f"evidence.{name}" for name in advice}
    for name, figures in advice.items():
        assert placeholders(ENGLISH["dashboard"][f"evidence.{name}"]) == figures.keys() - {"kind"}
        # Of the most frequent failure the hint is the advice.
        assert name == "mend_most_frequent" or is_chinese(CHINESE[MESSAGES][f"advice.{name}"])
    assert is_chinese(say("See the failures below", "zh"))


def test_every_kind_of_error_has_a_name_in_chinese():
    ours = {kind for kind in _all_kinds(YivideoError) if kind.__module__ == YivideoError.__module__}
    kinds = {kind.kind for kind in ours} - {"unknown", "task", "model_busy"}
    assert {f"kind.{kind}" for kind in kinds} <= CHINESE[MESSAGES].keys()


def test_each_failure_and_hint_is_said_in_chinese_too():
    unsaid = [one for one in said() if not is_chinese(say(one[1], "zh")) and not one[1].startswith("pip ")]
    assert unsaid == [], 'add them to "phrases" of zh.json'


def test_what_varies_in_a_sentence_is_kept_and_said_in_chinese_where_it_can_be():
    assert say("The file may not be read: x", "zh") == "The file may not be read: x"
    assert say("There is no version 7", "zh") == "没有版本 7"
    assert say("There is no version 7") == "There is no version 7"
    failed = "The transcript did not pass has_words. 3.0 s of speech were found, but no word was recognized: "
    failed += "set the language, or use a larger model"
    assert say(failed, "zh").startswith("transcript 未通过 has_words。检测到 3.0 秒语音")
    assert say("Cue 2 has no text; delete it instead; Cue 4 ends before it starts", "zh").count("。") == 3


def is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff\uff00-\uffef]", text) is not None


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def _all_kinds(tree: type[YivideoError]) -> set[type[YivideoError]]:
    return {tree}.union(*(_all_kinds(kind) for kind in tree.__subclasses__()))


def test_a_very_long_sentence_is_not_searched_for_patterns():
    line = "x is set by y; " * 20_000
    assert say(line, "zh") == line
