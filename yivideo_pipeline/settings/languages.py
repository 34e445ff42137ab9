"""Languages: those that Whisper knows, by code and by English name, in every form of a language code.

langcodes knows the forms: ISO 639-1, -2 (`deu` and `ger`) and -3, tags with script and region, withdrawn
codes. It is imported only for a code that is not one of Whisper's own, since the import takes 60 ms.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Any

from yivideo_pipeline.settings.messages import did_you_mean

LANGUAGES: dict[str, str] = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani",
    "ba": "bashkir", "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan",
    "br": "breton", "bs": "bosnian", "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish",
    "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fo": "faroese", "fr": "french", "gl": "galician",
    "gu": "gujarati", "ha": "hausa", "haw": "hawaiian", "he": "hebrew", "hi": "hindi",
    "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese", "ka": "georgian",
    "kk": "kazakh", "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin",
    "lb": "luxembourgish", "ln": "lingala", "lo": "lao", "lt": "lithuanian", "lv": "latvian",
    "mg": "malagasy", "mi": "maori", "mk": "macedonian", "ml": "malayalam", "mn": "mongolian",
    "mr": "marathi", "ms": "malay", "mt": "maltese", "my": "myanmar", "ne": "nepali", "nl": "dutch",
    "nn": "nynorsk", "no": "norwegian", "oc": "occitan", "pa": "punjabi", "pl": "polish",
    "ps": "pashto", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sa": "sanskrit",
    "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona", "so": "somali",
    "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili",
    "ta": "tamil", "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog",
    "tr": "turkish", "tt": "tatar", "uk": "ukrainian", "ur": "urdu", "uz": "uzbek",
    "vi": "vietnamese", "yi": "yiddish", "yo": "yoruba", "yue": "cantonese", "zh": "chinese",
}  # fmt: skip

_CODES_BY_NAME = {name: code for code, name in LANGUAGES.items()} | {
    "burmese": "my", "castilian": "es", "farsi": "fa", "flemish": "nl", "haitian": "ht",
    "letzeburgesch": "lb", "mandarin": "zh", "moldavian": "ro", "moldovan": "ro", "panjabi": "pa",
    "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
_WHISPER_CODES = {"jv": "jw", "fil": "tl", "nb": "no"}
"""Whisper's codes where they are not those of BCP 47."""
_CODES_BY_ALPHA3 = {
    "afr": "af", "amh": "am", "ara": "ar", "asm": "as", "aze": "az", "bak": "ba", "bel": "be",
    "bul": "bg", "ben": "bn", "bod": "bo", "tib": "bo", "bre": "br", "bos": "bs", "cat": "ca",
    "ces": "cs", "cze": "cs", "cym": "cy", "wel": "cy", "dan": "da", "deu": "de", "ger": "de",
    "ell": "el", "gre": "el", "eng": "en", "spa": "es", "est": "et", "baq": "eu", "eus": "eu",
    "fas": "fa", "per": "fa", "fin": "fi", "fao": "fo", "fra": "fr", "fre": "fr", "glg": "gl",
    "guj": "gu", "hau": "ha", "heb": "he", "hin": "hi", "hrv": "hr", "hat": "ht", "hun": "hu",
    "arm": "hy", "hye": "hy", "ind": "id", "ice": "is", "isl": "is", "ita": "it", "jpn": "ja",
    "jav": "jw", "geo": "ka", "kat": "ka", "kaz": "kk", "khm": "km", "kan": "kn", "kor": "ko",
    "lat": "la", "ltz": "lb", "lin": "ln", "lao": "lo", "lit": "lt", "lav": "lv", "mlg": "mg",
    "mao": "mi", "mri": "mi", "mac": "mk", "mkd": "mk", "mal": "ml", "mon": "mn", "mar": "mr",
    "may": "ms", "msa": "ms", "mlt": "mt", "bur": "my", "mya": "my", "nep": "ne", "dut": "nl",
    "nld": "nl", "nno": "nn", "nob": "no", "nor": "no", "oci": "oc", "pan": "pa", "pol": "pl", "pus": "ps",
    "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "san": "sa", "snd": "sd", "sin": "si",
    "slk": "sk", "slo": "sk", "slv": "sl", "sna": "sn", "som": "so", "alb": "sq", "sqi": "sq",
    "srp": "sr", "sun": "su", "swe": "sv", "swa": "sw", "tam": "ta", "tel": "te", "tgk": "tg",
    "tha": "th", "tuk": "tk", "tgl": "tl", "tur": "tr", "tat": "tt", "ukr": "uk", "urd": "ur", "uzb": "uz",
    "vie": "vi", "yid": "yi", "yor": "yo", "chi": "zh", "zho": "zh",
}  # fmt: skip
"""Whisper's codes by those of ISO 639-2 and -3, where they differ; a test compares them with langcodes."""
_CHINESE_LABELS = {"chs": "zh-hans", "zhs": "zh-hans", "cht": "zh-hant", "zht": "zh-hant"}
"""Labels of Chinese subtitles that stand in for codes, as Windows has them."""


