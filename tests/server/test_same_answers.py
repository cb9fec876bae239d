"""An answer is that of its seed, whatever else the server has to do meanwhile."""

import asyncio
import math
import random
from dataclasses import replace

import httpx
import pytest
from tests.server.conftest import served, serving

from unmask.engine import Engine
from unmask.server.served import Served
from unmask.server.settings import Settings

WORDS = ["the", "a", "cat", "dog", "mat", "sat", "on", "in", "ran", "house", "paris", "is"]
PRESETS = [
    {},
    {"preset": "random_order", "steps": 5},
    {"preset": "confidence", "steps": 4},
    {"preset": "annealed", "steps": 4},
    {"preset": "maskgit", "steps": 3},
    {"preset": "top_margin", "steps": 4},
    {"preset": "first_hitting"},
    {"preset": "entropy_bound", "bound": 0.5},
    {"preset": "llada", "steps": 3, "block_length": 4},
    {"preset": "llada", "steps": 2, "block_length": 8, "cfg_scale": 1.0},
    {"preset": "threshold", "threshold": 0.4},
    {"preset": "remdm", "steps": 5},
]
SAMPLING = [{}, {"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 20}, {"logit_bias": {"3": 2.0}}]
SOLVED = [0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]
NOT_BEFORE = ("id", "created")  # drawn and told anew for each answer


def requests(number):
    """Pairs of a path and a body, of four endpoints and three models."""
    draw = random.Random(7)
    return [made(draw, seed) for seed in range(number)]


def made(draw, seed):
    words = " ".join(draw.choices(WORDS, k=draw.randint(1, 8)))
    kind = draw.choice(["completions", "chat/completions", "infill", "score"])
    body = {"seed": seed, "model": draw.choice(["bytes", "bert"])}
    if kind == "score":
        by = draw.choice([{"samples": 2}, {"by": "pseudo"}, {"by": "ordered"}])
        return kind, {**body, "text": words, **by}
    body |= {**draw.choice(PRESETS), **draw.choice(SAMPLING)}
    body |= {"n": draw.choice([1, 1, 1, 2, 3]), "return_record": draw.random() < 0.3}
    if kind == "infill" and draw.random() < 0.5:
        hidden = draw.sample(range(len(SOLVED)), draw.randint(1, 14))
        ids = [None if place in hidden else digit for place, digit in enumerate(SOLVED)]
        return kind, {**body, "model": "shidoku", "ids": ids}
    if kind == "infill":
        parts = [{"text": words}, {"mask": draw.randint(1, 12)}, {"text": draw.choice(WORDS)}]
        return kind, {**body, "segments": parts}
    body["max_tokens"] = draw.randint(1, 20)
    if kind == "completions":
        return kind, {**body, "prompt": words, "logprobs": draw.choice([None, 0, 2])}
    return kind, {**body, "model": "bytes", "messages": [{"role": "user", "content": words}]}


async def one(client, path, body):
    found = await client.post(f"/v1/{path}", json=body)
    return found.status_code, found.json()


async def alone(client, asked):
    return [await one(client, *each) for each in asked]


async def loaded(client, asked):
    """All of them, in another order and at times of their own, up to 48 at a time."""
    draw = random.Random(11)
    order, room = draw.sample(range(len(asked)), len(asked)), asyncio.Semaphore(48)
    found = {}

    async def ask(number):
        try:
            found[number] = await one(client, *asked[number])
        finally:
            room.release()

    tasks = []
    for number in order:
        await room.acquire()
        await asyncio.sleep(draw.expovariate(200))
        tasks.append(asyncio.create_task(ask(number)))
    await asyncio.gather(*tasks)
    return [found[number] for number in range(len(asked))]


def answers(address, way, asked):
    async def run():
        async with httpx.AsyncClient(base_url=address, timeout=300, trust_env=False) as client:
            return await way(client, asked)

    return asyncio.run(run())


def same(one, other):
    """Whether two values of JSON are equal, numbers with a fraction but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            name in NOT_BEFORE or same(one[name], other[name]) for name in one
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3)
    return type(one) is type(other) and one == other


def differing(address, asked):
    """The requests whose answers differ alone and under load; and the statuses of all."""
    first, second = (answers(address, way, asked) for way in (alone, loaded))
    statuses = {status for status, _ in first}
    return [
        (each, a, b) for each, a, b in zip(asked, first, second, strict=True)
        if not (a[0] == b[0] and same(a[1], b[1]))
    ], statuses  # fmt: skip


@pytest.fixture
def address(texts):
    models = [served(name, texts[name]) for name in ("bytes", "bert")]
    with serving([*models, Served.open("shidoku", Settings())]) as found:
        yield found


@pytest.mark.parametrize("number", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_answers_do_not_depend_on_what_else_is_asked(address, number):
    other, statuses = differing(address, requests(number))
    assert statuses == {200}
    assert not other


def test_rows_that_know_their_neighbours_are_found(address, monkeypatch):
    """The control: a seed that counts the rows beside it is what this file must not miss."""
    adopt = Engine.adopt

    def beside(self, state, strategy):
        rows = replace(state.rows, seed=state.rows.seed + len(self.unfinished))
        return adopt(self, replace(state, rows=rows), strategy)

    monkeypatch.setattr(Engine, "adopt", beside)
    other, _ = differing(address, requests(40))
    assert other
