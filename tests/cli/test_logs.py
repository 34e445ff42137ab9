import logging
from contextlib import suppress

import pytest

from yivideo_pipeline.cli.logs import OLD_FILES, rotating_handler
from yivideo_pipeline.errors.tree import DiskError

TOKEN = "hf_" + "abcDEF123" * 3


@pytest.fixture
def log(tmp_path):
    handler = rotating_handler(tmp_path / "logs", "test.log")
    logger = logging.Logger("test")
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_secrets_are_kept_out_even_of_tracebacks(log, tmp_path):
    try:
        raise ValueError(f"https://user:{TOKEN}@host/")
    except ValueError:
        log.exception("with %s", TOKEN)
    text = (tmp_path / "logs" / "test.log").read_text()
    assert "Traceback" in text
    assert TOKEN not in text


def test_names_that_are_not_utf8_can_be_logged(log, tmp_path):
    log.error("broken \udce9 name")
    assert "broken" in (tmp_path / "logs" / "test.log").read_text()


def test_the_log_does_not_grow_for_ever(log, tmp_path):
    log.handlers[0].maxBytes = 1000
    for _ in range(50):
        log.error("x" * 400)
    files = list((tmp_path / "logs").iterdir())
    assert len(files) == 1 + OLD_FILES
    assert all(file.stat().st_size <= 1000 for file in files)


def test_a_log_that_cannot_be_written_is_reported_plainly(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="can't be written"):
        rotating_handler(tmp_path / "file", "test.log")


def test_a_log_on_a_full_disk_is_complained_of_once_and_in_one_line(tmp_path, capsys):
    (tmp_path / "full.log").symlink_to("/dev/full")
    handler = rotating_handler(tmp_path, "full.log")
    for number in range(3):
        handler.handle(logging.makeLogRecord({"msg": f"line {number}", "levelno": logging.ERROR}))
    with suppress(OSError):  # what is left in its buffer can't be written either
        handler.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("full.log can't be written (No space left on device).")
