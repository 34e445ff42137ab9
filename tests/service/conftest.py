from collections.abc import Generator

import pytest

from tests.service.server import KEY, Server, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory, model_dir, tiny_weights) -> Generator[Server]:
    """One service for all tests that leave it as it was."""
    with run_server(tmp_path_factory.mktemp("service"), model_dir) as running:
        yield running


@pytest.fixture(scope="session")
def locked_server(tmp_path_factory, model_dir, tiny_weights) -> Generator[Server]:
    """A service that requires a key, and allows the folder `media` beside its home."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "media").mkdir()
    (folder / "home").mkdir()
    (folder / "home" / "config.yml").write_text(f"service:\n  roots: [{folder / 'media'}]\n")
    with run_server(folder / "home", model_dir, YIVIDEO_SERVICE__API_KEY=KEY) as running:
        yield running


@pytest.fixture(scope="session")
def one_slot_server(tmp_path_factory, model_dir, tiny_weights) -> Generator[Server]:
    """A service that admits one request at once."""
    home = tmp_path_factory.mktemp("one-slot")
    with run_server(home, model_dir, YIVIDEO_SERVICE__MAX_REQUESTS="1") as running:
        yield running
