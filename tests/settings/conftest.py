import pytest

from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings


@pytest.fixture
def load(tmp_path):
    def from_text(text: str = "", **environ: str) -> Settings:
        file = tmp_path / "config.yml"
        file.write_text(text, encoding="utf-8")
        return load_settings(file, {"YIVIDEO_HOME": str(tmp_path / "home"), **environ})

    return from_text