class ZhScript(StrEnum):
    """The script of Chinese text; the characters of Taiwan and Hong Kong differ a little."""

    SIMPLIFIED = "simplified"
    TRADITIONAL = "traditional"
    TRADITIONAL_TW = "traditional-tw"
    TRADITIONAL_HK = "traditional-hk"

    def tag(self, language: str) -> str:
        """Return the tag of a Chinese language in this script: `zh`, `zh-Hant`, `zh-TW` or `zh-HK`."""
        return language + _SCRIPT_TAGS[self]

    @property
    def is_traditional(self) -> bool:
        """Whether it is traditional, of any region."""
        return self is not ZhScript.SIMPLIFIED


_SCRIPT_TAGS = {
    ZhScript.SIMPLIFIED: "",
    ZhScript.TRADITIONAL: "-Hant",
    ZhScript.TRADITIONAL_TW: "-TW",
    ZhScript.TRADITIONAL_HK: "-HK",
}
_TRADITIONAL_BY_REGION = {
    "TW": ZhScript.TRADITIONAL_TW,
    "HK": ZhScript.TRADITIONAL_HK,
    "MO": ZhScript.TRADITIONAL_HK,
}
AUTO = "auto"
"""The language of a sound that may be in any."""
CHINESE = frozenset({"zh", "yue"})
_CHINESE_TAGS = ("CN", "SG", "TW", "HK", "MO", "Hans", "Hant")


def find_language(name: str) -> str | None:
    """Return Whisper's code for a code, an English name or a tag (`zh-TW`, `pt_BR`, `deu`), else None."""
    wanted = name.strip().lower()
    if wanted in LANGUAGES:
        return wanted
    return _CODES_BY_NAME.get(wanted) or _CODES_BY_ALPHA3.get(wanted) or _find_code(wanted)


def find_zh_script(name: str) -> ZhScript | None:
    """Return the script that a tag of Chinese names, by itself or by its region; None where it names none."""
    if find_language(name) not in CHINESE or name.strip().lower() in LANGUAGES:
        return None
    tag = _parse(name.strip().lower())
    if tag is None or not (tag.script or tag.territory):
        return None
    if tag.maximize().script != "Hant":
        return ZhScript.SIMPLIFIED
    return _TRADITIONAL_BY_REGION.get(tag.territory or "", ZhScript.TRADITIONAL)


def split_languages(value: Any) -> list[Any]:
    """Return the languages of a list, or of text such as `zh,en`; none of anything else."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple) else []


def read_languages(value: Any) -> Any:
    """Return Whisper's code for a code, a name or a regional tag; an absent value means detect.

    Of several languages, a list or text such as `zh,en`, it is their codes with commas between them.

    Raises:
        ValueError: One of them is no language, or `auto` is not alone.
    """
    if value is None:
        return AUTO
    if value is False:  # YAML reads the code of Norwegian as a boolean
        return "no"
    names = ["no" if name is False else name for name in split_languages(value)] or [value]
    if not all(isinstance(name, str) for name in names):
        return value
    codes = tuple(dict.fromkeys(map(_require_language, names)))
    if AUTO in codes and len(codes) > 1:
        raise ValueError("auto means any language: give it alone, or the languages without it")
    return ",".join(codes)


def _require_language(name: str) -> str:
    code = AUTO if name == AUTO else find_language(name)
    if code is None:
        known = [*LANGUAGES, *LANGUAGES.values()]
        raise ValueError(
            f"{name!r} is not a language that Whisper knows{did_you_mean(name, known)}:"
            " give a code such as zh or en, or auto"
        )
    return code


def find_script_of(languages: Any) -> ZhScript | None:
    """Return the script that one of several languages names, by itself or by its region."""
    named = (find_zh_script(name) for name in split_languages(languages) if isinstance(name, str))
    return next((script for script in named if script), None)


def language_names() -> list[str]:
    """Return the names and codes that languages are usually given by, the shortest first.

    `find_language` knows more: any tag of a language with its region.
    """
    tags = {f"{language}-{part}" for language in CHINESE for part in _CHINESE_TAGS}
    known = {*LANGUAGES, *_CODES_BY_NAME, *_WHISPER_CODES, *_CODES_BY_ALPHA3, *tags}
    return sorted(known, key=lambda name: (len(name), name))


def normalize_language(code: str) -> str:
    """Return one form of a code for all its forms: `eng`, `EN` and `en-GB` all become `en`.

    It is Whisper's code where Whisper knows the language, else the shortest code that there is.
    """
    wanted = code.strip().lower()
    if wanted in LANGUAGES:
        return wanted
    tag = _parse(wanted)
    return _find_code(wanted) or (tag.language if tag and tag.language else wanted)


@lru_cache(maxsize=1024)
def _find_code(wanted: str) -> str | None:
    """Return Whisper's code for a tag in lower case: that of its language, else of its macrolanguage."""
    tag = _parse(wanted)
    if tag is None or not tag.language:
        return None
    from langcodes import standardize_tag

    codes = (tag.language, standardize_tag(tag.language, macro=True))
    return next(
        (code for code in (_WHISPER_CODES.get(code, code) for code in codes) if code in LANGUAGES), None
    )


def _parse(wanted: str) -> Any:
    """Return a tag in lower case as langcodes reads it, with its shortest codes; None if it is none."""
    from langcodes import Language, LanguageTagError

    try:
        return Language.get(_CHINESE_LABELS.get(wanted, wanted))
    except LanguageTagError:
        return None
