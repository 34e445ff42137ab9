"""TTML in the IMSC 1 text profile, which broadcasters' and web players read.

pysubs2's writer leaves out the language, the region and the time base that the profile asks for,
so this one is ours, on `xml.etree`.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue

_ROOT = {
    "xmlns": "http://www.w3.org/ns/ttml",
    "xmlns:ttm": "http://www.w3.org/ns/ttml#metadata",
    "xmlns:ttp": "http://www.w3.org/ns/ttml#parameter",
    "xmlns:tts": "http://www.w3.org/ns/ttml#styling",
    "ttp:timeBase": "media",
    "ttp:profile": "http://www.w3.org/ns/ttml/profile/imsc1/text",
}
_STYLE = {
    "xml:id": "text",
    "tts:color": "white",
    "tts:fontFamily": "proportionalSansSerif",
    "tts:fontSize": "100%",
    "tts:lineHeight": "125%",
    "tts:textAlign": "center",
    "tts:textOutline": "black 5%",
}
_REGION = {
    "xml:id": "bottom",
    "tts:origin": "10% 80%",
    "tts:extent": "80% 15%",
    "tts:displayAlign": "after",
    "tts:overflow": "visible",
}


def render_ttml(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """One paragraph a cue, centred in a region at the bottom, on the video's own clock."""
    root = ET.Element("tt", {**_ROOT, "xml:lang": transcript.language})
    head = ET.SubElement(root, "head")
    if title:
        ET.SubElement(ET.SubElement(head, "metadata"), "ttm:title").text = " ".join(title.split())
    ET.SubElement(ET.SubElement(head, "styling"), "style", _STYLE)
    ET.SubElement(ET.SubElement(head, "layout"), "region", _REGION)
    division = ET.SubElement(ET.SubElement(root, "body", {"style": "text", "region": "bottom"}), "div")
    division.extend(map(_paragraph, cues))
    ET.indent(root)
    markup = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{markup}\n'


def _paragraph(cue: Cue) -> ET.Element:
    paragraph = ET.Element("p", {"begin": _clock(cue.start_ms), "end": _clock(cue.end_ms)})
    paragraph.text, *others = cue.lines
    for line in others:
        ET.SubElement(paragraph, "br").tail = line
    return paragraph


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
