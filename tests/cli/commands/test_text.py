"""`unmask fill`, `complete` and `chat`: text models on the command line."""

import json

import pytest
from tests.text.models import bert, byte_level, decoder

import unmask


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    return decoder(tmp_path_factory.mktemp("dream"), byte_level())


TEXTS = ["the cat [MASK] on the mat .", "the [MASK:2] of [MASK] ."]


def test_fill(call, masked):
    model = unmask.TextModel.load(masked)
    said = call("fill", masked, *TEXTS, "--top-k", 3, "--json").json
    assert [row["text"] for row in said["rows"]] == TEXTS
    expected = [[each.sequence for each in model.fill(text, top_k=3)] for text in TEXTS]
    assert [[each["sequence"] for each in row["fillings"]] for row in said["rows"]] == expected
    plain = call("fill", masked, given="\n".join(TEXTS))
    assert plain.out.splitlines() == [every[0] for every in expected]
    lengths = call("fill", masked, "the [MASK] .", "--candidates", "1-3", "--json").json
    tokens = [each["token"] for each in lengths["rows"][0]["fillings"]]
    assert sorted(1 if isinstance(each, int) else len(each) for each in tokens) == [1, 2, 3]
    drawn = ("fill", masked, "the [MASK:3] .", "--preset", "random_order", "--steps", 3, "--json")
    assert call(*drawn, "--seed", 1).json == call(*drawn, "--seed", 1).json


def test_complete(call, masked):
    model = unmask.TextModel.load(masked)
    said = call("complete", masked, "the cat", "a dog", "--max-new-tokens", 4, "--json").json
    expected = model.complete(["the cat", "a dog"], 4)
    assert [row["completion"] for row in said["rows"]] == [each.text for each in expected]
    printed = call("complete", masked, "the cat", "--max-new-tokens", 4)
    assert printed.out == f"the cat{expected[0].text}\n"
    assert "4 tokens in" in printed.err


def prompts(tmp_path, count=12):
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": "the " * (i % 5), "id": f"row {i}"} for i in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path, rows


def test_a_file_of_prompts(call, masked, tmp_path):
    path, rows = prompts(tmp_path)
    line = ("complete", masked, "--file", path, "--max-new-tokens", 3, "--out")
    call(*line, tmp_path / "whole.jsonl")
    whole = [json.loads(each) for each in (tmp_path / "whole.jsonl").read_text().splitlines()]
    assert [{"prompt": row["prompt"], "id": row["id"]} for row in whole] == rows
    few = call(*line, tmp_path / "few.jsonl", "--max-rows", 2, "--max-tokens", 20)
    assert "12 completions in" in few.err
    made = [json.loads(each) for each in (tmp_path / "few.jsonl").read_text().splitlines()]
    assert [row["completion"] for row in made] == [row["completion"] for row in whole]


@pytest.mark.parametrize("after", [0, 1, 5, 11])
def test_a_file_goes_on_where_it_was_interrupted(call, masked, tmp_path, monkeypatch, after):
    path, _ = prompts(tmp_path)
    line = ("complete", masked, "--file", path, "--max-new-tokens", 3, "--max-rows", 2, "--out")
    call(*line, tmp_path / "whole.jsonl")
    from unmask.cli.io.prompts import Ledger

    add, added = Ledger.add, []

    def interrupted(self, index, entry):
        if len(added) == after:
            with self.path.open("a") as file:
                file.write('{"index": 1, "compl')  # what a killed process leaves
            raise KeyboardInterrupt
        added.append(index)
        add(self, index, entry)

    monkeypatch.setattr(Ledger, "add", interrupted)
    assert call(*line, tmp_path / "out.jsonl").code == 130
    assert not (tmp_path / "out.jsonl").exists()
    monkeypatch.setattr(Ledger, "add", add)
    again = call(*line, tmp_path / "out.jsonl")
    assert again.code == 0, again.err
    assert (f"{after} of them before" in again.err) == (after > 0)
    whole, made = ((tmp_path / f"{n}.jsonl").read_text().splitlines() for n in ("whole", "out"))
    drop = [{k: v for k, v in json.loads(each).items() if k != "logprob"} for each in whole]
    assert [{k: v for k, v in json.loads(each).items() if k != "logprob"} for each in made] == drop
    assert not list(tmp_path.glob("*.part"))


def test_a_ledger_of_other_options_is_begun_anew(call, masked, tmp_path):
    path, _ = prompts(tmp_path, 3)
    out = tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.part").write_text(
        '{"asked": "another"}\n{"index": 0, "completion": "x"}\n'
    )
    call("complete", masked, "--file", path, "--max-new-tokens", 2, "--out", out)
    assert json.loads(out.read_text().splitlines()[0])["completion"] != "x"


