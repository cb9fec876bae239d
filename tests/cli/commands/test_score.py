"""`unmask score`: figures are those of `unmask.score`, and what cannot be scored is told."""

import inspect
import json
import math

import numpy as np
import pytest
import torch
from tests.data.conftest import WORDS

import unmask
from unmask import presets, scoring
from unmask.cli.commands import score as command
from unmask.cli.ui import screen
from unmask.data import Vocabulary
from unmask.data.padding import EndFill, to_dict
from unmask.tasks import TASKS


@pytest.fixture
def boards(tmp_path):
    """Ten boards in an array."""
    tokens = TASKS["shidoku"]().held_out[:10]
    np.save(tmp_path / "boards.npy", tokens.numpy())
    return tokens


@pytest.fixture
def digits(tmp_path):
    task = TASKS["digits"]()
    rows = [
        {"ids": tokens.tolist(), "class": int(label)}
        for tokens, label in zip(task.held_out[:6], task.held_out_labels, strict=False)
    ]
    (tmp_path / "digits.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return task.held_out[:6], task.held_out_labels[:6]


@pytest.fixture
def reader(tmp_path):
    """A model of bytes with 24 positions."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = BertConfig(
        vocab_size=257, intermediate_size=8, max_position_embeddings=24, initializer_range=0.5,
        **small,
    )  # fmt: skip
    denoiser = unmask.wrap(BertForMaskedLM(config), mask_id=256, length=24)
    unmask.save(denoiser, tmp_path / "reader", vocabulary=Vocabulary.of_bytes().to_dict())
    (tmp_path / "poem.txt").write_text("a rose is a rose is a rose\nis a rose\n" * 3)
    return denoiser.eval()


@pytest.fixture
def words(tmp_path, tokenizer):
    """A model of the words of a tokenizer, which puts [CLS] and </s> around a text."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = BertConfig(
        vocab_size=len(WORDS), intermediate_size=8, max_position_embeddings=8,
        initializer_range=0.5, **small,
    )  # fmt: skip
    denoiser = unmask.wrap(BertForMaskedLM(config), mask_id=WORDS.index("[MASK]"), length=8)
    vocabulary = Vocabulary.of_tokenizer(tokenizer)
    unmask.save(denoiser, tmp_path / "words", vocabulary=vocabulary.to_dict())
    return denoiser.eval()


def test_a_text_is_scored_between_its_special_tokens(call, words, tmp_path):
    (tmp_path / "lines.txt").write_text("the cat sat\na [CLS] dog sat on\n")
    said = call("score", "words", "lines.txt", "--pseudo", "--documents", "--json").json
    lines = ["[CLS] the cat sat </s>", "[CLS] a [CLS] dog sat on </s>"]
    for row, line in enumerate(lines):
        tokens = torch.tensor([[WORDS.index(word) for word in line.split()]])
        maskable = tokens > WORDS.index("[CLS]")
        wanted = scoring.score(words, tokens, maskable, by=scoring.PseudoLikelihood())
        assert said["nats_per_example"][row] == pytest.approx(float(wanted.per_example), rel=1e-5)
    assert said["tokens"] == 3 + 4
    assert (
        "1 of the tokens are special ids, which this model never generates: given, not scored"
        in said["notes"]
    )


def test_a_tokenizer_may_be_passed(call, words, tokenizer, tmp_path):
    (tmp_path / "lines.txt").write_text("the cat sat\n")
    line = ("lines.txt", "--pseudo", "--documents", "--json")
    wanted = call("score", "words", *line).json["nats_per_example"]
    unmask.save(words, tmp_path / "mute")
    assert call("score", "mute", *line, "--tokenizer", tokenizer).json["nats_per_example"] == wanted


