from collections.abc import Generator

import pytest
from serving import Server, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory, model_dir, tiny_weights) -> Generator[Server]:
    """One service for all tests that leave it as it was."""
    with run_server(tmp_path_factory.mktemp("service"), model_dir) as running:
        yield running
