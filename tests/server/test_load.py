"""The same request with a seed gives the same answer alone and beside any others."""

from concurrent.futures import ThreadPoolExecutor

from tests.server.reading import streamed

WAYS = [
    {"preset": "random_order", "steps": 7, "temperature": 1.0},
    {"preset": "llada", "steps": 3, "block_length": 8, "temperature": 0.7},
    {"preset": "threshold", "threshold": 0.2, "block_length": 16},
    {"preset": "dream", "options": {"algorithm": "entropy"}, "steps": 9, "top_p": 0.9},
    {"preset": "maskgit", "steps": 5, "top_k": 12},
    {"preset": "remdm", "steps": 8, "min_p": 0.05},
    {"preset": "confidence", "steps": 6, "cfg_scale": 1.5, "temperature": 1.0},
    {"preset": "first_hitting", "max_forwards": 9, "temperature": 1.3},
    {"preset": "entropy_bound", "temperature": 1.0},
    {},
]
PROMPTS = ["the cat", "a dog ran in the house", "naïve café 🙂", "x"]
REQUESTS = [
    {
        "model": "bytes", "prompt": PROMPTS[i % 4], "seed": i // 2, "max_tokens": 5 + 3 * (i % 6),
        "n": 1 + i % 2, **WAYS[i % len(WAYS)],
    }
    for i in range(40)
]  # fmt: skip


def plain(http, body):
    found = http.post("/v1/completions", json=body)
    assert found.status_code == 200, found.text
    return found.json()


def answer(http, number):
    """The choices and the usage; of every third request by a stream of steps."""
    body = REQUESTS[number]
    if number % 3:
        found = plain(http, body)
    else:
        found = streamed(http, stream_mode="denoise", **body)[-1][1]["response"]
    return found["choices"], found["usage"]


def test_answers_do_not_depend_on_what_is_beside(http):
    alone = [answer(http, number) for number in range(len(REQUESTS))]
    with ThreadPoolExecutor(40) as pool:
        beside = list(pool.map(lambda number: answer(http, number), range(len(REQUESTS))))
    assert beside == alone
