"""Pictures of the page for the documents, from a server of the bundled models.

python -m tests.server.page.screenshots docs/images
"""

import sys
from pathlib import Path

from tests.server.conftest import serving
from tests.server.page.browsing import browsing, generate, opened, seek

from unmask.server.served import Served
from unmask.server.settings import Settings

WIDE = {"viewport": {"width": 1160, "height": 860}}
PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2, "is_mobile": True}
SEED = 79


def text(page):
    """A text in the middle of its steps, and what else could stand at one token."""
    generate(page, seed=SEED)
    seek(page, 9)
    if page.viewport_size["width"] < 500:
        page.locator(".tokens").evaluate("each => each.scrollIntoView({ block: 'center' })")
    page.locator(".token:not(.unknown):not(.given)").nth(2).hover()


def digits(page):
    """A digit whose lower part is filled in anew."""
    generate(page, seed=4, condition=3)
    page.get_by_role("button", name="Erase lower half").click()
    generate(page, seed=6)
    seek(page, 12)
    page.locator("#place").click()


def sudoku(page):
    """A puzzle, each cell shaded by the step that settled it."""
    page.get_by_role("button", name="Example").click()
    generate(page, seed=SEED)
    page.locator("#place").click()


def dark(page):
    """Two presets side by side on one seed, shaded by how surely tokens were drawn."""
    page.check("#compare")
    page.select_option("#rival", "maskgit")
    generate(page, seed=SEED)
    page.locator("label", has_text="Confidence").click()


PICTURES = {
    "text": ("shakespeare", text, WIDE),
    "digits": ("digits", digits, WIDE),
    "sudoku": ("sudoku", sudoku, WIDE),
    "phone": ("shakespeare", text, PHONE),
    "dark": ("shakespeare", dark, {**WIDE, "color_scheme": "dark"}),
}


def main(folder):
    """Write the pictures into a folder."""
    models = [
        Served.open(name, Settings()) for name in ("shakespeare", "digits", "shidoku", "sudoku")
    ]
    with serving(models) as address, browsing() as browser:
        for name, (model, prepare, options) in PICTURES.items():
            context = browser.new_context(reduced_motion="reduce", **options)
            page = opened(context, address, model)
            prepare(page)
            path = folder / f"page-{name}.png"
            page.screenshot(path=path, full_page=name == "phone")
            print(path, path.stat().st_size, "bytes")
            context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
