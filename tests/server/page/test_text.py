"""A text in the page: tokens in place, their colours, the replay, and the card of a token."""

import json
import math
import urllib.request

import pytest

pytest.importorskip("playwright")

from tests.server.conftest import serving
from tests.server.page.browsing import generate, opened, seek, settled

from unmask.server.served import Served
from unmask.server.settings import Settings

FILL = "O Romeo, wherefore art thou[MASK:12], my love?"


def asked(page, press):
    """Return the bodies of the requests that `press()` leads to."""
    bodies = []
    page.on(
        "request",
        lambda each: each.method == "POST" and bodies.append((each.url, each.post_data_json)),
    )
    press()
    return bodies


def answered(url, body):
    """Return the answer to a request, not streamed."""
    whole = {key: value for key, value in body.items() if key not in ("stream", "stream_mode")}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(whole).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def shown(page, lane=0):
    """Return the text of a lane as a reader sees it, with ▒ for each unknown token."""
    script = """lane => [...lane.querySelectorAll('.token')].map(token => {
        const text = token.textContent.replaceAll('↵', '');
        return token.classList.contains('unknown') ? '▒' : text;
    }).join('')"""
    return page.locator(".lane").nth(lane).evaluate(script)


def test_masks_are_filled_in_place(open_page):
    page = open_page("shakespeare")
    [(url, body)] = asked(page, lambda: generate(page, prompt=FILL))
    assert url.endswith("/v1/infill")
    assert body["text"] == FILL
    [choice] = answered(url, body)["choices"]
    assert shown(page) == choice["text"]
    assert shown(page).startswith("O Romeo, wherefore art thou")
    assert shown(page).endswith(", my love?")
    assert page.locator(".token:not(.given)").count() == 12
    assert page.locator("#tokens").is_hidden()  # the prompt says how many


def test_a_prompt_without_masks_goes_on(open_page):
    page = open_page("shakespeare")
    page.fill("#prompt", "KING HENRY:\nThe night is")
    [(url, body)] = asked(page, lambda: generate(page, tokens=20))
    assert (url.rsplit("/v1/")[-1], body["max_tokens"]) == ("completions", 20)
    [choice] = answered(url, body)["choices"]
    assert shown(page).rstrip("\n") == choice["text"].rstrip("\n")
    assert page.locator(".prompt-text").text_content() == "KING HENRY:\nThe night is"


def test_a_model_that_talks_is_asked_as_in_a_chat(context, texts):
    model = Served.of("bytes", texts["bytes"].denoiser, Settings(), text=texts["bytes"])
    with serving([model]) as address:
        page = opened(context, address, "bytes")
        page.fill("#prompt", "who?")
        [(url, body)] = asked(page, lambda: generate(page, tokens=9, steps=3))
        assert url.endswith("/v1/chat/completions")
        assert body["messages"] == [{"role": "user", "content": "who?"}]
        content = answered(url, body)["choices"][0]["message"]["content"]
        assert content in page.get_by_role("status").text_content()
        assert page.locator(".token:not(.unknown)").count() >= 9
        page.locator(".token").first.hover()
        assert page.locator("#card .share").count() >= 5


def test_the_slider_shows_each_step_again(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=6)
    final = shown(page)
    assert page.locator("#slider").get_attribute("max") == "6"
    unknown = []
    for step in range(7):
        seek(page, step)
        unknown.append(shown(page).count("▒"))
        assert all(part in final for part in shown(page).split("▒"))
    assert unknown[0] == 12
    assert unknown[-1] == 0
    assert unknown == sorted(unknown, reverse=True)
    assert shown(page) == final


def test_a_replay_moves_no_token(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL)
    places = "list => [...list.children].map(each => each.getBoundingClientRect().left)"
    after = page.locator(".tokens").evaluate(places)
    seek(page, 2)
    assert page.locator(".tokens").evaluate(places) == after


def test_play_begins_again_and_ends_at_the_last_step(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=8)
    page.click("#play")
    page.wait_for_selector("#play.playing[aria-label='Pause']")
    page.wait_for_selector("#play[aria-label='Replay']:not(.playing)")
    assert page.locator("#place").text_content() == "8 / 8"


def shades(page, which=".token:not(.given)"):
    script = "list => list.map(each => parseFloat(each.style.getPropertyValue('--shade')))"
    return page.locator(which).evaluate_all(script)


