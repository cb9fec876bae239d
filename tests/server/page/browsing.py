"""A browser that looks at a server."""

import contextlib
import shutil

from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
MINUTE = 60_000  # milliseconds


@contextlib.contextmanager
def browsing():
    """Give a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(context, address, model):
    """Return a page that shows a model."""
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    page.goto(f"{address}/#{model}")
    page.wait_for_selector("#ask:not([hidden])")
    return page


def generate(page, seed=7, **fields):
    """Fill in fields by their ids, press the button, and wait until the last step is shown."""
    for name, value in {"seed": seed, **fields}.items():
        field = page.locator(f"#{name}")
        choice = field.evaluate("each => each.tagName") == "SELECT"
        (field.select_option if choice else field.fill)(str(value))
    page.click("#run")
    settled(page)


def settled(page):
    """Wait until nothing runs and nothing is replayed."""
    page.wait_for_selector("#run:not(.stop)")
    page.wait_for_selector("#play:not(.playing)", state="attached")


def seek(page, step):
    """Put the slider at a step."""
    move = "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }"
    page.locator("#slider").evaluate(move, step)
