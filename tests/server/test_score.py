"""POST /v1/score: bound, exact and pseudo-likelihood, of texts and of ids."""

import math

import httpx
import pytest
import torch
from tests.server.conftest import served, serving

import unmask
from unmask import presets
from unmask.scoring import Bound, Ordered, PseudoLikelihood, score
from unmask.scoring.ordered import FROM_THE_LEFT
from unmask.server.served import Served
from unmask.server.settings import Settings

BOARD = [0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]


@pytest.fixture(scope="module")
def http(texts):
    models = [Served.open(name, Settings()) for name in ("shidoku", "digits")]
    models += [served(name, texts[name]) for name in ("bytes", "canvases")]
    with (
        serving(models, Settings(max_length=300)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def ask(http, model, **body):
    found = http.post("/v1/score", json={"model": model, "seed": 5, **body})
    assert found.status_code == 200, found.text
    return found.json()


WAYS = {
    "bound": ({}, Bound()),
    "samples": ({"samples": 3}, Bound(3)),
    "pseudo": ({"by": "pseudo"}, PseudoLikelihood()),
    "from the left": ({"by": "ordered"}, Ordered(FROM_THE_LEFT)),
    "of a preset": (
        {"by": "ordered", "preset": "random_order", "options": {"steps": 4}},
        Ordered(presets.random_order(4)),
    ),
}


def same(found, direct):
    assert found["object"] == "score"
    assert found["seed"] == 5
    assert found["kind"] == direct.kind
    assert found["tokens"] == direct.tokens
    assert found["nats"] == pytest.approx(float(direct.per_example[0]), abs=1e-4)
    assert found["nats_per_token"] == pytest.approx(direct.nats_per_token, abs=1e-5)
    assert found["bits_per_token"] == pytest.approx(direct.bits_per_token, abs=1e-5)
    assert found["standard_error"] == pytest.approx(direct.standard_error, abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [0, 5])
def test_ids_have_the_score_of_the_library(http, way, given):
    body, by = WAYS[way]
    network = unmask.load("shidoku")
    maskable = (torch.arange(16) >= given)[None]
    direct = score(network, torch.tensor([BOARD]), maskable, by=by, seed=5)
    same(ask(http, "shidoku", ids=BOARD[given:], given=BOARD[:given], **body), direct)


@pytest.mark.parametrize("way", WAYS)
def test_texts_have_the_score_of_the_library(http, texts, way):
    body, by = WAYS[way]
    direct = texts["bytes"].score(" sat on", "the cat", by=by, seed=5)
    same(ask(http, "bytes", text=" sat on", given="the cat", **body), direct)


def test_a_class_is_given_to_the_model(http):
    ids = unmask.generate(unmask.load("digits"), batch_size=1, seed=1)[0].tolist()
    nats = [
        ask(http, "digits", ids=ids, by="pseudo", **({} if c is None else {"condition": c}))["nats"]
        for c in (None, 1, 2)
    ]
    assert len(set(nats)) == 3


def test_a_single_token_is_scored_exactly(http):
    found = ask(http, "shidoku", ids=BOARD[15:], given=BOARD[:15])
    assert (found["kind"], found["tokens"], found["standard_error"]) == ("exact", 1, 0)
    assert (
        found["nats"] == ask(http, "shidoku", ids=BOARD[15:], given=BOARD[:15], by="pseudo")["nats"]
    )


def test_what_is_not_known_is_null(http):
    assert ask(http, "shidoku", ids=BOARD, samples=1)["standard_error"] is None


def test_a_seed_is_drawn_and_told(http):
    body = {"model": "shidoku", "ids": BOARD, "samples": 2}
    one, other = (http.post("/v1/score", json=body).json() for _ in range(2))
    assert one["seed"] != other["seed"]
    again = http.post("/v1/score", json={**body, "seed": one["seed"]}).json()
    assert math.isclose(again["nats"], one["nats"], abs_tol=1e-6)


@pytest.mark.parametrize(
    ("model", "param", "said", "body"),
    [
        ("shidoku", "text", "pass one of text and ids", {}),
        ("shidoku", "text", "pass one of text and ids", {"text": "a", "ids": [1]}),
        ("shidoku", "text", "no text: pass ids", {"text": "1234"}),
        ("shidoku", "given", "beside ids", {"ids": [1], "given": "1"}),
        ("shidoku", "ids", "the id 9", {"ids": [9]}),
        ("shidoku", "ids", "tokens: this server takes 300", {"ids": [0] * 301}),
        ("shidoku", "condition", "no classes", {"ids": BOARD, "condition": 0}),
        ("shidoku", "samples", "of by='bound'", {"ids": BOARD, "samples": 3, "by": "pseudo"}),
        ("shidoku", "samples", "takes 16384 at most", {"ids": BOARD, "samples": 10**9}),
        ("shidoku", "preset", "of by='ordered'", {"ids": BOARD, "preset": "confidence"}),
        ("shidoku", "by", "bound", {"ids": BOARD, "by": "exact"}),
        ("shidoku", "preset", "ranks them", {"ids": BOARD, "by": "ordered", "preset": "maskgit"}),
        ("shidoku", "smaples", "did you mean 'samples'", {"ids": BOARD, "smaples": 3}),
        ("bytes", "text", "has no token", {"text": ""}),
        ("bytes", "text", "this server takes 300", {"text": "q" * 301}),
        ("canvases", None, "cannot score, by no method", {"text": "the cat"}),
    ],
)
def test_what_cannot_be_scored_names_the_field(http, model, param, said, body):
    found = http.post("/v1/score", json={"model": model, **body})
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert error["param"] == param
    assert said in error["message"]
