"""TTML in three profiles: IMSC 1 text, IMSC 1.1 text (streaming services), EBU-TT-D (European broadcasters).

pysubs2's writer leaves out the language, the region and the time base that the profiles ask for, so this one
uses `xml.etree`. Text runs from left to right unless it is told otherwise, which would set the marks at the
ends of Hebrew and Arabic lines on the wrong side.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.directions import runs_right_to_left

_NAMESPACES = {
    "xmlns": "http://www.w3.org/ns/ttml",
    "xmlns:ttm": "http://www.w3.org/ns/ttml#metadata",
    "xmlns:ttp": "http://www.w3.org/ns/ttml#parameter",
    "xmlns:tts": "http://www.w3.org/ns/ttml#styling",
    "ttp:timeBase": "media",
}
_IMSC_1 = {"ttp:profile": "http://www.w3.org/ns/ttml/profile/imsc1/text"}
_IMSC_1_1 = {"ttp:contentProfiles": "http://www.w3.org/ns/ttml/profile/imsc1.1/text"}
_EBU = {
    "xmlns:ebuttm": "urn:ebu:tt:metadata",
    "xmlns:ebutts": "urn:ebu:tt:style",
    "ttp:cellResolution": "32 15",
}
_EBU_STANDARDS = ("urn:ebu:tt:distribution:2018-04", "http://www.w3.org/ns/ttml/profile/imsc1/text")

_STYLE = {
    "xml:id": "text",
    "tts:color": "white",
    "tts:fontFamily": "proportionalSansSerif",
    "tts:fontSize": "100%",
    "tts:lineHeight": "125%",
    "tts:textAlign": "center",
    "tts:textOutline": "black 5%",
}
_EBU_STYLES = (
    {
        "xml:id": "text",
        "tts:fontFamily": "proportionalSansSerif",
        "tts:fontSize": "100%",
        "tts:lineHeight": "125%",
        "tts:textAlign": "center",
        "ebutts:linePadding": "0.5c",
    },
    {"xml:id": "leftward", "tts:direction": "rtl", "tts:unicodeBidi": "embed"},
    {"xml:id": "letters", "tts:color": "#ffffff", "tts:backgroundColor": "#000000"},
)
"""EBU-TT-D knows no outline: its letters stand on a black ground. Styles are referred to, never inline."""
_REGION = {
    "xml:id": "bottom",
    "tts:origin": "10% 80%",
    "tts:extent": "80% 15%",
    "tts:displayAlign": "after",
    "tts:overflow": "visible",
}


def render_ttml(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return TTML in the IMSC 1 text profile (W3C): a paragraph a cue, centred in a region at the bottom."""
    return _document(cues, transcript, title, _IMSC_1)


def render_imsc(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return TTML in the IMSC 1.1 text profile (W3C), which names its profile as TTML 2 does."""
    return _document(cues, transcript, title, _IMSC_1_1)


def render_ebu_tt_d(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return EBU-TT-D (EBU Tech 3380): each paragraph has an id and a region, its text is in a span."""
    root, head = _root(transcript, _EBU)
    metadata = ET.SubElement(head, "metadata")
    if title:
        ET.SubElement(metadata, "ttm:title").text = " ".join(title.split())
    standards = ET.SubElement(metadata, "ebuttm:documentMetadata")
    for standard in _EBU_STANDARDS:
        ET.SubElement(standards, "ebuttm:conformsToStandard").text = standard
    styling = ET.SubElement(head, "styling")
    for style in _EBU_STYLES:
        ET.SubElement(styling, "style", style)
    ET.SubElement(ET.SubElement(head, "layout"), "region", _REGION)
    division = ET.SubElement(ET.SubElement(root, "body"), "div")
    return _finish(root, division, [_ebu_paragraph(cue, number) for number, cue in enumerate(cues, 1)])


def _document(
    cues: Sequence[Cue], transcript: Transcript, title: str | None, attributes: dict[str, str]
) -> str:
    root, head = _root(transcript, attributes)
    if title:
        ET.SubElement(ET.SubElement(head, "metadata"), "ttm:title").text = " ".join(title.split())
    ET.SubElement(ET.SubElement(head, "styling"), "style", _STYLE)
    ET.SubElement(ET.SubElement(head, "layout"), "region", _REGION)
    division = ET.SubElement(ET.SubElement(root, "body", {"style": "text", "region": "bottom"}), "div")
    return _finish(root, division, [_paragraph(cue) for cue in cues])


def _root(transcript: Transcript, attributes: dict[str, str]) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("tt", {**_NAMESPACES, **attributes, "xml:lang": transcript.language_tag})
    return root, ET.SubElement(root, "head")


def _finish(root: ET.Element, division: ET.Element, paragraphs: list[ET.Element]) -> str:
    """Return the document with its paragraphs; space is added between them, never inside."""
    ET.indent(root)
    for paragraph in paragraphs:
        paragraph.tail = "\n      "
    if paragraphs:
        division.text, paragraphs[-1].tail = "\n      ", "\n    "
    division.extend(paragraphs)
    markup = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{markup}\n'


def _paragraph(cue: Cue) -> ET.Element:
    paragraph = ET.Element("p", {"begin": _clock(cue.start_ms), "end": _clock(cue.end_ms)})
    if runs_right_to_left(cue.text):
        paragraph.attrib |= {"tts:direction": "rtl", "tts:unicodeBidi": "embed"}
    _write_lines(paragraph, cue)
    return paragraph


def _ebu_paragraph(cue: Cue, number: int) -> ET.Element:
    style = "text leftward" if runs_right_to_left(cue.text) else "text"
    times = {"begin": _clock(cue.start_ms), "end": _clock(cue.end_ms)}
    paragraph = ET.Element("p", {"xml:id": f"cue{number}", "region": "bottom", "style": style, **times})
    _write_lines(ET.SubElement(paragraph, "span", {"style": "letters"}), cue)
    return paragraph


def _write_lines(element: ET.Element, cue: Cue) -> None:
    element.text, *others = cue.lines
    for line in others:
        ET.SubElement(element, "br").tail = line


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
