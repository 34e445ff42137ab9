"""Knows by a track's name or language code that it does not hold what the programme itself says.

Many files give a commentary or an audio description no flag: the title alone tells, in the language of those
who made the file.
"""

import re
import unicodedata

_COMMENTARY = (
    # commentary, comments, commentaire, comentario, commento, Kommentar, komentarz, kommentti, kommentaarit
    r"\b\w*(?:comm?ent|komm?ent|kommentt|kommentaa)\w*",
    r"\byorumlu\b",
    "комментар",
    "коментар",
    "σχολι",
    "评论|評論|导评|導評|解说|解說|讲解|講解",
    "コメンタリ|実況|解説",
    "코멘터리|코멘트|해설",
    "פרשנות",
    "تعليق",
)
_DESCRIPTION = (
    r"\baudio[\s_-]*(?:de?scri|deskr[iy]|popis|narra|beschr)\w*",
    r"\b(?:de?scriptive|described)\b|\b(?:descripcion|descricao) de audio\b|\baudiodescrito\b",
    r"\bdescription(?:s)? (?:audio|sonore)\b",
    r"\b(?:visually|vision|visual)[\s_-]*impaired\b|\bfor the blind\b|\bblind\b",
    r"\b(?:malvoyants?|aveugles?|non vedenti|ciegos|cegos|invidentes|nevidom\w*|niewidom\w*|niedowidz\w*)\b",
    r"\b(?:horfilm\w*|sehbehindert\w*|blindenfassung|blinde\w*|slechtziend\w*)\b",
    r"\b(?:syntolk\w*|synstolk\w*|synstolkning|kuvailutulk\w*|narratoros)\b",
    r"\bsesli betimleme\b",
    "тифло",
    "口述影像|旁白描述|视障|視障|无障碍|無障礙",
    "音声解説|副音声|音声ガイド",
    "화면해설|음성해설",
)
_WITHOUT_DIALOGUE = (
    r"\b(?:isolated|music|musical) (?:score|track)\b|\b(?:music|score) only\b|\bsoundtrack only\b",
    r"\b(?:music|m) ?(?:and|&|\+) ?(?:effects|e)\b|\beffects only\b",
    r"\b(?:karaoke|instrumental)\b",
    "伴奏|纯音乐|純音樂|カラオケ",
)
_SIDE_TRACK = re.compile("|".join((*_COMMENTARY, *_DESCRIPTION, *_WITHOUT_DIALOGUE)))
_ABBREVIATED = re.compile(r"(?:^|[\s(\[/,._-])(?:AD|DVS|M&E)(?:$|[\s)\]/,._-])")
_SIDE_CODES = {"nar", "qad", "zxx"}
"""Broadcasters' codes for narration and audio description, and ISO 639-2's for no language at all."""


def is_side_track(title: str | None, language: str | None = None) -> bool:
    """Return whether a track is a commentary, an audio description, or has no dialogue.

    Args:
        title: Its name in the file, in any language.
        language: Its language code.
    """
    if language and language.lower() in _SIDE_CODES:
        return True
    if not title:
        return False
    decomposed = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    # Only Latin letters lose their marks; Japanese and Korean would lose letters.
    return any(_SIDE_TRACK.search(text) for text in (title.casefold(), plain)) or bool(
        _ABBREVIATED.search(title)
    )
