"""Cues of which only text and times are known, such as edited ones: which words they hold, and when.

Where the text is what the machine heard, its words keep their times and confidence, also in a cue that was
moved or split. What a person typed is laid out between its neighbours: its source is `interpolated`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from yivideo_pipeline.speech.types import Segment, Transcript, Word
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.tokens import NEVER_FIRST, NEVER_LAST, clean_text, is_sounding, is_spaceless

REACH_S = 1.0
"""How far outside of its cue a word is looked for: somebody may have moved an end."""


def time_cues(texts: Sequence[EditedCue], transcript: Transcript) -> tuple[Cue, ...]:
    """Find the words of each cue.

    Args:
        texts: The cues, in order.
        transcript: What the machine heard.
    """
    words = transcript.words
    starts = [word.start_s for word in words]
    cues = []
    for place, cue in enumerate(texts):
        until_ms = texts[place + 1].start_ms if place + 1 < len(texts) else cue.end_ms + 1
        own = words[_first(starts, cue.start_ms) : _first(starts, until_ms)]
        if not _says(own, cue.text):
            reach = slice(
                bisect_left(starts, cue.start_ms / 1000 - REACH_S),
                bisect_left(starts, cue.end_ms / 1000 + REACH_S),
            )
            own = tuple(_match(cue, words[reach]))
        cues.append(Cue(cue.start_ms, cue.end_ms, tuple(cue.text.split("\n")), own))
    return tuple(cues)


def as_transcript(cues: Sequence[Cue], heard: Transcript) -> Transcript:
    """Return the transcript that says what the cues say: a segment a cue."""
    segments = tuple(
        Segment(
            start_s=cue.start_ms / 1000,
            end_s=cue.end_ms / 1000,
            text="".join(word.text for word in cue.words),
            words=cue.words,
            avg_logprob=0.0,
            no_speech_prob=0.0,
        )
        for cue in cues
    )
    return heard.model_copy(
        update={"segments": segments, "empty_reason": None if segments else heard.empty_reason}
    )


def clean_lines(text: str) -> str:
    """Make typed text safe for every format: lines without control characters, none of them empty."""
    lines = (clean_text(line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(line for line in lines if line)


def split_words(text: str) -> list[str]:
    """Cut text into words as a recognizer gives them; joined they are the text, in one line.

    A word carries the space before it and the punctuation after it; in scripts without spaces each
    character is one.
    """
    joined = ""
    for line in text.split("\n"):
        touching = joined and line and is_spaceless(joined[-1]) and is_spaceless(line[0])
        joined += line if touching or not joined else f" {line}"
    words: list[str] = []
    for char in joined:
        if words and _continues(words[-1], char):
            words[-1] += char
        else:
            words.append(char)
    return words


def _continues(word: str, char: str) -> bool:
    if char == " ":
        return False
    if char in NEVER_FIRST or word[-1] in NEVER_LAST or word == " ":
        return True
    return not (is_spaceless(char) or is_spaceless(word[-1]))


def _first(starts: Sequence[float], ms: int) -> int:
    # Half a millisecond: cues start at their first word's start, rounded.
    return bisect_left(starts, (ms - 0.5) / 1000)


def _match(cue: EditedCue, heard: Sequence[Word]) -> Iterator[Word]:
    """Yield the cue's words: those that were heard as they were heard, the others in the time between."""
    texts = split_words(cue.text)
    blocks = SequenceMatcher(
        None, [_bare(word.text) for word in heard], [_bare(text) for text in texts], autojunk=False
    ).get_matching_blocks()
    known = {block.b + n: heard[block.a + n] for block in blocks for n in range(block.size)}
    now_s = cue.start_ms / 1000
    for is_known, group in groupby(range(len(texts)), key=known.__contains__):
        places = list(group)
        if is_known:
            for place in places:
                yield known[place].model_copy(update={"text": texts[place]})
            now_s = known[places[-1]].end_s
            continue
        following = known.get(places[-1] + 1)
        until_s = max(now_s, following.start_s if following else cue.end_ms / 1000)
        yield from _lay_out([texts[place] for place in places], now_s, until_s)


def _lay_out(texts: Sequence[str], start_s: float, end_s: float) -> Iterator[Word]:
    share_s = (end_s - start_s) / sum(map(len, texts))
    for text in texts:
        end_s = start_s + len(text) * share_s
        yield Word(text=text, start_s=start_s, end_s=end_s, confidence=1.0, source="interpolated")
        start_s = end_s


def _says(words: Sequence[Word], text: str) -> bool:
    joined = "".join(word.text for word in words)
    # Most are the same to the letter, which is quickly seen.
    return joined.split() == text.split() or _bare(joined) == _bare(text)


def _bare(text: str) -> str:
    """What is compared: small letters and digits; marks alone stay themselves."""
    kept = "".join(char for char in text.casefold() if is_sounding(char))
    return kept or "".join(text.split())
