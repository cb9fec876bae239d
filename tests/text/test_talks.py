"""Talks as rows of ids: what the assistant says is learnt, and nothing else."""

import pytest
from tests.text.models import byte_level
from tests.training.talks import END, EOT, MARKED, TEMPLATE, characters, talk

from unmask.data.talks import Pair, Talk
from unmask.errors import DataError
from unmask.text import TokenizerEncoding
from unmask.text.talks import Reader

CHATML = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}\n{{ m.content }}<|eot_id|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant\n{% endif %}"
)
ENDLESS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"  # noqa: E501
# Reasoning of earlier answers is left out, as in Qwen3's.
FORGETFUL = (
    "{% for m in messages %}[{{ m.role }}]"
    "{{ m.content if loop.last else m.content.split('|')[-1] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def reader(template=TEMPLATE, ends=(END, EOT), backend=None):
    backend = characters(template) if backend is None else backend
    return Reader(TokenizerEncoding(backend, None, surround=False), {}, ends)


def parts(row, backend):
    """Text of what is given, and of what is learnt, in turn."""
    found, ids = [], list(row.ids)
    for n, number in enumerate(ids):
        if n and row.learnt[n] == row.learnt[n - 1]:
            found[-1].append(number)
        else:
            found.append([number])
    return [backend.decode(each) for each in found]


HEAD, END_HEAD = "<|start_header_id|>", "<|end_header_id|>"
FIRST = f"{HEAD}user{END_HEAD}hi<|eot_id|>{HEAD}assistant{END_HEAD}"
SECOND = f"{HEAD}user{END_HEAD}and?<|eot_id|>{HEAD}assistant{END_HEAD}"


@pytest.mark.parametrize("template", [TEMPLATE, MARKED], ids=["prefixes", "marks"])
def test_each_answer_is_a_row_that_ends_with_it(template):
    read = reader(template)
    rows = read.talk(Talk(talk("hi", "hello", "and?", "bye"), "row 1"), each=True)
    backend = read.encoding.backend
    assert [parts(row, backend) for row in rows] == [
        [FIRST, "hello<|eot_id|>"],
        [f"{FIRST}hello<|eot_id|>{SECOND}", "bye<|eot_id|>"],
    ]


@pytest.mark.parametrize("template", [TEMPLATE, MARKED], ids=["prefixes", "marks"])
def test_or_all_are_learnt_in_one_row(template):
    read = reader(template)
    [row] = read.talk(Talk(talk("hi", "hello", "and?", "bye"), "row 1"), each=False)
    assert parts(row, read.encoding.backend) == [FIRST, "hello<|eot_id|>", SECOND, "bye<|eot_id|>"]


@pytest.mark.parametrize("template", [TEMPLATE, MARKED, CHATML], ids=["prefix", "marks", "chatml"])
def test_what_is_given_is_the_prompt_of_a_chat(template):
    """Token for token what `TextModel.chat` puts before an answer."""
    read = reader(template)
    said = talk("hi", "hello", "and?", "bye", system="be brief")
    for turn, row in zip((2, 4), read.talk(Talk(said, "row 1"), each=True), strict=True):
        assert row.ids[: row.learnt.index(True)] == read.encoding.template(said[:turn], {})
        assert row.learnt == sorted(row.learnt)


def test_what_a_template_writes_behind_an_end_is_not_learnt_and_not_shown():
    read = reader(CHATML)
    [row] = read.talk(Talk(talk("hi", "hello"), "row 1"), each=True)
    assert parts(row, read.encoding.backend)[1] == "hello<|eot_id|>"
    [row] = read.talk(Talk(talk("hi", "hello", "so", "ok"), "row 1"), each=False)
    found = parts(row, read.encoding.backend)
    assert found[1::2] == ["hello<|eot_id|>", "ok<|eot_id|>"]
    assert found[2].startswith("\n<|start_header_id|>user")


def test_an_end_that_a_template_does_not_write_is_put_behind():
    read = reader(ENDLESS)
    [row] = read.talk(Talk(talk("hi", "hello"), "row 1"), each=True)
    assert parts(row, read.encoding.backend) == ["[user]hi[assistant]", "hello<|endoftext|>"]
    [row] = reader(ENDLESS, ends=()).talk(Talk(talk("hi", "hello"), "row 1"), each=True)
    assert parts(row, read.encoding.backend)[1] == "hello"


def test_an_end_outside_the_marks_is_learnt():
    outside = MARKED.replace("<|eot_id|>{% endgeneration %}", "{% endgeneration %}<|eot_id|>")
    read = reader(outside)
    [row] = read.talk(Talk(talk("hi", "hello"), "row 1"), each=True)
    assert parts(row, read.encoding.backend) == [FIRST, "hello<|eot_id|>"]


def test_tokens_that_reach_across_the_beginning_of_an_answer_are_cut_there():
    """Byte pairs: `] the` and `the` have other tokens, and a prompt ends before the answer."""
    backend = byte_level()
    backend.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    read = reader(backend=backend, ends=(0,))
    said = talk("the cat s", "at on the mat")
    [row] = read.talk(Talk(said, "row 1"), each=True)
    given = row.ids[: row.learnt.index(True)]
    assert given == read.encoding.template(said[:1], {})
    assert backend.decode(row.ids) == "the cat sat on the mat<|end|>"


def test_a_template_whose_prefixes_disagree_is_refused_with_the_row():
    said = talk("hi", "why|hello", "and?", "bye")
    with pytest.raises(DataError, match=r"row 7: what the assistant says in message 1.*each"):
        reader(FORGETFUL).talk(Talk(said, "row 7"), each=False)
    rows = reader(FORGETFUL).talk(Talk(said, "row 7"), each=True)
    backend = characters()
    assert [parts(row, backend)[1] for row in rows] == ["why|hello<|eot_id|>", "bye<|eot_id|>"]
    assert parts(rows[1], backend)[0].startswith("[user]hi<|eot_id|>[assistant]hello<|eot_id|>")
    reversed_ = "{% for m in messages[::-1] %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="row 1: what the assistant says in message 1 cannot be"):
        reader(reversed_).talk(Talk(talk("hi", "hello"), "row 1"), each=True)


@pytest.mark.parametrize(
    ("template", "messages", "words"),
    [
        (None, talk("hi", "hello"), "the model's tokenizer has none: pass another"),
        (
            "{{ raise_exception('roles alternate') }}",
            talk("hi", "hello"),
            "row 1: the chat template fails on a talk of user, assistant: roles alternate",
        ),
        (
            TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m.role in ['user', 'assistant'] %}"),  # noqa: E501
            [{"role": "critic", "content": "no!"}, *talk("hi", "hello")],
            "row 1, message 0: the chat template leaves messages of the role 'critic' out",
        ),
        (
            MARKED.replace("'assistant'", "'model'"),
            talk("hi", "hello"),
            "row 1: the chat template marks nothing that the assistant says",
        ),
    ],
    ids=["none", "raises", "role", "unmarked"],
)  # fmt: skip
def test_templates_that_cannot_be_used(template, messages, words):
    with pytest.raises(DataError) as error:
        reader(template).talk(Talk(messages, "row 1"), each=True)
    assert words in str(error.value)


def test_messages_that_are_given_are_not_learnt():
    said = talk("hi", "hello", "and?", "bye")
    for template in (TEMPLATE, MARKED):
        read = reader(template)
        for each in (True, False):
            [row] = read.talk(Talk(said, "row 1", given=3), each=each)
            assert parts(row, read.encoding.backend)[1:] == ["bye<|eot_id|>"]


def test_a_pair_is_a_prompt_and_a_completion_with_its_end():
    read = reader()
    row = read.pair(Pair("2 + 2 = ", "4", "row 1"))
    assert parts(row, read.encoding.backend) == ["2 + 2 = ", "4<|endoftext|>"]
    assert read.pair(Pair("", "4", "row 1")).learnt == [True, True]
