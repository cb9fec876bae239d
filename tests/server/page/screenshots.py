"""Pictures of the page for the documents, and a text that emerges, of the bundled models.

python -m tests.server.page.screenshots docs/images
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from tests.server.conftest import serving
from tests.server.page.browsing import browsing, generate, opened, seek

from unmask.server.served import Served
from unmask.server.settings import Settings

WIDE = {"viewport": {"width": 1160, "height": 940}}
PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2, "is_mobile": True}
MIDDLE = 16  # of the 24 steps of the example
SEED = 0  # the first; no picture is of a chosen one


def text(page):
    """A text in the middle of its steps, and what else could stand at the latest token."""
    generate(page, seed=SEED)
    seek(page, MIDDLE)
    page.locator(".token.fresh").hover()


def phone(page):
    """The same, on a screen as long as the page."""
    generate(page, seed=SEED)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": PHONE["viewport"]["width"], "height": height})
    seek(page, MIDDLE)
    page.locator(".token.fresh").tap()


def digits(page):
    """A digit whose lower part is filled in anew."""
    generate(page, seed=SEED, condition=3)
    page.get_by_role("button", name="Erase lower half").click()
    generate(page, seed=SEED)
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
    "phone": ("shakespeare", phone, {**PHONE, "has_touch": True}),
    "dark": ("shakespeare", dark, {**WIDE, "color_scheme": "dark"}),
}

TALL = {"viewport": {"width": 700, "height": 1400}}
STEPS, STEP_MS, FIRST_MS, LAST_MS = 36, 140, 700, 3000
MARGIN = 12


def emerging(page):
    """Return a frame for each step of a text that goes on."""
    page.get_by_role("button", name="Go on").click()
    generate(page, seed=SEED, tokens=72, steps=STEPS)
    box = page.locator("#result").bounding_box()
    box = {"x": box["x"] - MARGIN, "y": box["y"] - MARGIN,
           "width": box["width"] + 2 * MARGIN, "height": box["height"] + 2 * MARGIN}  # fmt: skip
    page.mouse.move(2, 2)
    frames = []
    for step in range(STEPS + 1):
        seek(page, step)
        frames.append(Image.open(BytesIO(page.screenshot(clip=box))).convert("RGB"))
    return frames


def save_gif(frames, path):
    """Write frames as an endless GIF, of one palette, so that what does not change is the same."""
    wide, tall = frames[0].size
    strip = Image.new("RGB", (wide, tall * len(frames)))
    for number, frame in enumerate(frames):
        strip.paste(frame, (0, tall * number))
    strip = strip.quantize(64, dither=Image.Dither.NONE)
    images = [strip.crop((0, top, wide, top + tall)) for top in range(0, strip.height, tall)]
    times = [FIRST_MS, *[STEP_MS] * (len(images) - 2), LAST_MS]
    images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0)


def main(folder):
    """Write the pictures into a folder."""
    models = [
        Served.open(name, Settings()) for name in ("shakespeare", "digits", "shidoku", "sudoku")
    ]
    with serving(models) as address, browsing() as browser:

        def page_of(model, options):
            context = browser.new_context(reduced_motion="reduce", **options)
            return opened(context, address, model)

        for name, (model, prepare, options) in PICTURES.items():
            page = page_of(model, options)
            prepare(page)
            page.screenshot(path=folder / f"page-{name}.png")
            page.context.close()
        save_gif(emerging(page_of("shakespeare", TALL)), folder / "page.gif")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
