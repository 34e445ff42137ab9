"""The programs of `yivideo up` as they are started, without starting them."""

import pytest

from yivideo_pipeline.cli import up
from yivideo_pipeline.settings.load import load_settings


@pytest.mark.parametrize("host", [up.HOST, up.ANY_HOST])
def test_the_ui_listens_where_it_is_told_and_is_asked_on_this_machine(host, tmp_path, monkeypatch):
    started: list[list[str]] = []
    monkeypatch.setattr(up, "SupervisedProgram", lambda _name, command, *_rest: started.append(command))
    settings = load_settings(None, {"YIVIDEO_HOME": str(tmp_path)})
    programs = up.Programs(settings, None, (host, 3456), tmp_path)
    programs.webserver()
    [command] = started
    assert command[command.index("--host") + 1] == host
    assert command[command.index("--port") + 1] == "3456"
    assert programs.url == "http://127.0.0.1:3456"
