import re
import xml.etree.ElementTree as ET

from tests.subtitles.transcripts import make_transcript
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.writers import render

TT = "{http://www.w3.org/ns/ttml}"
TTP = "{http://www.w3.org/ns/ttml#parameter}"
TTM = "{http://www.w3.org/ns/ttml#metadata}"
XML = "{http://www.w3.org/XML/1998/namespace}"


def parse(*cues: Cue, title: str | None = None) -> ET.Element:
    text = render(cues, make_transcript([], "zh"), SubtitleFormat.TTML, title)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    return ET.fromstring(text.encode())


def test_the_root_says_language_time_base_and_profile() -> None:
    root = parse()
    assert root.tag == f"{TT}tt"
    assert root.get(f"{XML}lang") == "zh"
    assert root.get(f"{TTP}timeBase") == "media"
    assert root.get(f"{TTP}profile") == "http://www.w3.org/ns/ttml/profile/imsc1/text"


def test_without_cues_the_document_is_valid_and_has_no_paragraph() -> None:
    assert parse().findall(f".//{TT}p") == []
    assert parse().find(f"{TT}body/{TT}div") is not None


def test_the_body_names_a_style_and_a_region_that_are_there() -> None:
    root = parse()
    body = root.find(f"{TT}body")
    ids = {element.get(f"{XML}id") for element in root.iter()}
    assert body is not None
    assert {body.get("style"), body.get("region")} <= ids


def test_times_are_clocks_with_exact_milliseconds_and_any_number_of_hours() -> None:
    paragraphs = parse(Cue(1, 999, ("a",), ()), Cue(443_045_006, 443_045_999, ("b",), ())).iter(f"{TT}p")
    assert [(p.get("begin"), p.get("end")) for p in paragraphs] == [
        ("00:00:00.001", "00:00:00.999"),
        ("123:04:05.006", "123:04:05.999"),
    ]


def test_lines_are_parted_by_a_break_and_hold_exact_text() -> None:
    lines = ("<i>Tom & Jerry</i> --> ]]>", "“第二行” {\\an8}")
    (paragraph,) = parse(Cue(0, 1000, lines, ())).iter(f"{TT}p")
    assert [child.tag for child in paragraph] == [f"{TT}br"]
    assert (paragraph.text, paragraph[0].tail) == lines


def test_a_title_is_metadata() -> None:
    assert parse(title="A <film>\n& more").findtext(f"{TT}head/{TT}metadata/{TTM}title") == "A <film> & more"


def test_all_that_is_no_text_is_white_space() -> None:
    text = render([Cue(0, 1000, ("only",), ())], make_transcript([]), SubtitleFormat.TTML)
    assert re.sub(r"<[^>]*>|\s", "", text) == "only"
