"""Log-probabilities of the likeliest tokens, of echoed prompts, and the bias of ids."""

import pytest
import torch
from tests.server.reading import streamed

import unmask
from unmask import Sampling, presets

PROMPT = "the cat sat"


def ask(http, path="/v1/completions", **body):
    given = {} if "messages" in body else {"prompt": PROMPT}
    found = http.post(path, json={"model": "bytes", "seed": 3, **given, **body})
    assert found.status_code == 200, found.text
    return found.json()


PLAN = {"preset": "random_order", "steps": 6, "max_tokens": 12}


def alternatives_of(model, count, most=12):
    """[{text: log p}] of each token, of the step that committed it, by the library alone."""
    strategy = presets.random_order(6).but(alternatives=count)
    request = model.requests.continuations([PROMPT], most, seed=3, strategy=strategy)
    engine, found, done = unmask.Engine(model.denoiser), {}, None
    request.submit(engine, [0])
    while done is None:
        for event in engine.step():
            told = event.info.proposal.alternatives
            for place in event.info.committed[0].nonzero().squeeze(1).tolist():
                found[place] = list(zip(*(each[0, place].tolist() for each in told), strict=True))
            done = next((record for _, record in event.results()), done)
    text = request.completion(0, done)
    begin = len(request.rows[0].before)
    return text, [found[begin + i] for i in range(len(text.tokens))]


def by_text(model, pairs):
    out = {}
    for token, value in pairs:
        out.setdefault(model.encoding.decode([token], special=True), value)
    return out


def test_completions_tell_the_likeliest_tokens(http, texts):
    model = texts["bytes"]
    [choice] = ask(http, **PLAN, logprobs=4)["choices"]
    text, wanted = alternatives_of(model, 4)
    assert choice["text"] == text.text
    told = choice["logprobs"]
    assert told["tokens"] == text.pieces
    assert len(told["top_logprobs"]) == len(text.tokens) == len(told["token_logprobs"])
    for found, pairs in zip(told["top_logprobs"], wanted, strict=True):
        assert found == pytest.approx(by_text(model, pairs), abs=1e-4)
        assert 1 <= len(found) <= 4
    assert ask(http, **PLAN, logprobs=0)["choices"][0]["text"] == text.text


def test_chats_tell_the_likeliest_tokens_and_streams_tell_the_same(http):
    body = {"messages": [{"role": "user", "content": "a cat"}], "max_tokens": 8}
    body |= {"model": "bytes", "seed": 3, "logprobs": True, "top_logprobs": 3}
    [choice] = ask(http, "/v1/chat/completions", **body)["choices"]
    whole = choice["logprobs"]["content"]
    assert whole
    for entry in whole:
        tops = entry["top_logprobs"]
        assert len(tops) == 3
        assert [t["logprob"] for t in tops] == sorted((t["logprob"] for t in tops), reverse=True)
        assert all(t["bytes"] == [*t["token"].encode()] for t in tops)
        assert entry["logprob"] <= tops[0]["logprob"] + 1e-5
    chunks = [data for _, data in streamed(http, "/v1/chat/completions", **body)]
    parts = [c["choices"][0]["logprobs"] for c in chunks if c["choices"]]
    assert [entry for part in parts if part for entry in part["content"]] == whole


def test_a_stream_of_completions_tells_the_same(http):
    body = {"model": "bytes", "seed": 3, "prompt": PROMPT, "logprobs": 2, "echo": True, **PLAN}
    whole = ask(http, **body)["choices"][0]["logprobs"]
    parts = [data["choices"][0]["logprobs"] for _, data in streamed(http, **body)]
    for name in whole:
        assert [each for part in parts for each in part[name] or ()] == whole[name]
    *_, (_, last) = streamed(http, **body, stream_mode="denoise")
    assert last["response"]["choices"][0]["logprobs"] == whole


