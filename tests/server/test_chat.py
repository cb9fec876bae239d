"""Chat and completions by OpenAI's own client."""

import json

import openai
import pytest

from unmask import presets

TALK = [{"role": "user", "content": "the cat sat"}]
ASKED = {"model": "bytes", "messages": TALK, "seed": 7, "max_tokens": 20}
SCHEMA = {
    "type": "object",
    "properties": {
        "cat": {"type": "boolean"},
        "n": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["cat", "n"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as found:
        yield found


def direct(texts, **options):
    strategy = presets.confidence(5)
    return texts["bytes"].chat(TALK, 20, seed=7, strategy=strategy, **options)


WAY = {"extra_body": {"preset": "confidence", "steps": 5}}


def test_an_answer_is_that_of_the_model(client, texts):
    found = client.chat.completions.create(**ASKED, **WAY, logprobs=True)
    expected = direct(texts)
    [choice] = found.choices
    assert found.object == "chat.completion"
    assert choice.message.role == "assistant"
    assert choice.message.content == expected.text
    assert choice.finish_reason == expected.finish_reason
    content = choice.logprobs.content
    assert [each.token for each in content] == expected.pieces
    assert [each.logprob for each in content] == pytest.approx(expected.logprobs)
    assert [bytes(each.bytes).decode() for each in content] == expected.pieces
    ids = texts["bytes"].encoding.template(TALK, {})
    assert found.usage.prompt_tokens == len(ids)
    assert found.usage.completion_tokens == len(expected.tokens)
    assert found.usage.total_tokens == len(ids) + len(expected.tokens)
    assert found.usage.forwards == expected.forwards


def test_a_stream_makes_the_answer(client, texts):
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            **ASKED, **WAY, stream=True, stream_options=options, logprobs=True, n=2
        )
    )
    expected = direct(texts, n=2)
    *chunks, last = chunks
    assert not last.choices
    assert last.usage.completion_tokens == sum(len(each.tokens) for each in expected)
    for index, answer in enumerate(expected):
        mine = [each for chunk in chunks for each in chunk.choices if each.index == index]
        assert mine[0].delta.role == "assistant"
        assert "".join(each.delta.content or "" for each in mine) == answer.text
        tokens = [x for each in mine if each.logprobs for x in each.logprobs.content]
        assert [x.token for x in tokens] == answer.pieces
        assert [each.finish_reason for each in mine if each.finish_reason] == [answer.finish_reason]


def test_max_completion_tokens_and_stops(client, texts):
    whole = direct(texts).text
    body = {**ASKED, "max_completion_tokens": 20, "max_tokens": None, "stop": whole[3:5]}
    found = client.chat.completions.create(**body, **WAY).choices[0]
    assert found.message.content == whole[: whole.index(whole[3:5])]
    assert found.finish_reason == "stop"


def test_json_of_a_schema(client):
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    for seed in range(3):
        body = {**ASKED, **WAY, "seed": seed, "max_tokens": 40, "temperature": 1.0}
        found = client.chat.completions.create(**body, response_format=form)
        made = json.loads(found.choices[0].message.content)
        assert set(made) == {"cat", "n"}
        assert 1 <= made["n"] <= 9


def test_json_of_any_object(client):
    body = {**ASKED, **WAY, "max_tokens": 60, "temperature": 1.0}
    found = client.chat.completions.create(**body, response_format={"type": "json_object"})
    assert isinstance(json.loads(found.choices[0].message.content), dict)


def test_without_a_number_of_tokens_the_answer_fits_the_network(client, texts):
    spec = texts["bytes"].denoiser.spec
    long = [{"role": "user", "content": "x" * (spec.max_length - 30)}]
    found = client.chat.completions.create(model="bytes", messages=long, seed=1)
    assert 0 < found.usage.total_tokens <= spec.max_length


def test_content_in_parts_is_text(client):
    parts = [{"type": "text", "text": "the cat"}, {"type": "text", "text": "sat"}]
    one = client.chat.completions.create(
        **{**ASKED, "messages": [{"role": "user", "content": parts}]}
    )
    two = client.chat.completions.create(
        **{**ASKED, "messages": [{"role": "user", "content": "the cat\nsat"}]}
    )
    assert one.choices[0].message.content == two.choices[0].message.content


def test_an_answer_can_be_sent_back(client):
    first = client.chat.completions.create(**ASKED).choices[0].message
    talk = [*TALK, first.model_dump(), {"role": "user", "content": "and"}]
    found = client.chat.completions.create(**{**ASKED, "messages": talk})
    assert found.usage.prompt_tokens > 20


def test_errors_are_those_of_the_client(client):
    with pytest.raises(openai.NotFoundError, match="did you mean 'bytes'"):
        client.chat.completions.create(**{**ASKED, "model": "byte"})
    with pytest.raises(openai.BadRequestError, match="max_tokns") as error:
        client.chat.completions.create(**ASKED, extra_body={"max_tokns": 3})
    assert error.value.param == "max_tokns"
    with pytest.raises(openai.BadRequestError, match="cannot be honoured"):
        client.chat.completions.create(**ASKED, frequency_penalty=1.0)


def test_completions_by_the_client(client, texts):
    expected = texts["bytes"].complete("the cat", 12, seed=2, strategy=presets.confidence(5))
    body = {"model": "bytes", "prompt": "the cat", "max_tokens": 12, "seed": 2, **WAY}
    assert client.completions.create(**body).choices[0].text == expected.text
    chunks = client.completions.create(**body, stream=True)
    assert "".join(each.choices[0].text for each in chunks) == expected.text


def test_models_by_the_client(client, texts):
    assert [each.id for each in client.models.list()] == [*texts]
    assert client.models.retrieve("bytes").id == "bytes"
