"""The page in trouble: a server that is away, edits in the middle of a run, markup in texts."""

import json
from collections import Counter

import pytest

pytest.importorskip("playwright")

from tests.server.conftest import serving
from tests.server.page.browsing import generate, opened
from tests.server.page.test_grids import levels, typed
from tests.server.page.test_text import FILL, asked, shown

import unmask
from unmask.server.served import Served
from unmask.server.settings import Settings

MARKUP = "<img src='/page/none' onerror='window.hit = 1'>"
OBSERVE = """() => {
    window.said = [];
    const live = document.querySelector('[role=alert]');
    const hear = () => window.said.push(live.textContent);
    new MutationObserver(hear).observe(live, { childList: true });
}"""


def test_the_page_waits_for_a_server_that_is_away(context, open_page, address):
    page = open_page("shakespeare")
    page.fill("#prompt", FILL)
    page.evaluate(OBSERVE)
    failed = Counter()
    page.on("requestfailed", lambda asked: failed.update([asked.url]))
    context.set_offline(True)
    page.click("#run")
    words = "The server does not answer. Is it running?"
    page.get_by_text(words).wait_for()
    while failed[f"{address}/v1/models"] < 2:
        page.wait_for_timeout(50)
    context.set_offline(False)
    page.get_by_role("alert").wait_for(state="hidden")
    assert page.evaluate("window.said") == [words, ""]  # not at each attempt
    assert page.locator("#prompt").input_value() == FILL
    generate(page)
    assert "▒" not in shown(page)
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in context.complaints)
    context.complaints.clear()


def test_models_are_asked_for_until_they_are_there(context, address):
    page, attempts = context.new_page(), []

    def answer(route):
        attempts.append(route)
        route.abort() if len(attempts) < 3 else route.continue_()

    page.route("**/v1/models", answer)
    page.goto(address)
    page.wait_for_selector("#ask:not([hidden])")
    assert len(attempts) == 3
    assert page.get_by_role("alert").is_hidden()
    context.complaints.clear()


def test_models_that_have_changed_are_offered(open_page):
    page = open_page("digits")
    generate(page, steps=4)
    drawn = levels(page)

    def fewer(route):
        answer = route.fetch()
        kept = [each for each in answer.json()["data"] if each["id"] != "digits"]
        route.fulfill(json={"data": kept})

    page.evaluate("location.hash = 'nothing'")  # the models are asked for again
    page.wait_for_url("**/#digits")
    assert levels(page) == drawn
    page.route("**/v1/models", fewer)
    page.evaluate("location.hash = 'nothing'")
    page.wait_for_url("**/#shakespeare")
    assert page.locator("input[name=model]").count() == 3
    page.evaluate("location.hash = 'sudoku'")
    page.wait_for_selector(".board")
    assert page.locator("input[name=model]:checked").get_attribute("value") == "sudoku"


def test_an_address_that_is_no_text(context, address):
    page = context.new_page()
    page.goto(f"{address}/#%E0%A4%A")
    page.wait_for_selector("#ask:not([hidden])")
    assert page.locator("input[name=model]:checked").get_attribute("value") == "shakespeare"


def test_an_edit_ends_what_runs(open_page):
    page = open_page("shidoku")
    page.route("**/v1/infill", lambda route: None)  # that is never answered
    page.get_by_role("button", name="Example").click()
    page.click("#run")
    assert page.locator("#run").text_content() == "Stop"
    cell = page.locator(".cell input").nth(1)
    cell.press("3")
    assert cell.input_value() == ""  # what runs is not changed
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#run").text_content() == "Solve"
    assert typed(page) == [""] * 16
    cell.press("3")
    assert cell.input_value() == "3"
    assert page.get_by_role("alert").is_hidden()


def test_one_brush_erases_in_both_lanes(open_page):
    page = open_page("digits")
    page.check("#compare")
    generate(page, steps=4)
    page.fill("#brush", "1")
    second = page.locator(".lane").nth(1).locator(".pixel").first
    second.focus()
    second.press(" ")
    assert [i for i, level in enumerate(levels(page)) if level is None] == [0, 64]


def streamed(text):
    """A stream of one token of this text, which stands beside another of the same."""
    choice = {"token": 1, "text": text, "logprob": -1.0}
    step = {
        "type": "step", "index": 0, "step": 1, "forwards": 1, "positions": [1], "tokens": [1],
        "text": [text], "logprobs": [-1.0], "remasked": [], "edited": [], "snapshot": text,
        "alternatives": [[choice, {**choice, "token": 2}]],
    }  # fmt: skip
    row = {"index": 0, "length": 2, "tokens": [5, None], "text": [text, None]}
    start = {"type": "start", "id": "1", "model": "m", "seed": 1, "preset": text, "rows": [row]}
    end = {"type": "end", "response": {"choices": [{"text": text}]}}
    lines = [f"data: {json.dumps(each)}\n\n" for each in (start, step, end)]
    return "".join([*lines, "data: [DONE]\n\n"])


def renamed(route):
    answer = route.fetch().json()
    answer["data"][0]["id"] = MARKUP
    route.fulfill(json=answer)


def test_markup_is_shown_as_it_is_written(context, address):
    page = context.new_page()
    page.route("**/v1/models", renamed)
    page.goto(address)
    page.wait_for_selector("#ask:not([hidden])")
    assert page.locator("#models").get_by_text(MARKUP).is_visible()
    page.route(
        "**/v1/infill",
        lambda route: route.fulfill(content_type="text/event-stream", body=streamed(MARKUP)),
    )
    generate(page, prompt=f"{MARKUP}[MASK]")
    assert shown(page) == MARKUP * 2
    page.locator(".token").last.hover()
    assert page.locator("#card .word").all_text_contents() == [MARKUP.replace(" ", "␣")] * 2
    page.get_by_text("Show the request").click()
    assert MARKUP in page.locator("#snippets pre").last.text_content()
    error = {"error": {"message": MARKUP, "code": None}}
    page.unroute("**/v1/infill")
    page.route("**/v1/infill", lambda route: route.fulfill(status=400, json=error))
    page.click("#run")
    page.get_by_role("alert").get_by_text(MARKUP).wait_for()
    assert page.locator("img").count() == 1  # the mark of the page
    assert page.evaluate("window.hit") is None
    [complaint] = context.complaints
    assert "400" in complaint
    context.complaints.clear()


def test_a_strategy_of_the_models_own_has_no_preset(context, texts):
    text = texts["bytes"]
    strategy = unmask.presets.maskgit(steps=3).but(name="house")
    own = unmask.TextModel(text.denoiser, text.encoding, strategy=strategy)
    with serving([Served.of("own", own.denoiser, Settings(), text=own)]) as address:
        page = opened(context, address, "own")
        assert page.locator("#preset option:checked").text_content() == "the model's own"
        assert page.locator("#steps").is_disabled()
        [(_, body)] = asked(page, lambda: generate(page, prompt="the [MASK:5] sat"))
        assert not {"preset", "steps", "options"} & set(body)
        assert page.locator(".lane h2").text_content() == "house"
        assert page.locator("#slider").get_attribute("max") == "3"
        [(_, body)] = asked(page, lambda: generate(page, preset="llada", steps=2))
        assert (body["preset"], body["steps"]) == ("llada", 2)
