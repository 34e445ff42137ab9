"""A page of Chromium for the tests of the review page; a module's `server` is the service that it asks."""

import pytest

from tests.browser import watch
from tests.service.review.review_browser import PATIENCE_MS


@pytest.fixture
def page(server, browser):
    """A page that must send requests to its own server only, and cause no error or warning."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, base_url=server.url, locale="en-US")
    page.set_default_timeout(PATIENCE_MS)
    page.problems = watch(page, server.url, console=("error", "warning"))
    yield page
    page.close()
    assert page.problems == []
