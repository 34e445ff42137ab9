"""The address of a database: where it may stand, and that it is never shown."""

import pytest

from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError
from yivideo_pipeline.settings.database import find_database, publish_database
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.show import describe_settings

URL = "postgresql+psycopg2://ann:geheim@db.example.org:5433/yivideo"


def settings(home, **variables: str):
    return load_settings(
        environ={
            "YIVIDEO_HOME": str(home),
            **{f"YIVIDEO_STORAGE__DATABASE_{name}": text for name, text in variables.items()},
        }
    )


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_an_address_gets_the_driver_that_dagster_has(home, scheme):
    given = settings(home, URL=f"{scheme}://ann:geheim@db.example.org:5433/yivideo")
    assert given.storage.read_database_url().get_secret_value() == URL


def test_without_one_there_is_sqlite(home):
    assert settings(home).storage.read_database_url() is None


@pytest.mark.parametrize(
    "wrong",
    ["geheim", "mysql://ann:geheim@db/yivideo", "postgresql://ann:ge/heim@db/yivideo", "postgresql://db"],
)
def test_a_wrong_address_is_refused_without_being_shown(home, wrong):
    with pytest.raises(ConfigValidationError, match="is no address of a PostgreSQL database") as refused:
        settings(home, URL=wrong)
    assert not [part for part in ("geheim", "heim@", "ann") if part in str(refused.value)]


def test_it_may_stand_in_a_file_of_the_home_and_is_not_shown(home):
    (home / "secret").write_text(f"{URL}\n")
    given = settings(home, URL_FILE="secret")
    assert given.storage.read_database_url().get_secret_value() == URL
    rows = [*describe_settings(given), *describe_settings(settings(home, URL=URL))]
    assert not [row for row in rows if "geheim" in row.value]


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "can't be read"), ("", "is empty"), ("db", "is no address")]
)
def test_a_file_without_an_address_is_refused(home, text, problem):
    if text is not None:
        (home / "secret").write_text(text)
    with pytest.raises(ConfigError, match=f"storage.database_url_file .*secret.* {problem}"):
        settings(home, URL_FILE="secret").storage.read_database_url()


def test_dagsters_programs_have_it_from_the_settings_of_their_home_unless_it_was_published(
    home, tmp_path, monkeypatch
):
    monkeypatch.setenv("YIVIDEO_STORAGE__DATABASE_URL_FILE", "secret")
    (home / "secret").write_text(URL)
    assert find_database(tmp_path / "other") is None
    monkeypatch.delenv("YIVIDEO_STORAGE__DATABASE_URL")
    assert find_database(home).get_secret_value() == URL
    publish_database(None)
    assert find_database(home) is None
