"""The page for everyone: by keys, by ear, on a phone, in the dark, and without motion."""

import pytest

pytest.importorskip("playwright")

from tests.server.page.browsing import generate, opened, seek, settled
from tests.server.page.test_text import FILL, shown

MODELS = ("shakespeare", "digits", "sudoku")
PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
MOVING = {"reduced_motion": "no-preference"}

NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, [tabindex]')]
    .filter(each => each.checkVisibility() && each.id !== 'result')
    .filter(each => !(each.ariaLabel || each.closest('button')?.innerText.trim()
        || [...(each.labels ?? [])].some(label => label.innerText.trim())))
    .map(each => each.outerHTML)"""


@pytest.mark.parametrize("model", MODELS)
def test_every_control_has_a_name(open_page, model):
    page = open_page(model)
    page.check("#compare")
    generate(page, steps=4) if model != "sudoku" else generate(page)
    page.get_by_text("Show the request").click()
    if page.locator("#more").is_visible():
        page.locator("#more summary").click()
    assert page.evaluate(NAMELESS) == []


def test_the_page_is_used_by_keys_alone(open_page):
    page = open_page("shakespeare")
    page.locator("input[name=model]:checked").focus()
    for key in ("ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.locator("input[name=model]:checked").get_attribute("value") == "shakespeare"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.keyboard.press("Control+A")
    page.keyboard.type("Thy[MASK:5] is")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".token")
    settled(page)
    assert "▒" not in shown(page)
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.role"))
    assert {"preset", "steps", "seed", "run", "listbox", "play", "slider"} <= set(reached)


@pytest.mark.parametrize("place", ["#prompt", "#preset", "#run", "#play", "#slider", ".tokens"])
def test_the_focus_is_seen(open_page, place):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=3)
    page.keyboard.press("Tab")  # so that the browser shows the focus
    page.locator(place).focus()
    style = "each => [getComputedStyle(each).outlineStyle, getComputedStyle(each).outlineWidth]"
    assert page.locator(place).evaluate(style) == ["solid", "2px"]


def test_the_result_can_be_skipped_to(open_page):
    page = open_page("sudoku")
    skip = page.locator(".skip")
    skip.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/#sudoku")
    assert page.evaluate("document.activeElement.id") == "result"
    assert page.locator(".board").is_visible()
    page.evaluate("location.hash = 'shakespeare'")
    page.wait_for_selector("#prompt-row:not([hidden])")
    assert skip.is_hidden()  # where there is no result yet


@pytest.mark.parametrize("context", [MOVING], indirect=True, ids=["moving"])
def test_the_result_is_announced_and_not_each_step(open_page):
    page = open_page("shakespeare")
    page.evaluate("""() => {
        window.said = [];
        const live = document.querySelector('[role=status]');
        new MutationObserver(() => window.said.push(live.textContent))
            .observe(live, { childList: true, characterData: true, subtree: true });
    }""")
    generate(page, prompt=FILL, steps=12)
    said = page.evaluate("window.said")
    assert said == ["Unmasking", f"random_order finished in 12 steps. {shown(page)}"]
    live = page.locator("[aria-live], [role=status], [role=alert], output")
    assert live.evaluate_all("list => list.map(each => each.id)") == ["problem", "status"]


def test_a_grid_is_read_cell_by_cell(open_page):
    page = open_page("shidoku")
    assert page.get_by_role("grid").get_by_role("row").count() == 4
    assert page.get_by_role("grid").get_by_role("gridcell").count() == 16
    assert page.get_by_role("textbox", name="row 2, column 3", exact=True).count() == 1


def test_the_slider_says_its_step(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=5)
    seek(page, 2)
    assert page.locator("#slider").get_attribute("aria-valuetext") == "step 2 of 5"


@pytest.mark.parametrize("context", [PHONE], indirect=True, ids=["phone"])
@pytest.mark.parametrize("model", MODELS)
def test_a_phone_shows_the_whole_width(open_page, model):
    page = open_page(model)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 375
    page.check("#compare")
    generate(page) if model == "sudoku" else generate(page, steps=6)
    assert page.evaluate(width) == 375
    page.get_by_text("Show the request").click()
    if model == "shakespeare":
        page.locator(".token:not(.given)").last.tap()
        assert page.locator("#card").is_visible()
    assert page.evaluate(width) == 375


CONTRASTS = """() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const place = document.body.appendChild(document.createElement('i'));
    const luminance = (colour) => {
        place.style.color = colour;
        canvas.fillStyle = getComputedStyle(place).color;
        canvas.fillRect(0, 0, 1, 1);
        const bytes = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        const parts = bytes.map((each) => each / 255)
            .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const contrast = (one, other) => {
        const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const pairs = {
        text: ['var(--ink)', 'var(--paper)'],
        quiet: ['var(--quiet)', 'var(--paper)'],
        surface: ['var(--ink)', 'var(--surface)'],
        button: ['var(--on-accent)', 'var(--accent)'],
        wrong: ['var(--wrong)', 'var(--paper)'],
        edge: ['var(--edge)', 'var(--paper)'],
        shaded: ['var(--ink)', 'color-mix(in oklab, var(--accent) 62%, var(--paper))'],
    };
    const found = Object.entries(pairs).map(([name, [one, other]]) => [name, contrast(one, other)]);
    place.remove();
    return Object.fromEntries(found);
}"""


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}],
    indirect=True,
    ids=["light", "dark"],
)
def test_text_stands_out_from_what_is_behind_it(open_page):
    found = open_page("shakespeare").evaluate(CONTRASTS)
    assert found.pop("edge") >= 3  # of fields
    assert min(found.values()) >= 4.5, found
    assert found["text"] >= 12


def test_paper_is_dark_where_that_is_preferred(browser, address):
    papers = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = opened(context, address, "digits")
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert papers == ["rgb(255, 254, 250)", "rgb(20, 22, 28)"]


def test_nothing_moves_where_that_is_preferred(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=12)
    animations = "() => document.getAnimations().length"
    assert page.evaluate(animations) == 0
    for step in (3, 7):
        seek(page, step)
        assert page.locator(".token.fresh").count() > 0
        assert page.evaluate(animations) == 0


@pytest.mark.parametrize("context", [MOVING], indirect=True, ids=["moving"])
def test_tokens_settle_softly_elsewhere(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=12)
    seek(page, 3)
    assert page.evaluate("() => document.getAnimations().length") > 0
