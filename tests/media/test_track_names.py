import pytest

from yivideo_pipeline.media.track_names import is_side_track

SIDE_TRACKS = """
Audio Description; Audio-Description; English (AD); Descriptive Audio; Described Video; DVS
For the visually impaired; Audiodeskription; Hörfilmfassung; Audiodescription; Audiodescripción
Audiodescrizione; Audiodescrição; Audiodeskrypcja; Audiopopis; Syntolkning; Synstolkning
Kuvailutulkkaus; Тифлокомментарий; Sesli Betimleme; 口述影像; 音声解説; 副音声; 화면해설
Director's Comments; Director's Commentary; Commentaires du réalisateur; Comentarios del director
Comentário; Commento del regista; Audiokommentar; Komentarz reżysera; Komentář; Kommenttiraita
Комментарий режиссёра; 导演评论; 評論音軌; オーディオコメンタリー; 감독 코멘터리
Isolated Score; Music & Effects; Karaoke; 伴奏
"""
PROGRAMME = """
English Stereo; Surround 5.1; Main; Director's Cut; Français VFF; Español (Latino); 国语; 粤语
日本語 5.1; Tiếng Việt; VI; Adagio; Document; Community; original soundtrack; Dolby Atmos
"""


def titles(text):
    return [title for line in text.split("\n") for title in line.split("; ") if title]


@pytest.mark.parametrize("title", titles(SIDE_TRACKS))
def test_a_title_of_a_commentary_a_description_or_music_alone_is_known(title):
    assert is_side_track(title)
    assert is_side_track(title.upper())


@pytest.mark.parametrize("title", [*titles(PROGRAMME), "", None])
def test_a_title_of_the_programme_is_not_taken_for_one(title):
    assert not is_side_track(title)


@pytest.mark.parametrize("code", ["nar", "qad", "zxx"])
def test_a_code_of_narration_or_of_no_language_is_known(code):
    assert is_side_track("Stereo", code)
    assert not is_side_track("Stereo", "eng")