def test_windows_of_a_text_leave_place_for_special_tokens(call, words, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat " * 3)
    said = call("score", "words", "text.txt", "--json").json
    assert said["tokens_per_example"] == [6, 6, 6]


def test_ids_are_scored_as_they_are(call, words, tmp_path):
    np.save("ids.npy", [[4, 5, 6, 7, 3]])  # [CLS] the cat sat </s>
    said = call("score", "words", "ids.npy", "--pseudo", "--json").json
    assert said["tokens"] == 3
    assert (
        "2 of the tokens are special ids, which this model never generates: given, not scored"
        in said["notes"]
    )


WAYS = {
    (): scoring.Bound(),
    ("--samples", 3): scoring.Bound(3),
    ("--order", "random_order", "--steps", 3): scoring.Ordered(presets.random_order(steps=3)),
    ("--order", "first_hitting"): scoring.Ordered(presets.first_hitting()),
    ("--pseudo",): scoring.PseudoLikelihood(),
}


@pytest.mark.parametrize("options", WAYS)
def test_json_holds_what_python_gives(call, boards, options):
    said = call("score", "shidoku", "boards.npy", *options, "--seed", 4, "--json").json
    found = unmask.score(unmask.load("shidoku"), boards, by=WAYS[options], seed=4)
    for name in ("nats_per_token", "standard_error", "bits_per_token", "perplexity"):
        assert said[name] == pytest.approx(getattr(found, name), rel=1e-6)
    assert said["nats_per_example"] == pytest.approx(found.per_example.tolist(), rel=1e-6)
    assert said["tokens_per_example"] == [16] * 10
    assert (said["tokens"], said["examples"], said["kind"]) == (160, 10, found.kind)
    assert (said["model"], said["file"], said["seed"]) == ("shidoku", "boards.npy", 4)
    assert said["seconds"] > 0
    assert said["notes"] == ["10 examples of 16 tokens"]


def test_lines_say_figure_error_and_what_it_is(call, boards):
    found = unmask.score(unmask.load("shidoku"), boards)
    said = call("score", "shidoku", "boards.npy").out
    assert f"{found.nats_per_token:.4f} ± {found.standard_error:.4f} nats per token" in said
    assert f"perplexity {found.perplexity:.2f}" in said
    assert "upper bound" in said
    assert "160 tokens in 10 rows" in said
    assert "not a likelihood" in call("score", "shidoku", "boards.npy", "--pseudo").out
    exact = call("score", "shidoku", "boards.npy", "--order", "confidence")
    assert "exactly" in exact.out
    assert exact.err == ""


def test_batches_and_one_row(call, boards, tmp_path):
    whole, parts = (
        call("score", "shidoku", "boards.npy", "--batch-size", n, "--json").json for n in (999, 3)
    )
    assert whole["nats_per_token"] == pytest.approx(parts["nats_per_token"], rel=1e-5)
    np.save(tmp_path / "one.npy", boards[:1].numpy())
    assert call("score", "shidoku", "one.npy", "--json").json["standard_error"] > 0
    assert "±" in call("score", "shidoku", "one.npy").out
    alone = call("score", "shidoku", "one.npy", "--samples", "1")
    assert "±" not in alone.out


def test_what_json_does_not_know_is_null():
    each = torch.tensor([math.inf, 1.0], dtype=torch.float64)
    result = scoring.Score(math.inf, math.nan, 2, 2, each, torch.tensor([1, 1]), "exact")
    told = command._figures(result)
    assert (told["nats_per_token"], told["standard_error"], told["perplexity"]) == (None,) * 3
    assert told["nats_per_example"] == [None, 1.0]
    json.dumps(told, allow_nan=False)


def test_classes_are_told_where_asked(call, digits):
    tokens, labels = digits
    line = ("score", "digits", "digits.jsonl", "--order", "confidence", "--steps", "4", "--json")
    by = scoring.Ordered(presets.confidence(steps=4))

    def expected(condition):
        found = unmask.score(unmask.load("digits"), tokens, by=by, condition=condition)
        return pytest.approx(found.nats_per_token, rel=1e-5)

    without, three, own = (call(*line, *more).json["nats_per_token"]
                           for more in ((), ("--class", 3), ("--class", "file")))  # fmt: skip
    assert without == expected(None)
    assert three == expected(torch.full((6,), 3))
    assert own == expected(labels)
    assert len({without, three, own}) == 3


def test_running_text_in_windows_of_the_model(call, reader, tmp_path):
    data = list((tmp_path / "poem.txt").read_bytes())
    windows = torch.tensor(data[: len(data) // 24 * 24]).view(-1, 24)
    said = call("score", "reader", "poem.txt", "--json").json
    found = unmask.score(reader, windows)
    assert said["nats_per_token"] == pytest.approx(found.nats_per_token, rel=1e-5)
    assert call("score", "reader", "poem.txt", "--length", 8, "--json").json["examples"] == (
        len(data) // 8
    )
    with pytest.raises(AssertionError, match="24 positions"):
        call("score", "reader", "poem.txt", "--length", 30, "--json").json  # noqa: B018


def test_lines_of_text_on_their_own(call, reader, tmp_path):
    lines = ["a rose", "is a rose is a rose", "rose"]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    said = call("score", "reader", "lines.txt", "--documents", "--pseudo", "--json").json
    assert said["tokens_per_example"] == [len(line) for line in lines]
    alone = [
        unmask.score(reader, torch.tensor([list(line.encode())]), by=scoring.PseudoLikelihood())
        for line in lines
    ]
    expected = [float(each.per_example[0]) for each in alone]
    assert said["nats_per_example"] == pytest.approx(expected, rel=1e-5)


def test_prompts_are_given_and_not_scored(call, tmp_path):
    tokens = TASKS["shidoku"]().held_out[0]
    (tmp_path / "row.jsonl").write_text(json.dumps({"ids": tokens.tolist(), "prompt": 13}))
    said = call("score", "shidoku", "row.jsonl", "--order", "confidence", "--json").json
    asked = torch.arange(16)[None] >= 13
    by = scoring.Ordered(presets.confidence())
    found = unmask.score(unmask.load("shidoku"), tokens[None], asked, by=by)
    assert said["tokens"] == 3
    assert said["nats_per_token"] == pytest.approx(found.nats_per_token, rel=1e-5)


def test_height_and_width_of_a_board_are_known(call, boards):
    said = call("score", "shidoku", "boards.npy", "--order", "halton", "--json").json
    assert said["tokens"] > 0


REFUSED = {
    "two ways": (("--pseudo", "--samples", 3), "--samples and --pseudo name different methods"),
    "steps": (("--steps", 3), "--order confidence"),
    "no such order": (("--order", "confidnce"), "did you mean 'confidence'?"),
    "draws first": (("--order", "maskgit"), "draws tokens and then ranks them"),
    "needs a critic": (("--order", "token_critic"), "needs a critic"),
    "no steps": (("--order", "first_hitting", "--steps", 3), "takes no --steps"),
    "no samples": (("--samples", 0), "pass an integer of 1 or more"),
    "no batch": (("--batch-size", 0), "batch_size=0"),
    "no classes": (("--class", 1), "has no classes"),
    "no classes of a file": (("--class", "file"), "has no classes"),
    "class of a name": (("--class", "cat"), "pass a number, or 'file'"),
    "seed": (("--seed", -1), "seed=-1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_do_not_apply(call, boards, name):
    options, words = REFUSED[name]
    assert words in call("score", "shidoku", "boards.npy", *options).error()


def test_files_that_do_not_fit(call, boards, digits, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "words.txt").write_text("four score and seven years ago\n" * 9)
    np.save(tmp_path / "high.npy", boards.numpy() + 40)
    np.save(tmp_path / "masks.npy", boards.numpy() * 0 + 4)
    for model, file, words in (
        ("shidoku", "empty.txt", "empty.txt holds nothing to read"),
        ("shidoku", "none.npy", "none.npy: no such file"),
        ("shidoku", "words.txt", "words.txt is text, and the card of shidoku does not say"),
        ("shidoku", "high.npy", "at row 0, position 0 is outside the vocabulary of 5"),
        ("shidoku", "masks.npy", "id 4 at row 0, position 0 is the mask id"),
        ("shidoku", "digits.jsonl", "digits.jsonl, row 0: 64 tokens, and shidoku has 16"),
        ("digits", "boards.npy", "16 tokens, and digits generates images of 64: pass whole rows"),
        ("nobody", "boards.npy", "neither a bundled model nor a folder"),
    ):
        assert words in call("score", model, file).error()
    np.save(tmp_path / "plain.npy", TASKS["digits"]().held_out[:3].numpy())
    said = call("score", "digits", "plain.npy", "--class", "file").error()
    assert "row 0 has no class" in said


def test_a_bar_is_moved_along(call, boards, monkeypatch):
    moved = []
    monkeypatch.setattr(
        screen.Progress, "update", lambda self, bar, **at: moved.append(tuple(at.values()))
    )
    call("score", "shidoku", "boards.npy", "--batch-size", 40)
    assert moved[0] == (0, 160)
    assert moved[-1] == (160, 160)
    assert len(moved) > 3


def test_the_options_name_every_way_of_scoring():
    offered = inspect.signature(command.command).parameters
    assert {"samples", "order", "pseudo"} <= offered.keys()
    assert set(command.WHAT) == {by.kind for by in WAYS.values()}


def test_scores_have_the_padding_of_training(call, tmp_path):
    """What was learnt to stand after the end is there, and is scored with the rest."""
    vocabulary = Vocabulary("ids", size=6, mask_id=6, eos_id=5)
    net = unmask.load("shidoku").net.__class__
    config = net.config_class(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8,
    )  # fmt: skip
    model = unmask.wrap(net(config), mask_id=6, length=8)
    card = {"vocabulary": vocabulary.to_dict()}
    (tmp_path / "rows.jsonl").write_text('{"ids": [1, 2, 3]}\n{"ids": [4, 1]}\n')
    line = ("rows.jsonl", "--json")
    unmask.save(model, "plain", **card)
    assert call("score", "plain", *line).json["tokens"] == 5
    ends = {"training": {"padding": to_dict(EndFill(5))}}
    unmask.save(model, "ends", **card, **ends)
    assert call("score", "ends", *line).json["tokens"] == 16


@pytest.mark.parametrize("left", [False, True])
def test_padding_of_the_file_is_not_scored(call, reader, tmp_path, left):
    rows = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]
    plain = [{"input_ids": row} for row in rows]
    padded = []
    for row in rows:
        rest = [0] * (4 - len(row))
        ids, mask = (rest + row, rest + [1] * len(row)) if left else (
            row + rest, [1] * len(row) + rest
        )  # fmt: skip
        padded.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": [0] * 4})
    for name, table in (("plain", plain), ("padded", padded)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, table)))
    said = [call("score", "reader", f"{name}.jsonl", "--json").json for name in ("plain", "padded")]
    assert said[0]["tokens_per_example"] == [4, 2, 3]
    assert said[0]["nats_per_example"] == said[1]["nats_per_example"]
    assert said[1]["notes"][1:] == [
        "3 positions of padding cut off, by 'attention_mask'",
        "columns not read: token_type_ids",
    ]