@pytest.mark.parametrize("name", ["bytes", "bert"])
def test_an_echo_has_the_log_probability_of_each_token_behind_those_before(http, texts, name):
    """By passes of the network itself: unknown from the token on, the mask id never drawn."""
    model = texts[name]
    (before, after), ids = model.encoding.around, model.encoding.encode(PROMPT)
    mask = model.denoiser.spec.mask_id
    row = [*before, *ids, *after]
    wanted = []
    for i in range(len(before), len(before) + len(ids)):
        shown = [*row[:i], *[mask] * (len(before) + len(ids) - i), *after]
        logits = logits_of(model.denoiser, shown, i)
        wanted.append(logits.log_softmax(0))
    found = ask(http, model=name, max_tokens=3, echo=True, logprobs=2)["choices"][0]
    told = found["logprobs"]
    assert found["text"].startswith(PROMPT)
    assert told["tokens"][: len(ids)] == model.encoding.pieces(ids, [])
    assert told["token_logprobs"][0] is not None
    exact = [float(law[i]) for law, i in zip(wanted, ids, strict=True)]
    assert told["token_logprobs"][: len(ids)] == pytest.approx(exact, abs=1e-3)
    for law, tops in zip(wanted, told["top_logprobs"], strict=False):
        best = law.topk(2)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        assert tops == pytest.approx(by_text(model, pairs), abs=1e-3)
    offsets = told["text_offset"]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert offsets[len(ids)] == len(PROMPT)


def logits_of(denoiser, shown, place):
    """(V,) float64, illegal ids at -inf: of one step from a row with everything else as shown."""
    spec = denoiser.spec
    tokens = torch.tensor([shown])
    unknown = tokens == spec.mask_id
    canvas = unmask.Canvas.infill(tokens, unknown)
    strategy = presets.random_order(1).but(alternatives=spec.vocab_size)
    info = next(iter(unmask.stream(denoiser, canvas, strategy, seed=0)))
    found = torch.full((spec.vocab_size,), -torch.inf, dtype=torch.float64)
    ids, values = (each[0, place] for each in info.proposal.alternatives)
    legal = ids >= 0
    found[ids[legal]] = values[legal].double()
    return found


def test_several_prompts_are_echoed_as_each_alone(http):
    """As evaluation clients ask: prompts as ids, one token behind them."""
    prompts = [[70, 71, 72], [80], [70, 71, 72, 73, 74]]
    options = {"max_tokens": 1, "echo": True, "logprobs": 1}
    together = ask(http, prompt=prompts, n=2, **options)["choices"]
    for i, prompt in enumerate(prompts):
        [alone] = ask(http, prompt=prompt, **options)["choices"]
        for choice in together[2 * i : 2 * i + 2]:
            for name in ("token_logprobs", "tokens"):
                assert choice["logprobs"][name][: len(prompt)] == pytest.approx(
                    alone["logprobs"][name][: len(prompt)], abs=1e-4
                )
            assert len(choice["logprobs"]["tokens"]) <= len(prompt) + 1


def test_the_sum_of_an_echo_is_the_exact_score(http):
    [choice] = ask(http, max_tokens=1, echo=True, logprobs=0)["choices"]
    score = http.post("/v1/score", json={"model": "bytes", "text": PROMPT, "by": "ordered"}).json()
    echoed = choice["logprobs"]["token_logprobs"][: score["tokens"]]
    assert -sum(echoed) == pytest.approx(score["nats"], abs=1e-3)


def test_a_model_without_such_probabilities_says_so(http):
    body = {"model": "canvases", "prompt": PROMPT, "echo": True, "logprobs": 0}
    error = http.post("/v1/completions", json=body).json()["error"]
    assert error["param"] == "echo"
    assert "no probability of a token that is given" in error["message"]


def test_a_bias_is_that_of_the_strategy(http, texts):
    model = texts["bytes"]
    bias = {70: 5.0, 72: 4.0}
    found = ask(http, **PLAN, logit_bias={str(i): b for i, b in bias.items()})
    strategy = presets.random_order(6).but(sampling=Sampling(bias=bias))
    direct = model.complete(PROMPT, 12, seed=3, strategy=strategy)
    assert found["choices"][0]["text"] == direct.text
    assert found["choices"][0]["text"] != ask(http, **PLAN)["choices"][0]["text"]


