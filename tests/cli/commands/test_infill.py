"""`unmask infill`: every way to say what is given, and what comes back."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.conftest import WORDS

import unmask
from unmask.presets import by_name

from ..conftest import files

PUZZLE = "1..4..2..3..4..1"
IDS = [0, None, None, 3, None, None, 1, None, None, 2, None, None, 3, None, None, 0]


def agrees(row, given):
    return all(want in (None, got) for want, got in zip(given, row, strict=True))


def test_lines_of_symbols_come_back_completed(call):
    done = call("infill", "shidoku", "--puzzle", PUZZLE, "--puzzle", "." * 16)
    assert done.code == 0
    first, second = done.out.splitlines()
    assert agrees(first, [None if sign == "." else sign for sign in PUZZLE])
    assert set(first + second) <= set("1234")
    assert len(second) == 16
    assert "2 rows in 16 steps" in done.err


def test_zero_and_dot_both_mean_unknown(call):
    dots = call("infill", "shidoku", "--puzzle", PUZZLE).out
    assert call("infill", "shidoku", "--puzzle", PUZZLE.replace(".", "0")).out == dots
    assert call("infill", "shidoku", given=f"\n{PUZZLE}\n\n").out == dots


def test_lines_of_json_come_back_as_json(call, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(IDS) + "\n" + json.dumps([None] * 16))
    piped = call("infill", "shidoku", given=(tmp_path / "rows.jsonl").read_text())
    rows = [json.loads(line) for line in piped.out.splitlines()]
    assert agrees(rows[0], IDS)
    assert len(rows) == 2
    assert call("infill", "shidoku", "--tokens", "rows.jsonl").out == piped.out
    dash = call("infill", "shidoku", "--tokens", "-", given=json.dumps(IDS)).out
    assert dash == piped.out.splitlines()[0] + "\n"


def test_rows_of_different_lengths(call, folders):
    given = "[1, null, 3]\n[null, 2, null, null, 0]\n"
    said = call("infill", folders["text"], "--json", given=given).json
    assert list(map(len, said["tokens"])) == [3, 5]
    assert agrees(said["tokens"][1], [None, 2, None, None, 0])
    lines = call("infill", folders["text"], given=given).out.splitlines()
    assert [json.loads(line) for line in lines] == said["tokens"]
    refused = call("infill", folders["text"], "--out", "a.png", given=given)
    assert "rows of different lengths" in refused.error()


def test_json_of_a_solved_board_spends_nothing(call):
    board = "1234341221434321"
    said = call("infill", "shidoku", "--puzzle", board, "--json").json
    assert (said["text"], said["valid"], said["forwards"]) == ([board], [True], [0])


def half_an_image():
    image = np.tile(np.arange(8.0), (8, 1))
    image[4:] = np.nan
    return image


@pytest.mark.parametrize("unknown", ["nan", "-1", "stack"])
def test_images_from_an_array(call, tmp_path, unknown):
    image = half_an_image()
    if unknown == "-1":
        image = np.nan_to_num(image, nan=-1).astype(np.int8)
    np.save("half.npy", image[None] if unknown == "stack" else image)
    line = ("infill", "digits", "--image", "half.npy", "-n", 2)
    line += ("--preset", "random_order", "--steps", 4)
    said = call(*line, "--class", 5, "--out", "a.png", "--json").json
    assert [row[:32] for row in said["tokens"]] == [list(range(8)) * 4] * 2
    assert said["tokens"][0] != said["tokens"][1]
    assert said["files"] == ["a.png"]
    with Image.open("a.png") as picture:
        assert picture.format == "PNG"
    assert "2 rows in 4 steps" in call(*line).out


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((7, 8)), "shape (7, 8): pass numbers of shape (8, 8)"),
        (np.full((8, 8), 17), "holds 17: pass whole grey levels from 0 to 16"),
        (np.full((8, 8), 0.5), "holds 0.5: pass whole grey levels"),
        (np.full((8, 8), "a"), "pass numbers"),
        (np.full((8, 8), np.inf), "holds inf"),
        (np.array([{}]), "is not a .npy array of numbers"),
    ],
)
def test_other_arrays_are_refused(call, tmp_path, array, words):
    np.save("array.npy", array)
    assert words in call("infill", "digits", "--image", "array.npy").error()


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["--puzzle", "1234"], None, "line 1 has 4 cells: this board of 4×4 has 16"),
        (["--puzzle", PUZZLE[:15] + "x"], None, "line 1, column 16: 'x' is none of 1234"),
        ([], "\n" + PUZZLE[:15] + "7", "line 2, column 16: '7'"),
        ([], "", "the input is empty"),
        ([], "[1, null", "line 1, column 9: not JSON"),
        ([], "[1, 2.5]", "line 1: 2.5 cannot be read"),
        ([], "[true]", "line 1: true cannot be read"),
        ([], "[[1]]", "line 1: [1] cannot be read"),
        ([], "[]", "line 1: [] cannot be read"),
        (["--tokens", "-"], "7", "line 1: 7 cannot be read"),
        ([], "[1, null]", "line 1 has 2 cells"),
        ([], json.dumps([9, *IDS[1:]]), "id 9 at row 0, position 0 is outside the vocabulary of 5"),
        (["--tokens", "nowhere"], None, "--tokens nowhere cannot be read"),
        (["--image", "nowhere.npy"], None, "generates boards, not images"),
        (["--puzzle", PUZZLE, "--tokens", "-"], None, "more than one source of rows"),
        (["--puzzle", PUZZLE, "-n", 0], None, "-n 0: pass 1 or more"),
        (["--puzzle", PUZZLE, "--preset", "maskgt"], None, "did you mean 'maskgit'?"),
    ],
)
def test_what_cannot_be_read_is_told(call, tmp_path, arguments, given, words):
    assert words in call("infill", "shidoku", *arguments, "--out", "a.png", given=given).error()
    assert files(tmp_path) == []


def test_images_have_no_lines(call):
    assert "pass --tokens" in call("infill", "digits", "--puzzle", "12").error()


@pytest.fixture
def text_model(tmp_path):
    """An untrained model of bytes."""
    from transformers import BertConfig, BertForMaskedLM

    from unmask.data import Vocabulary

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=257, intermediate_size=16, max_position_embeddings=32, **sizes)
    denoiser = unmask.wrap(BertForMaskedLM(config), mask_id=256, length=32)
    vocabulary = Vocabulary.of_bytes()
    unmask.save(denoiser, tmp_path / "bytes", vocabulary=vocabulary.to_dict())
    return tmp_path / "bytes"


def test_text_is_filled_in_where_it_says_mask(call, text_model):
    said = call("infill", text_model, "--puzzle", "a. 10 [MASK:3]é[MASK]", "--json").json
    (row,) = said["tokens"]
    known = list(b"a. 10 ")
    assert row[:6] == known
    assert row[9:11] == list("é".encode())
    assert len(row) == 6 + 3 + 2 + 1


def test_text_of_a_form_is_filled_in(call, text_model):
    """From the first to the last unknown position, what is given between included."""
    line = ("infill", text_model, "--puzzle", "a [MASK:2]c[MASK] z", "-n", 8, "--json")
    said = call(*line, "--regex", "(xy|q[0-9])c[ab]").json
    assert all(re.fullmatch("a (xy|q[0-9])c[ab] z", text) for text in said["text"])
    assert {text[2:4] for text in call(*line, "--choice", "nocb", "--likeliest").json["text"]} == {
        "no"
    }
    told = "the automaton accepts no sequence of the 4 positions of row 0"
    assert told in " ".join(call(*line, "--regex", "abcde").error().split())
    refused = call("infill", "shidoku", "--puzzle", "1..4....2....3..", "--regex", "1")
    assert "the ids of shidoku are no text" in refused.error()


def test_a_file_of_any_kind_is_read(call, text_model, tmp_path):
    (tmp_path / "text.txt").write_text("a[MASK]\n\nb[MASK:2]\n")
    (tmp_path / "boards.txt").write_text(f"{PUZZLE}\n{'.' * 16}\n")
    (tmp_path / "ids.jsonl").write_text(json.dumps(IDS))
    np.save("half.npy", half_an_image())
    said = call("infill", text_model, "text.txt", "--json").json
    assert [len(row) for row in said["tokens"]] == [2, 3]
    by_file = call("infill", "shidoku", "boards.txt").out
    assert (
        by_file == call("infill", "shidoku", "-", given=(tmp_path / "boards.txt").read_text()).out
    )
    assert agrees(json.loads(call("infill", "shidoku", "ids.jsonl").out), IDS)
    assert call("infill", "digits", "half.npy", "--steps", 2).code == 0
    both = call("infill", "shidoku", "boards.txt", "--puzzle", PUZZLE)
    assert "more than one source of rows" in both.error()


def test_what_is_no_text_is_told(call, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"1..4\xff")
    said = "data.bin is not text: byte 4 is no UTF-8; pass text, or an array of ids in .npy"
    assert said in call("infill", "shidoku", "data.bin").error()
    assert said in call("solve", "data.bin", "shidoku").error()
    assert "standard input is not text: byte 0" in call("infill", "shidoku", given=b"\xff").error()
    assert "cannot be read: Is a directory" in call("infill", "shidoku", tmp_path).error()


@pytest.mark.parametrize("clues", ["11" + "." * 14, "1" + "." * 7 + "1" + "." * 7])
def test_a_puzzle_that_contradicts_itself_is_told(call, clues):
    error = call("infill", "shidoku", "--puzzle", PUZZLE, "--puzzle", clues).error()
    assert "puzzle 2 contradicts itself: 1 is given at row 1, column 1, and again at row" in error


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("\n", "the input is empty"),
        (" \n\n", "the input is empty"),
        ("a [MASK:-2]", "line 1: [MASK:-2] names no number of positions: write [MASK] for one"),
        ("[MASK:-2] a", "line 1: [MASK:-2] names no number of positions"),
        ("a\n[MASK:0]", "line 1 has no unknown position"),
        ("[MASK]\n[MASK:0]", "line 2: [MASK:0] names no number"),
        ("[MASK:x]", "[MASK:x] names no number"),
        ("[MASK:33]", "for twelve, at most 32"),
        ("[MASK:" + "9" * 30 + "]", "for twelve, at most 32"),
        ("[CLS] a", "line 1 has no unknown position: write [MASK]"),
    ],
)
def test_marks_that_cannot_be_read(call, text_model, line, words):
    assert words in call("infill", text_model, given=line).error()


def test_text_in_brackets_is_text(call, text_model):
    (row,) = call("infill", text_model, "--puzzle", "[CLS] a[MASK]", "--json").json["tokens"]
    assert row[:7] == list(b"[CLS] a")
    (row,) = call("infill", text_model, "--puzzle", "[97, null]", "--json").json["tokens"]
    assert row[0] == 97


@pytest.fixture
def words(tmp_path, tokenizer):
    """An untrained model of the words of a tokenizer, which puts [CLS] and </s> around a text."""
    from transformers import BertConfig, BertForMaskedLM

    from unmask.data import Vocabulary

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS), intermediate_size=16, max_position_embeddings=32,
                        initializer_range=1.0, **sizes)  # fmt: skip
    denoiser = unmask.wrap(BertForMaskedLM(config), mask_id=WORDS.index("[MASK]"))
    vocabulary = Vocabulary.of_tokenizer(tokenizer)
    unmask.save(denoiser, tmp_path / "words", vocabulary=vocabulary.to_dict())
    return tmp_path / "words"


def test_a_text_has_the_special_tokens_of_its_tokenizer(call, words, monkeypatch):
    from unmask.cli.runs import generation_job

    seen = []
    real = generation_job.emerge
    monkeypatch.setattr(
        generation_job,
        "emerge",
        lambda denoiser, canvas, *rest, **named: (
            seen.append(canvas) or real(denoiser, canvas, *rest, **named)
        ),
    )
    said = call("infill", words, "--puzzle", "the cat [MASK:3]", "-n", 20, "--json").json
    known = [WORDS.index(word) for word in ("[CLS]", "the", "cat", "</s>")]
    assert seen[0].tokens[0][[0, 1, 2, -1]].tolist() == known
    assert seen[0].shape == (20, 7)
    assert {len(row) for row in said["tokens"]} == {5}
    assert {tuple(row[:2]) for row in said["tokens"]} == {tuple(known[1:3])}
    drawn = {token for row in said["tokens"] for token in row[2:]}
    assert drawn <= set(range(5, len(WORDS)))  # no special token, the end of a sequence included
    assert all(text.startswith("the cat ") and "[" not in text for text in said["text"])


def test_special_tokens_are_never_generated(call, words):
    rows = call("generate", words, "--length", 8, "-n", 50, "--json").json["tokens"]
    assert {token for row in rows for token in row} <= set(range(5, len(WORDS)))


@pytest.mark.parametrize(
    ("line", "words_told"),
    [
        ("the zebra [MASK]", "line 1: the tokenizer has no token for 'zebra'"),
        ("the [MASK]\n[MASK] sat on Mars", "line 2: the tokenizer has no token for 'Mars'"),
    ],
)
def test_a_word_without_a_token_is_told(call, words, line, words_told):
    assert words_told in call("infill", words, given=line).error()
    assert call("infill", words, "--puzzle", "the [UNK] [MASK]").code == 0


def test_text_without_anything_unknown_is_told(call, text_model):
    assert "[MASK:12] for twelve" in call("infill", text_model, "--puzzle", "a. 10").error()


def test_comments_in_files_of_boards_and_ids(call, tmp_path):
    plain = call("infill", "shidoku", "--puzzle", PUZZLE).out
    assert call("infill", "shidoku", given=f"# easy\n{PUZZLE} # the first\n  #\n").out == plain
    ids = f"# ids\n  {json.dumps(IDS)}  # the same\n#{json.dumps(IDS)}\n"
    (tmp_path / "rows.jsonl").write_text(ids)
    rows = call("infill", "shidoku", "--tokens", "rows.jsonl").out
    assert rows == call("infill", "shidoku", given=json.dumps(IDS)).out
    assert call("infill", "shidoku", given=ids).out == rows
    assert "the input is empty" in call("infill", "shidoku", given="# nothing\n").error()
    wrong = call("infill", "shidoku", given=f"# easy\n{PUZZLE[:5]}x{PUZZLE[6:]} # no\n").error()
    assert "line 2, column 6: 'x'" in wrong


def test_a_symbol_of_the_board_begins_no_comment():
    from unmask.cli.io.canvas_input import read_text
    from unmask.viz import Layout

    maze = Layout.board(2, 2, " #")
    assert read_text("#.#.\n", maze, ids=False).rows == [[1, None, 1, None]]
    assert read_text("[1, null, 1, null]  # a maze\n", maze, ids=True).rows == [[1, None, 1, None]]


@pytest.fixture
def family(tmp_path):
    """A model of a family, with a tokenizer that would put <|end|> before a text by itself."""
    from tests.text.models import byte_level, decoder
    from tokenizers import processors

    own = byte_level()
    begun = processors.TemplateProcessing("<|end|> $A", special_tokens=[("<|end|>", 0)])
    own.backend_tokenizer.post_processor = begun
    assert own("a")["input_ids"][0] == 0
    return decoder(tmp_path / "dream", own)


def test_texts_are_read_as_by_a_text_model(call, family):
    """No special tokens around those of a family, and the tokenizer's own mask token is a mask."""
    model = unmask.TextModel.load(family)
    assert model.encoding.around == ([], [])
    ids = model.encoding.encode("caf")
    said = [
        call("infill", family, "--puzzle", text, "--json").json
        for text in ("caf[MASK:2]!", "caf<|mask|><|mask|>!", "caf[MASK][MASK]!")
    ]
    for each in said:
        assert (each["tokens"], each["text"]) == (said[0]["tokens"], said[0]["text"])
    (row,) = said[0]["tokens"]
    assert row[: len(ids)] == ids
    assert len(row) == len(ids) + 3
    strategy = by_name.build_recommended(model.denoiser.spec.recommended, instead="")
    never = unmask.Constraint(forbidden=model._never)
    unknown = [i == 3 for i in [*ids, 3, 3, 0]]
    canvas = unmask.Canvas.infill([[*ids, 3, 3, *model.encoding.encode("!")]], [unknown])
    wanted = unmask.run(model.denoiser, canvas, strategy.but(constraint=never), seed=0)
    assert wanted.tokens.tolist() == [row]


@pytest.mark.parametrize("command", ["generate", "score"])
def test_texts_of_a_family_have_nothing_around_them(call, family, tmp_path, monkeypatch, command):
    from transformers import Qwen2Model

    seen, real = [], Qwen2Model.forward

    def spied(self, *arguments, **named):
        out = real(self, *arguments, **named)
        seen.append(out.last_hidden_state.shape[1])
        return out

    monkeypatch.setattr(Qwen2Model, "forward", spied)
    (tmp_path / "text.txt").write_text("the cat\n")
    length = len(unmask.TextModel.load(family).encoding.encode("the cat"))
    line = {
        "generate": ("--length", length, "-n", 1),
        "score": (tmp_path / "text.txt", "--documents", "--pseudo"),
    }
    done = call(command, family, *line[command], "--json")
    assert done.code == 0, done.err
    assert {*seen} == {length}
