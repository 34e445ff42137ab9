"""Parses HTML, and finds problems of accessibility in it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

FIELDS = ("input", "select", "textarea")
EMPTY = ("meta", "link", "img", "input", "br", "hr")


@dataclass
class Element:
    """One element with its attributes and all text inside."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def get(self, name: str) -> str:
        return self.attributes.get(name) or ""


class HtmlPage(HTMLParser):
    """All elements of a page, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        for outer in self._open:
            outer.inside.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def problems(self) -> list[str]:
        """What a user would miss who does not see the page, or uses no mouse."""
        ids = [element.get("id") for element in self.elements if element.get("id")]
        labelled = {label.get("for") for label in self.all("label")}
        levels = [int(element.tag[1]) for element in self.all("h1", "h2", "h3", "h4")]
        found = [f"id {one} twice" for one in set(ids) if ids.count(one) > 1]
        found += [f"no alt: {image.attributes}" for image in self.all("img") if "alt" not in image.attributes]
        for control in self.all(*FIELDS):
            hidden = control.get("type") == "hidden"
            if not (hidden or control.get("aria-label") or control.get("id") in labelled):
                found.append(f"no label: {control.attributes}")
        for named in self.all("button", "a", "summary"):
            if not (named.text.strip() or named.get("aria-label") or named.get("title")):
                found.append(f"no name: {named.tag} {named.attributes}")
        for element in self.elements:
            for name in ("aria-labelledby", "aria-describedby"):
                found += [
                    f"{name} leads nowhere: {one}" for one in element.get(name).split() if one not in ids
                ]
            found += [f"script inside: {name}" for name in element.attributes if name.startswith("on")]
            found += ["style inside"] * ("style" in element.attributes)
        found += ["no language"] * (not self.all("html")[0].get("lang"))
        found += [f"headings {levels}"] * (levels[:1] != [1] or levels.count(1) > 1)
        found += [f"heading skipped: {levels}" for one, two in pairwise(levels) if two > one + 1]
        found += ["no title"] * (not self.all("title")[0].text.strip())
        found += ["not one main"] * (len(self.all("main")) != 1)
        return found
