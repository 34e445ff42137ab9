"""Languages: those that Whisper knows, by code and by English name, and all forms of ISO 639 codes."""

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
    "mandarin": "zh",
    "burmese": "my",
    "castilian": "es",
    "farsi": "fa",
    "flemish": "nl",
}
_CODES_BY_TAG = {"cmn": "zh", "jv": "jw", "nb": "no", "fil": "tl", "iw": "he"}

_ISO_639_FORMS = (
    "af afr|am amh|ar ara|az aze|be bel|bg bul|bn ben|bs bos|ca cat|cs ces cze|cy cym wel|da dan|"
    "de deu ger|el ell gre|en eng|es spa|et est|eu eus baq|fa fas per|fi fin|fr fra fre|gl glg|gu guj|"
    "he heb iw|hi hin|hr hrv scr|hu hun|hy hye arm|id ind in|is isl ice|it ita|ja jpn|jv jav jw|"
    "ka kat geo|kk kaz|km khm|kn kan|ko kor|la lat|lo lao|lt lit|lv lav|mk mkd mac|ml mal|mn mon|"
    "mr mar|ms msa may zsm|my mya bur|ne nep|nl nld dut|no nor nb nob|nn nno|pa pan|pl pol|ps pus|"
    "pt por|ro ron rum|ru rus|sd snd|si sin|sk slk slo|sl slv|so som|sq sqi alb|sr srp scc|su sun|"
    "sv swe|sw swa|ta tam|te tel|tg tgk|th tha|tl tgl fil|tr tur|tt tat|uk ukr|ur urd|uz uzb|vi vie|"
    "yi yid ji|yo yor|yue|zh zho chi cmn"
)
"""Per language: its ISO 639-1 code, then its ISO 639-2 (T and B), 639-3 and withdrawn forms."""

_SHORTEST = {form: forms.split()[0] for forms in _ISO_639_FORMS.split("|") for form in forms.split()}


def find_language(name: str) -> str | None:
    """Return Whisper's code for a code, an English name or a regional tag (`zh-TW`, `pt_BR`), else None."""
    wanted = name.strip().lower()
    if wanted in LANGUAGES:
        return wanted
    tag = wanted.replace("_", "-").split("-")[0]
    return _CODES_BY_NAME.get(wanted) or _CODES_BY_TAG.get(tag) or (tag if tag in LANGUAGES else None)


def normalize_language(code: str) -> str:
    """Return the shortest form of a code: `eng`, `EN` and `en-GB` all become `en`.

    A code that the table lacks is returned in lower case, without its region.
    """
    primary = code.strip().lower().replace("_", "-").split("-")[0]
    return _SHORTEST.get(primary, primary)
