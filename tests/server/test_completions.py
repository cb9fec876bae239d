"""POST /v1/completions and its alias, without streams."""

import pytest

from unmask import presets
from unmask.presets import by_name

PROMPT = "the cat sat"


def ask(http, path="/v1/completions", **body):
    found = http.post(path, json={"model": "bytes", "prompt": PROMPT, "seed": 3, **body})
    assert found.status_code == 200, found.text
    return found.json()


def test_a_completion_is_that_of_the_model(http, texts):
    found = ask(http, max_tokens=12, preset="random_order", steps=6)
    strategy = presets.random_order(6)
    direct = texts["bytes"].complete(PROMPT, 12, seed=3, strategy=strategy)
    [choice] = found["choices"]
    assert choice == {
        "index": 0, "text": direct.text, "logprobs": None, "finish_reason": direct.finish_reason
    }  # fmt: skip
    assert found["object"] == "text_completion"
    assert (found["model"], found["seed"]) == ("bytes", 3)
    prompt = len(texts["bytes"].encoding.encode(PROMPT))
    done = len(direct.tokens)
    assert found["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": done,
        "total_tokens": prompt + done,
        "denoising_steps": direct.forwards,
        "forwards": direct.forwards,
        "tokens_per_forward": done / direct.forwards,
    }


@pytest.mark.parametrize("as_ids", [False, True])
def test_n_of_each_of_several_prompts(http, texts, as_ids):
    prompts, model = ["the cat", "a dog ran", "the cat"], texts["bytes"]
    given = [model.encoding.encode(each) for each in prompts] if as_ids else prompts
    found = ask(http, prompt=given, n=2, max_tokens=6, temperature=1.0)
    recommended = {**model.denoiser.spec.recommended, "temperature": 1.0}
    strategy = by_name.build_recommended(recommended, instead="")
    direct = model.requests.continuations(given, 6, n=2, seed=3, strategy=strategy)
    made = dict(direct.each())
    assert [each["index"] for each in found["choices"]] == [*range(6)]
    assert [each["text"] for each in found["choices"]] == [made[i].text for i in range(6)]
    assert len({each["text"] for each in found["choices"]}) > 1


def test_the_best_of_several_rows_is_told(http):
    rows = ask(http, n=4, max_tokens=8, temperature=1.0, logprobs=0)["choices"]
    best = ask(http, best_of=4, max_tokens=8, temperature=1.0, logprobs=0)
    mean = [sum(x := row["logprobs"]["token_logprobs"]) / len(x) for row in rows]
    assert best["choices"][0]["text"] == rows[mean.index(max(mean))]["text"]
    assert len(best["choices"]) == 1
    assert best["usage"]["completion_tokens"] > 8


def test_logprobs_and_records_are_those_of_the_tokens(http, texts):
    found = ask(http, max_tokens=9, logprobs=0, return_record=True, preset="confidence", steps=3)
    strategy = presets.confidence(3)
    direct = texts["bytes"].complete(PROMPT, 9, seed=3, strategy=strategy)
    [choice] = found["choices"]
    assert choice["logprobs"]["tokens"] == direct.pieces
    assert choice["logprobs"]["token_logprobs"] == pytest.approx(direct.logprobs)
    assert choice["logprobs"]["text_offset"] == [
        len("".join(direct.pieces[:i])) for i in range(len(direct.tokens))
    ]
    assert choice["record"] == {
        "commit_step": direct.commit_steps,
        "logprob": pytest.approx(direct.logprobs),
        "forwards": 3,
        "steps": 3,
    }


def test_a_stop_string_ends_a_text(http, texts):
    whole = texts["bytes"].complete(PROMPT, 20, seed=3).text
    stop = whole[4:6]
    found = ask(http, max_tokens=20, stop=[stop, "never"])
    assert found["choices"][0]["text"] == whole[: whole.index(stop)]
    assert found["choices"][0]["finish_reason"] == "stop"


def test_echo(http):
    plain = ask(http, max_tokens=5)["choices"][0]["text"]
    assert ask(http, max_tokens=5, echo=True)["choices"][0]["text"] == PROMPT + plain


def test_a_form_is_kept(http):
    assert ask(http, regex="[0-9]{3}", max_tokens=8)["choices"][0]["text"].isdigit()
    assert ask(http, choices=["yes", "no"], max_tokens=8)["choices"][0]["text"] in ("yes", "no")


def test_models(http, texts):
    found = http.get("/v1/models").json()
    assert found["object"] == "list"
    assert [each["id"] for each in found["data"]] == [*texts]
    about = found["data"][0]["unmask"]
    spec = texts["bytes"].denoiser.spec
    assert (about["kind"], about["chat"], about["vocab_size"]) == ("text", True, spec.vocab_size)
    assert about["preset"]["name"] == "dream"
    named = {each["name"]: each["options"] for each in about["presets"]}
    assert named["llada"] == {"steps": 32, "block": 32, "temperature": 0.0}
    assert "halton" not in named
    assert http.get("/v1/models/bert").json() == found["data"][1]
    assert http.get("/v1/models/none").status_code == 404
