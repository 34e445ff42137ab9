"""Finds the words of edited cues, of which only text and times are known.

Where the text is unchanged, its words keep the times and confidence of the transcript, also in a cue that was
moved or split. Words that the user typed are spread over the time between their neighbours; their source is
`interpolated`.
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
"""How far outside its cue a word is searched: the user may have moved an end of the cue."""


def time_cues(texts: Sequence[EditedCue], transcript: Transcript) -> tuple[Cue, ...]:
    """Return each cue with its words, in the language of the word that was said there.

    Args:
        texts: The cues, in order.
        transcript: The transcript of the video.
    """
    words = transcript.words
    languages = [transcript.language_of(segment) for segment in transcript.segments for _ in segment.words]
    starts = [word.start_s for word in words]
    cues = []
    for place, cue in enumerate(texts):
        until_ms = texts[place + 1].start_ms if place + 1 < len(texts) else cue.end_ms + 1
        first = _first(starts, cue.start_ms)
        own = words[first : _first(starts, until_ms)]
        if not _is_text_of(own, cue.text):
            reach = slice(
                bisect_left(starts, cue.start_ms / 1000 - REACH_S),
                bisect_left(starts, cue.end_ms / 1000 + REACH_S),
            )
            own = tuple(_match(cue, words[reach]))
        language = (languages[first : first + 1] or languages[-1:] or [None])[0]
        cues.append(Cue(cue.start_ms, cue.end_ms, tuple(cue.text.split("\n")), own, language))
    return tuple(cues)


def as_transcript(cues: Sequence[Cue], transcript: Transcript) -> Transcript:
    """Return the transcript with the text of the cues: a segment a cue."""
    segments = tuple(
        Segment(
            start_s=cue.start_ms / 1000,
            end_s=cue.end_ms / 1000,
            text="".join(word.text for word in cue.words),
            words=cue.words,
            avg_logprob=0.0,
            no_speech_prob=0.0,
            language=None if cue.language == transcript.language else cue.language,
        )
        for cue in cues
    )
    return transcript.model_copy(
        update={"segments": segments, "empty_reason": None if segments else transcript.empty_reason}
    )


def clean_lines(text: str) -> str:
    """Return typed text that is safe for every format: non-empty lines without control characters."""
    lines = (clean_text(line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(line for line in lines if line)


def split_words(text: str) -> list[str]:
    """Split text into words as a recognizer returns them; joined they are the text, in one line.

    A word includes the space before it and the punctuation after it; in scripts without spaces each character
    is a word.
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


def _match(cue: EditedCue, recognized: Sequence[Word]) -> Iterator[Word]:
    """Yield the cue's words: recognized ones unchanged, the others spread over the time between them."""
    texts = split_words(cue.text)
    blocks = SequenceMatcher(
        None,
        [bare_text(word.text) for word in recognized],
        [bare_text(text) for text in texts],
        autojunk=False,
    ).get_matching_blocks()
    known = {block.b + n: recognized[block.a + n] for block in blocks for n in range(block.size)}
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
        yield from _spread([texts[place] for place in places], now_s, until_s)


def _spread(texts: Sequence[str], start_s: float, end_s: float) -> Iterator[Word]:
    share_s = (end_s - start_s) / sum(map(len, texts))
    for text in texts:
        end_s = start_s + len(text) * share_s
        yield Word(text=text, start_s=start_s, end_s=end_s, confidence=1.0, source="interpolated")
        start_s = end_s


def _is_text_of(words: Sequence[Word], text: str) -> bool:
    joined = "".join(word.text for word in words)
    # Most are identical, which is quick to check.
    return joined.split() == text.split() or bare_text(joined) == bare_text(text)


def bare_text(text: str) -> str:
    """Return what is compared of words: lower-case letters and digits; text of marks alone as it is."""
    kept = "".join(char for char in text.casefold() if is_sounding(char))
    return kept or "".join(text.split())
