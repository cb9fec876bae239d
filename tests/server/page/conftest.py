"""A server of the bundled models, started once for the tests of this folder, and a browser."""

import importlib.util

import pytest

HAS_PLAYWRIGHT = importlib.util.find_spec("playwright") is not None
BUNDLED = ("shakespeare", "digits", "sudoku", "shidoku")


@pytest.fixture(scope="package")
def served():
    from unmask.server.served import Served
    from unmask.server.settings import Settings

    return [Served.open(name, Settings()) for name in BUNDLED]


@pytest.fixture(scope="package")
def address(served):
    """Where the bundled models are served."""
    if not HAS_PLAYWRIGHT:
        pytest.skip("needs playwright: pip install playwright")
    from tests.server.conftest import serving

    with serving(served) as found:
        yield found


@pytest.fixture(scope="module")  # its event loop must not run in the tests of another file
def browser():
    if not HAS_PLAYWRIGHT:
        pytest.skip("needs playwright: pip install playwright")
    from tests.server.page.browsing import CHROMIUM, browsing

    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    with browsing() as found:
        yield found


@pytest.fixture
def context(browser, request):
    """A fresh profile. Whatever the browser complains of, or loads from elsewhere, is a failure."""
    usual = {"viewport": {"width": 1180, "height": 900}, "reduced_motion": "reduce"}
    complaints = []
    found = browser.new_context(**{**usual, **getattr(request, "param", {})})
    found.on(
        "console", lambda said: said.type in ("error", "warning") and complaints.append(said.text)
    )
    found.on("weberror", lambda error: complaints.append(str(error.error)))
    found.on("request", lambda asked: "127.0.0.1" in asked.url or complaints.append(asked.url))
    found.complaints = complaints
    yield found
    found.close()
    assert not complaints


@pytest.fixture
def open_page(context, address):
    """Open a page of a model; `open_page("digits")`."""
    from tests.server.page.browsing import opened

    return lambda model: opened(context, address, model)