def test_chat(call, talker):
    model = unmask.TextModel.load(talker)
    line = ("chat", talker, "--max-new-tokens", 12, "--preset", "random_order", "--steps", 6)
    said = call(*line, given="hello\n/reset\nhello\n/preset nothing\n/what\n/exit\nnot asked\n")
    strategy = unmask.presets.random_order(steps=6)
    answer = model.chat([{"role": "user", "content": "hello"}], 12, seed=1, strategy=strategy)
    assert said.out == f"{answer.text}\n" * 2
    assert "no preset 'nothing'" in said.err
    assert "/what: /reset begins anew" in said.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("fill", "a"), "has no mask: write"),
        (("fill", "a [MASK]", "--candidates", "x"), "candidates='x'"),
        (("fill", "a [MASK]", "--preset", "nothing"), "no preset 'nothing'"),
        (("complete", "a", "--set", "x=1"), "takes no"),
        (("complete", "a", "--max-new-tokens", 100), "generate at most"),
        (("complete", "a", "--file", "x.txt"), "both given"),
        (("complete", "a", "-n", 0), "--number=0: pass an integer of 1 or more"),
        (("complete", "a", "--block", 0), "block=0: BertForMaskedLM attends to all"),
        (("complete", "--file", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("complete", "a", "--json", "--out", "x.jsonl"), "pass one of them"),
        (("chat", "--preset", "nothing"), "no preset 'nothing'"),
        (("fill", "a [MASK]", "--family", "lada"), "did you mean 'llada'"),
        (("fill", "a [MASK]", "--mask-id", 300), "mask_id=300 is outside the vocabulary"),
    ],
)
def test_bad_input(line, told, call, masked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").write_text("a\n")
    command, *rest = line
    done = call(command, masked, *rest)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())


def test_wrong_lines_of_prompts(call, masked, tmp_path):
    path = tmp_path / "wrong.jsonl"
    for text, told in (('{"prompt"', "line 1 is not JSON"), ('{"text": "a"}', 'as in {"prompt"')):
        path.write_text(text + "\n")
        assert told in call("complete", masked, "--file", path).error()
    path.write_text("\n")
    assert "has no prompt" in call("complete", masked, "--file", path).error()


def test_info_says_what_was_recognised_and_where(call, talker, masked):
    said = call("info", talker, "--json").json
    assert (said["family"], said["opened as"], said["mask_id"]) == ("dream", "Qwen2ForCausalLM", 3)
    assert said["found in"]["kind"] == "model_type 'Dream' in config.json"
    assert said["found in"]["mask_id"] == "the mask token of the tokenizer"
    assert "--preset dream --set algorithm=entropy" in " ".join(call("info", talker).out.split())
    assert call("info", masked, "--json").json["opened as"] == "BertForMaskedLM"
    zero = call("info", talker, "--mask-id", 0, "--json").json
    assert (zero["mask_id"], zero["found in"]["mask_id"]) == (0, "as asked for")
    asked = call("info", talker, "--mask-id", 7, "--json").json
    assert (asked["mask_id"], asked["found in"]["mask_id"]) == (7, "as asked for")
    assert (
        "mask_id=7: digits is none of transformers'"
        in call("info", "digits", "--mask-id", 7).error()
    )


def test_commands_of_all_models_take_one_of_transformers(call, masked, tmp_path):
    said = call("generate", masked, "-n", 3, "--length", 6, "--json").json
    assert len(said["tokens"]) == 3
    assert all(token > 4 for row in said["tokens"] for token in row)  # no special token
    filled = call("infill", masked, given="the cat [MASK:2] .\n")
    assert filled.out.startswith("the cat")
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n")
    scored = call("score", masked, tmp_path / "text.txt", "--documents", "--json").json
    assert scored["tokens"] == 6


def test_texts_of_a_form(call, talker, tmp_path):
    """--regex, --json-schema and --choice of complete and chat."""
    model, line = unmask.TextModel.load(talker), ("complete", talker, "the cat", "--seed", 3)
    said = call(*line, "--max-new-tokens", 12, "--regex", "[ab]{3,5}", "--json").json
    expected = model.complete("the cat", 12, regex="[ab]{3,5}", seed=3)
    assert [row["completion"] for row in said["rows"]] == [expected.text]
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}'
    )
    said = call(
        *line, "--max-new-tokens", 16, "--json-schema", schema, "--likeliest", "--json"
    ).json
    assert json.loads(said["rows"][0]["completion"]) == {"a": None}
    printed = call("chat", talker, "--choice", "yes", "--choice", "no", given="really?\nsure?\n")
    assert {*printed.out.split()} <= {"yes", "no"}
    assert len(printed.out.split()) == 2
    out = tmp_path / "out.jsonl"
    for choice in ("yes", "no"):
        call(*line, "--choice", choice, "--out", out)
        assert json.loads(out.read_text())["completion"] == choice


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--regex", "("], "regex='(' is no regular expression"),
        (["--regex", "a", "--choice", "b"], "regex= and choices= are both given"),
        (["--json-schema", "missing.json"], "missing.json"),
        (["--likeliest"], "chooses among texts of a form"),
        (["--regex", "a{99}"], "99 at least: pass 99 or more"),
    ],
)
def test_forms_that_cannot_be(call, talker, options, told):
    done = call("complete", talker, "x", *options)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())