def test_a_bias_of_100_forces_a_token_under_the_models_own_strategy(http, texts):
    token = texts["bytes"].encoding.encode("q")[0]
    chat = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 5}
    found = ask(http, "/v1/chat/completions", **chat, logit_bias={str(token): 100})
    assert found["choices"][0]["message"]["content"] == "qqqqq"


@pytest.mark.parametrize("name", ["bytes", "bert"])
def test_prompts_are_scored_alone(http, texts, name):
    """max_tokens=0 with echo, as evaluation clients send it, gives the prompt's part of an echo."""
    ids = [texts[name].encoding.encode(each) for each in ("the cat sat", "a dog")]
    options = {"model": name, "echo": True, "logprobs": 1, "temperature": 0, "seed": 1234}
    for prompt in (ids, ["the cat sat", "a dog"]):
        found = ask(http, prompt=prompt, max_tokens=0, **options)
        behind = ask(http, prompt=prompt, max_tokens=1, **options)["choices"]
        assert [each["index"] for each in found["choices"]] == [0, 1]
        for choice, more, given in zip(found["choices"], behind, ids, strict=True):
            assert choice["finish_reason"] == "length"
            assert choice["text"] == texts[name].encoding.decode(given)
            told = choice["logprobs"]
            for part, found_of_each in told.items():
                assert len(found_of_each) == len(given)
                for value, wanted in zip(found_of_each, more["logprobs"][part], strict=False):
                    assert value == pytest.approx(wanted, abs=1e-5)
        around = sum(map(len, texts[name].encoding.around))
        prompts = sum(map(len, ids)) + 2 * around
        usage = found["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompts, 0)
        assert usage["total_tokens"] == prompts


def test_a_greedy_token_has_the_largest_log_probability_exactly(http, texts):
    """Evaluation clients compare the two numbers for equality."""
    text = texts["bytes"]
    prompt = PROMPT
    for _ in range(3):  # each time with the likeliest token at the end
        told = ask(http, prompt=prompt, max_tokens=0, echo=True, logprobs=1)
        [top] = ask(http, prompt=prompt, max_tokens=1, temperature=0.0, logprobs=1)["choices"]
        for token, value, tops in zip(
            *(
                told["choices"][0]["logprobs"][k]
                for k in ("tokens", "token_logprobs", "top_logprobs")
            ),
            strict=True,
        ):
            largest = max(tops.values())
            assert value == largest or value < largest - 1e-6 or token not in tops
        prompt += top["text"]
    last = ask(http, prompt=prompt, max_tokens=0, echo=True, logprobs=1)["choices"][0]["logprobs"]
    assert text.encoding.encode(prompt)
    assert last["token_logprobs"][-1] <= max(last["top_logprobs"][-1].values())


def test_scoring_without_log_probabilities_and_with_several_rows(http):
    found = ask(http, max_tokens=0, echo=True, n=2)
    assert [each["text"] for each in found["choices"]] == [PROMPT] * 2
    assert [each["logprobs"] for each in found["choices"]] == [None] * 2
    assert [each["index"] for each in found["choices"]] == [0, 1]
    empty = ask(http, prompt="", max_tokens=0, echo=True, logprobs=1)["choices"][0]
    assert empty["text"] == ""
    assert empty["logprobs"]["tokens"] == []


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": -1}),
        ("stream", {"max_tokens": 0, "echo": True, "stream": True}),
        ("suffix", {"max_tokens": 0, "echo": True, "suffix": "a"}),
        ("regex", {"max_tokens": 0, "echo": True, "regex": "a"}),
        ("return_record", {"max_tokens": 0, "echo": True, "return_record": True}),
        ("preset", {"max_tokens": 0, "echo": True, "preset": "nothing"}),
        ("prompt", {"max_tokens": 0, "echo": True, "prompt": [10**6]}),
        ("prompt", {"max_tokens": 0, "echo": True, "logprobs": 1, "prompt": "x" * 600}),
        ("max_tokens", {"max_tokens": 0, "echo": True, "prompt": "x" * 17_000}),
    ],
)
def test_what_cannot_be_scored_alone_is_refused(http, param, body):
    found = http.post("/v1/completions", json={"model": "bytes", "prompt": PROMPT, **body})
    assert found.status_code == 400, found.text
    assert found.json()["error"]["param"] == param
