"""Chinese in the wanted script, character by character, so that word times stay."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from yivideo_pipeline.settings.options import ZhScript
from yivideo_pipeline.speech.types import Segment, Word

CHINESE = frozenset({"zh", "yue"})


@lru_cache(maxsize=2)
def _converter(script: ZhScript) -> Any:
    from opencc import OpenCC

    return OpenCC("t2s" if script is ZhScript.SIMPLIFIED else "s2t")


def convert_segment(segment: Segment, script: ZhScript) -> Segment:
    """The segment in simplified or traditional characters, with the same words at the same times."""
    words = tuple(convert_words(segment.words, script))
    return segment.model_copy(update={"text": "".join(word.text for word in words), "words": words})


def convert_words(words: Sequence[Word], script: ZhScript) -> list[Word]:
    """The words of a sentence in simplified or traditional characters, at the same times.

    The whole sentence is converted, since one simplified character can stand for several traditional
    ones; where that changes the number of characters, each word is converted for itself.
    """
    convert = _converter(script).convert
    before = "".join(word.text for word in words)
    text = convert(before)
    if len(text) == len(before):
        texts, position = [], 0
        for word in words:
            texts.append(text[position : position + len(word.text)])
            position += len(word.text)
    else:
        texts = [convert(word.text) for word in words]
    return [word.model_copy(update={"text": new}) for word, new in zip(words, texts, strict=True)]
