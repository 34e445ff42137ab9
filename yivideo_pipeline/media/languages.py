"""Language codes as containers write them, brought to one form."""

_FORMS = (
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

_SHORT = {form: forms.split()[0] for forms in _FORMS.split("|") for form in forms.split()}


def normalize_language(code: str) -> str:
    """Bring a code to its shortest form: `eng`, `EN` and `en-GB` all become `en`.

    A code that the table lacks comes back in lower case, without its region.
    """
    primary = code.strip().lower().replace("_", "-").split("-")[0]
    return _SHORT.get(primary, primary)
