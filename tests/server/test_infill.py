"""POST /v1/infill: texts, images and boards with unknown positions."""

import json
import math

import httpx
import pytest
import torch
from tests.server.conftest import served, serving

import unmask
from unmask import Canvas, presets
from unmask.guidance import Guidance
from unmask.server.served import Served
from unmask.server.settings import Settings

PUZZLE = [[0, None, None, 3], [None] * 4, [1, None, None, None], [None, None, 2, None]]
ONE = {"text": "[MASK]"}
MODELS = ("digits", "shidoku", "shakespeare")


@pytest.fixture(scope="module")
def http(texts):
    bundled = [Served.open(name, Settings()) for name in MODELS]
    own = [served(name, text) for name, text in texts.items()]
    settings = Settings(max_length=300)
    with (
        serving([*bundled, *own], settings) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def ask(http, model, **body):
    found = http.post("/v1/infill", json={"model": model, "seed": 3, **body})
    assert found.status_code == 200, found.text
    return found.json()


def refused(http, model, param, said, **body):
    found = http.post("/v1/infill", json={"model": model, **body})
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert said in error["message"]


def direct(name, ids, strategy, seed=3, n=1, condition=None):
    """The record of the library, of rows with None where unknown."""
    network = unmask.load(name) if isinstance(name, str) else name
    tokens = torch.tensor([[0 if i is None else i for i in ids]] * n)
    unknown = torch.tensor([[i is None for i in ids]] * n)
    given = None if condition is None else torch.full((n,), condition)
    canvas = Canvas.infill(tokens, unknown, condition=given)
    return unmask.run(network, canvas, strategy, seed=seed)


def flat(grid):
    return [cell for line in grid for cell in line]


def test_a_board_keeps_its_givens_and_is_that_of_the_library(http):
    found = ask(http, "shidoku", grid=PUZZLE, n=3, return_record=True)
    record = direct("shidoku", flat(PUZZLE), None, n=3)
    assert found["object"] == "infill"
    assert found["preset"] == "confidence"
    assert (found["model"], found["seed"]) == ("shidoku", 3)
    for choice, row in zip(found["choices"], range(3), strict=True):
        assert choice["tokens"] == record.tokens[row].tolist() == flat(choice["grid"])
        for given, cell in zip(flat(PUZZLE), choice["tokens"], strict=True):
            assert given in (None, cell)
        assert choice["text"] is None
        assert choice["finish_reason"] == "stop"
        assert choice["logprob"] == pytest.approx(float(record.logprob[row].sum()), abs=1e-3)
        assert choice["record"]["commit_step"] == record.commit_step[row].tolist()
        assert choice["record"]["logprob"] == pytest.approx(record.logprob[row].tolist(), abs=1e-5)
        assert choice["record"]["steps"] == int(record.steps[row])
    unknown = flat(PUZZLE).count(None)
    assert found["usage"]["prompt_tokens"] == 16 - unknown
    assert found["usage"]["completion_tokens"] == 3 * unknown
    assert "record" not in ask(http, "shidoku", grid=PUZZLE)["choices"][0]
    assert (
        ask(http, "shidoku", ids=flat(PUZZLE))["choices"][0]["grid"] == found["choices"][0]["grid"]
    )


@pytest.mark.parametrize("condition", [None, 7])
def test_an_image_keeps_what_is_not_erased(http, condition):
    image = unmask.generate(unmask.load("digits"), batch_size=1, seed=1)[0].tolist()
    ids = [None if 16 <= i < 40 else level for i, level in enumerate(image)]
    grid = [ids[i : i + 8] for i in range(0, 64, 8)]
    strategy = presets.maskgit(steps=5)
    body = {"grid": grid, "preset": "maskgit", "steps": 5}
    [choice] = ask(http, "digits", **body, **({} if condition is None else {"condition": 7}))[
        "choices"
    ]
    record = direct("digits", ids, strategy, condition=condition)
    assert choice["tokens"] == record.tokens[0].tolist()
    assert [a for a, b in zip(choice["tokens"], ids, strict=True) if b is not None] == [
        i for i in ids if i is not None
    ]


def test_guidance_pushes_away_from_no_class(http):
    ids = [None] * 64
    [choice] = ask(
        http, "digits", ids=ids, condition=4, cfg_scale=2.0, preset="random_order", steps=6
    )["choices"]
    strategy = presets.random_order(6).but(guidance=Guidance(2.0, "from_conditional", -1))
    assert choice["tokens"] == direct("digits", ids, strategy, condition=4).tokens[0].tolist()


def test_texts_with_masks_are_filled_in_as_segments_and_ids_are(http, texts):
    model = texts["bytes"]
    encode = model.encoding.encode
    before, after = encode("the cat"), encode(" on the mat")
    ids = [*before, None, None, None, *after]
    strategy = model.requests.planning.plan(presets.confidence(3), closed=True)
    record = direct(model.denoiser, ids, strategy)
    ways = [
        {"text": "the cat[MASK:3] on the mat"},
        {"segments": [{"text": "the cat"}, {"mask": 2}, {"mask": 1}, {"ids": after}]},
        {"ids": ids},
    ]
    for way in ways:
        [choice] = ask(http, "bytes", **way, preset="confidence", steps=3)["choices"]
        assert choice["tokens"] == record.tokens[0].tolist()
        assert choice["text"] == model.encoding.decode(record.tokens[0].tolist())
        assert choice["grid"] is None


def test_the_tokens_around_a_text_are_put_there(http, texts):
    encoding = texts["bert"].encoding
    [choice] = ask(http, "bert", text="the [MASK] sat")["choices"]
    assert choice["tokens"][0] == encoding.around[0][0]
    assert choice["tokens"][-1] == encoding.around[1][0]
    assert not encoding.special & {choice["tokens"][2]}
    assert choice["text"].startswith("the")
    assert choice["text"].endswith(" sat")


def test_a_bundled_text_model_fills_in(http):
    [choice] = ask(http, "shakespeare", text="Good [MASK:2] my lord", steps=2)["choices"]
    assert choice["text"].startswith("Good")
    assert choice["text"].endswith("my lord")


def test_the_likeliest_ids_of_each_position_are_told(http):
    asked = {"grid": PUZZLE, "return_record": True, "preset": "maskgit", "steps": 4}
    [plain] = ask(http, "shidoku", **asked)["choices"]
    [choice] = ask(http, "shidoku", **asked, top_logprobs=4)["choices"]
    assert choice["tokens"] == plain["tokens"]
    assert "alternatives" not in plain
    for i, given in enumerate(flat(PUZZLE)):
        if given is not None:
            assert choice["alternatives"][i] is None
            continue
        found = {each["token"]: each["logprob"] for each in choice["alternatives"][i]}
        assert sorted(found) == [0, 1, 2, 3]
        assert [each["text"] for each in choice["alternatives"][i]] == [str(t + 1) for t in found]
        assert sum(map(math.exp, found.values())) == pytest.approx(1, abs=1e-4)
        of_token = found[choice["tokens"][i]]
        assert of_token == pytest.approx(choice["record"]["logprob"][i], abs=1e-5)


def events(http, model, **body):
    body = {"model": model, "seed": 3, "stream": True, **body}
    with http.stream("POST", "/v1/infill", json=body) as answer:
        assert answer.status_code == 200
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("more", [{}, {"preset": "remdm", "steps": 6}], ids=["plain", "remasking"])
def test_a_stream_tells_each_step_and_at_last_the_answer(http, more):
    body = {"grid": PUZZLE, "n": 2, "top_logprobs": 2, **more}
    start, *steps, end = events(http, "shidoku", **body)
    assert start["type"] == "start"
    assert [row["tokens"] for row in start["rows"]] == [flat(PUZZLE)] * 2
    rows = [list(row["tokens"]) for row in start["rows"]]
    for step in steps:
        row = rows[step["index"]]
        for place in step["remasked"]:
            row[place] = None
        for place, token, text in zip(step["positions"], step["tokens"], step["text"], strict=True):
            row[place] = token
            assert text == str(token + 1)
        assert [len(each) for each in step["alternatives"]] == [2] * len(step["positions"])
        assert step["snapshot"] is None
    assert end["type"] == "end"
    assert rows == [choice["tokens"] for choice in end["response"]["choices"]]
    plain = ask(http, "shidoku", **body)
    assert end["response"]["choices"] == plain["choices"]


def test_a_stream_of_a_text_has_snapshots(http, texts):
    _, *steps, end = events(http, "bytes", text="the [MASK:4] mat", preset="random_order", steps=4)
    assert len(steps) == 4
    assert "▒" in steps[0]["snapshot"]
    text = end["response"]["choices"][0]["text"]
    assert steps[-1]["snapshot"] == text.replace("\ufffd", "▒")


@pytest.mark.parametrize(
    ("model", "param", "said", "body"),
    [
        ("shidoku", "ids", "none given: pass one of", {}),
        ("shidoku", "ids", "text and ids given", {"text": "a", "ids": [None]}),
        ("shidoku", "text", "no text: pass ids, or grid", {"text": "1..4"}),
        ("shidoku", "grid", "pass 4 of 4 cells", {"grid": [[None] * 4] * 3}),
        ("shidoku", "grid", "has the id 9 at place 1", {"grid": [[None, 9, 0, 0], *PUZZLE[1:]]}),
        ("shidoku", "ids", "that is the mask id", {"ids": [4, *[None] * 15]}),
        ("shidoku", "ids", "nothing unknown", {"ids": [0] * 16}),
        ("shidoku", "ids", "contradicts itself", {"ids": [1, 1, *[None] * 14]}),
        ("shidoku", "condition", "has no classes", {"grid": PUZZLE, "condition": 1}),
        ("digits", "condition", "has classes 0 to 9", {"ids": [None] * 64, "condition": 10}),
        ("bytes", "grid", "no grid: pass ids", {"grid": [[None]]}),
        ("bytes", "text", "[MASK:0] names no number", {"text": "a [MASK:0]"}),
        ("bytes", "text", "this server takes 300", {"text": "a [MASK:200][MASK:200]"}),
        ("bytes", "segments", "this server takes 300", {"segments": [{"mask": 10**15}]}),
        ("bytes", "segments.0", "one of text, mask and ids", {"segments": [{}]}),
        ("bytes", "segments.0.maks", "did you mean 'mask'", {"segments": [{"maks": 1}]}),
        ("bytes", "n", "gives 128 at most", {"text": "[MASK]", "n": 129}),
        ("bytes", "sede", "did you mean 'seed'", {"text": "[MASK]", "sede": 3}),
        ("bytes", "stream_mode", "pass 'denoise'", {**ONE, "stream": True, "stream_mode": "text"}),
        ("bytes", "top_logprobs", "20", {"text": "[MASK]", "top_logprobs": 21}),
        ("bytes", None, "makes rows longer", {"text": "[MASK]", "preset": "daedal"}),
        ("canvases", "segments", "behind positions", {"segments": [{"mask": 2}, {"text": "b"}]}),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_in_names_the_field(http, model, param, said, body):
    refused(http, model, param, said, **body)