def test_colours_tell_the_step_or_the_confidence(open_page):
    page = open_page("shakespeare")
    [(url, body)] = asked(page, lambda: generate(page, prompt=FILL, steps=4))
    record = answered(url, {**body, "return_record": True})["choices"][0]["record"]
    places = page.locator(".token").evaluate_all(
        "list => list.flatMap((each, i) => each.classList.contains('given') ? [] : [i])"
    )
    steps = [record["commit_step"][place] for place in places]
    by_step = shades(page)
    assert len(set(steps)) == 4
    assert sorted(range(12), key=lambda i: (steps[i], i)) == sorted(
        range(12), key=lambda i: (-by_step[i], i)
    )
    page.locator("label", has_text="Confidence").click()
    nats = [-record["logprob"][place] for place in places]
    assert shades(page) == pytest.approx([10 + 52 * min(1, each / 6) for each in nats], abs=0.06)
    page.locator("label", has_text="None").click()
    assert all(map(math.isnan, shades(page)))


def test_the_legend_is_of_the_colours(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL, steps=4)
    legend = page.locator("#legend")
    assert legend.text_content() == "first steplast step"
    by_step = shades(page, "#legend i")
    page.locator("label", has_text="Confidence").click()
    assert legend.text_content() == "certainunsure"
    by_confidence = shades(page, "#legend i")
    assert by_confidence == sorted(set(by_confidence)) == by_step[::-1]
    assert (by_confidence[0], by_confidence[-1]) == (10, 62)
    page.locator("label", has_text="None").click()
    assert legend.text_content() == ""


def test_what_the_steps_cost_is_told(open_page):
    page = open_page("shakespeare")
    [(url, body)] = asked(page, lambda: generate(page, prompt=FILL, steps=6))
    [choice] = answered(url, body)["choices"]
    facts = page.locator(".facts span")
    nats = f"log p −{-choice['logprob']:.1f}"
    assert facts.all_text_contents() == ["12 of 12 tokens", "6 passes", "2.0 a pass", nats]
    seek(page, 1)
    assert facts.all_text_contents()[:2] == ["2 of 12 tokens", "1 pass"]
    assert page.locator("#place").text_content() == "1 / 6"


def test_escape_stops_a_run(open_page):
    page = open_page("shakespeare")
    page.route("**/v1/infill", lambda route: None)  # that is never answered
    page.fill("#prompt", FILL)
    page.click("#run")
    assert page.locator("#run").text_content() == "Stop"
    page.keyboard.press("Escape")
    page.get_by_role("status").get_by_text("Stopped").wait_for(state="attached")
    assert page.locator("#run").text_content() == "Unmask"
    assert page.get_by_role("alert").is_hidden()


def test_a_token_tells_what_else_could_stand_there(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL)
    card = page.locator("#card")
    assert card.is_hidden()
    page.locator(".token:not(.given)").nth(3).hover()
    shares = [
        float(each.split()[0].strip("<")) for each in card.locator(".share").all_text_contents()
    ]
    assert len(shares) >= 5
    assert 0 < sum(shares) <= 100.5
    assert card.locator("li.chosen").count() == 1
    assert "Step" in card.locator(".when").text_content()
    page.mouse.move(2, 2)
    assert card.is_hidden()


def test_tokens_are_looked_at_by_keys(open_page):
    page = open_page("shakespeare")
    generate(page, prompt=FILL)
    tokens = page.locator(".tokens")
    tokens.focus()
    given = page.locator(".token.given").first.text_content()
    assert page.locator("#card").text_content() == "Given"
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    chosen = page.locator(".token[aria-selected='true']")
    assert chosen.get_attribute("id") == tokens.get_attribute("aria-activedescendant")
    assert chosen.text_content() != given
    assert "step" in chosen.get_attribute("aria-label")
    assert "others:" in chosen.get_attribute("aria-label")
    page.keyboard.press("Escape")
    assert page.locator("#card").is_hidden()


def test_two_presets_stand_side_by_side_on_one_seed(open_page):
    page = open_page("shakespeare")
    page.check("#compare")
    page.select_option("#rival", "maskgit")
    bodies = asked(page, lambda: generate(page, seed="", prompt=FILL))
    assert [body["preset"] for _, body in bodies] == ["random_order", "maskgit"]
    assert len({body["seed"] for _, body in bodies}) == 1
    for lane, (url, body) in enumerate(bodies):
        assert shown(page, lane) == answered(url, body)["choices"][0]["text"]
    kept = page.locator("#keep")
    assert kept.text_content() == f"keep {bodies[0][1]['seed']}"
    kept.click()
    assert page.locator("#seed").input_value() == str(bodies[0][1]["seed"])
    page.click("#run")
    settled(page)
    assert bodies[2:] == bodies[:2]
