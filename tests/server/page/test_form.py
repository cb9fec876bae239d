"""The form of the page: requests to copy, keys, what the server refuses, and stopping."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

pytest.importorskip("playwright")

from tests.server.conftest import serving
from tests.server.page.browsing import generate, opened, settled
from tests.server.page.test_text import FILL, asked, shown

import unmask
from unmask.server.gate import Gate, Phase
from unmask.server.operations import Operations
from unmask.server.served import Served
from unmask.server.settings import Settings


def snippets(page):
    return page.locator("#snippets pre").evaluate_all("list => list.map(each => each.textContent)")


def ran(command, **environment):
    """Return what a command prints."""
    given = {**os.environ, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=given, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "prompt", [FILL, 'He said: "It\'s\n\\ gone"[MASK:3]'], ids=["plain", "signs"]
)
def test_the_copied_requests_give_what_is_shown(open_page, prompt):
    page = open_page("shakespeare")
    generate(page, prompt=prompt, steps=3)
    curl, python = snippets(page)
    lines = [
        line[6:] for line in ran(["sh", "-c", curl + " -s"]).splitlines() if line[:6] == "data: "
    ]
    assert lines.pop() == "[DONE]"
    by_curl = [json.loads(line) for line in lines]
    program = ran([sys.executable, "-c", python])
    by_python = [eval(line, {}) for line in program.splitlines()]
    for events in (by_curl, by_python):
        assert [each["type"] for each in events] == ["start", "step", "step", "step", "end"]
        assert events[-1]["response"]["choices"][0]["text"] == shown(page)


def test_requests_are_copied(context, open_page, address):
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page = open_page("shidoku")
    generate(page, steps=4)
    for name, text in zip(("curl", "Python"), snippets(page), strict=True):
        page.get_by_role("button", name=f"Copy as {name}").click()
        page.wait_for_selector("#copies .done")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_options_of_a_preset_are_sent_where_they_differ_from_its_own(open_page):
    page = open_page("shakespeare")
    page.select_option("#preset", "dream")
    page.get_by_text("Options of the preset").click()
    page.get_by_label("temperature", exact=True).fill("0.5")
    page.get_by_label("top p").fill("0.9")
    [(_, body)] = asked(page, lambda: generate(page, prompt=FILL, steps=5))
    assert (body["preset"], body["steps"]) == ("dream", 5)
    assert body["options"] == {"temperature": 0.5, "top_p": 0.9}
    page.select_option("#preset", "threshold")
    assert page.locator("#steps").is_disabled()
    [(_, body)] = asked(page, lambda: generate(page))
    assert not {"steps", "options"} & set(body)


def test_what_the_server_refuses_is_told_in_its_words(context, open_page):
    page = open_page("shakespeare")
    words = "word " * 400
    with page.expect_response("**/v1/completions") as found:
        generate(page, prompt=words)
    told = page.get_by_role("alert")
    assert found.value.status == 400
    assert told.text_content() == found.value.json()["error"]["message"]
    assert page.locator("#result").is_hidden()
    generate(page, prompt=FILL)
    assert told.is_hidden()
    assert "▒" not in shown(page)
    [complaint] = context.complaints  # the browser notes each answer that is an error
    assert "400" in complaint
    context.complaints.clear()


def test_a_key_is_asked_for_and_kept_in_the_tab(context):
    settings = Settings(api_key="right-key")
    with serving([Served.open("shidoku", settings)], settings) as address:
        page = context.new_page()
        page.goto(f"{address}/#shidoku")
        field, told = page.get_by_label("API key"), page.get_by_role("alert")
        field.wait_for()
        assert "needs an API key" in told.text_content()
        field.fill("wrong")
        field.press("Enter")
        page.get_by_text("the API key is wrong").wait_for()
        field.fill("right-key")
        page.get_by_role("button", name="Use this key").click()
        page.wait_for_selector("#ask:not([hidden])")
        assert field.is_hidden()
        assert told.is_hidden()
        assert page.get_by_role("link", name="API").is_hidden()  # it would be refused
        generate(page, steps=4)
        assert not any("right-key" in text for text in snippets(page))
        curl, python = snippets(page)
        for command in (["sh", "-c", curl + " -s"], [sys.executable, "-c", python]):
            assert '"end"' in ran(command, UNMASK_API_KEY="right-key").replace("'", '"')
        page.reload()
        page.wait_for_selector("#ask:not([hidden])")
    assert ["401" in each for each in context.complaints] == [True, True]
    context.complaints.clear()


class Net(torch.nn.Module):
    """Logits that take some seconds a pass, and are no numbers from some pass on."""

    def __init__(self, seconds=0.0, whole=10_000):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(12, 12)
        self.seconds, self.left = seconds, whole

    def forward(self, tokens):
        time.sleep(self.seconds)
        self.left -= 1
        return self.table(tokens).cumsum(1) * (1 if self.left >= 0 else torch.nan)


def network(**options):
    return unmask.wrap(Net(**options).eval(), mask_id=11, vocab_size=12)


def test_what_goes_wrong_in_the_middle_is_told(context):
    # `wrap` tries the network with a few passes of its own.
    faulty = Served.of("faulty", network(whole=20), Settings())
    with serving([faulty]) as address:
        page = opened(context, address, "faulty")
        page.fill("#prompt", "3 1 [MASK:60] 2")
        generate(page, steps=60)
        told = page.get_by_role("alert").text_content()
        assert "NaN" in told or "finite" in told
        assert 0 < page.locator(".token.unknown").count() < 60
        assert page.locator("#run").text_content() == "Unmask"


def test_a_run_is_stopped_and_ids_are_shown(context):
    slow = Served.of("slow", network(seconds=0.05), Settings())
    with serving([slow]) as address:
        page = opened(context, address, "slow")
        page.fill("#prompt", "3 1 [MASK:400] 2")
        page.fill("#steps", "400")
        [(_, body)] = asked(page, lambda: page.click("#run"))
        assert body["ids"] == [3, 1, *[None] * 400, 2]
        page.wait_for_selector(".token:not(.unknown):not(.given)")
        page.get_by_role("button", name="Stop").click()
        settled(page)
        unknown = page.locator(".token.unknown").count()
        assert 0 < unknown < 400
        assert page.locator(".token.given").all_text_contents() == ["3 ", "1 ", "2 "]
        assert page.get_by_role("status").text_content() == "Stopped"
        until = time.monotonic() + 10
        while slow.worker.load.rows and time.monotonic() < until:
            time.sleep(0.05)
        assert slow.worker.load.rows == 0


def test_the_page_waits_for_models_that_are_being_loaded(context):
    operations = Operations(gate=Gate(Phase.LOADING))
    with serving([Served.open("shidoku", Settings())], operations=operations) as address:
        page = context.new_page()
        page.goto(address)
        page.get_by_text("the models are still being loaded").wait_for()
        operations.gate.ready()
        page.wait_for_selector("#ask:not([hidden])")
        assert page.get_by_role("alert").is_hidden()
    assert all("503" in each for each in context.complaints)
    context.complaints.clear()
