from collections.abc import Generator

import pytest

from tests.service.pages.filled_library import run_filled_server
from tests.service.server import Server


@pytest.fixture(scope="module")
def filled(tmp_path_factory, model_dir, tiny_weights) -> Generator[Server]:
    """A service over a library of processed videos."""
    with run_filled_server(tmp_path_factory.mktemp("pages"), model_dir) as server:
        yield server
