"""`unmask train --data` and its models: names that end, and images that are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unmask
from unmask.data import Vocabulary
from unmask.models.checkpoint import read_card

SMALL = (
    "--set", "backbone.model_type=megatron-bert", "--set", "backbone.hidden_size=16",
    "--set", "backbone.num_hidden_layers=1", "--set", "backbone.num_attention_heads=2",
    "--set", "backbone.intermediate_size=16",
)  # fmt: skip


def size(path):
    with Image.open(path) as picture:
        return picture.size


NAMES = ["Anna", "Bo", "Cleo", "Dörte", "Ed", "Fay", "Gus", "Hal", "Ida", "Jo"]
END = 256


def test_names_that_end(call, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES * 4) + "\n", encoding="utf-8")
    line = ("train", "--data", "names.txt", "--set", "data.documents=true", "--steps", 2)
    done = call(*line, *SMALL, "--out", "names")
    assert "lengths are learnt" in done.err
    card = read_card("names")
    assert card.training["padding"] == {"name": "end_of_sequence", "eos_id": END}
    assert (card.length, card.end_id) == (7, END)  # the longest, and its end
    vocabulary = Vocabulary.from_dict(card.vocabulary)
    assert vocabulary == Vocabulary.of_bytes(end=True)
    model = unmask.load("names")
    assert model.spec.end_id == END
    tokens = unmask.generate(model, batch_size=40, seed=0)
    said = call("generate", "names", "-n", 40, "--json").json
    assert said["tokens"] == tokens.tolist()
    texts = [vocabulary.decode(row) for row in tokens.tolist()]
    assert said["text"] == texts
    data = {*"\n".join(NAMES).encode(), END} - {ord("\n")}
    assert set(tokens.unique().tolist()) <= data  # an untrained network draws what data has
    line = ("generate", "names", "-n", 40, "--json", "--preset", "confidence")
    assert {token for row in call(*line).json["tokens"] for token in row} <= data
    advice = "to fill it in itself, pass --puzzle 'Zx[MASK]'"
    assert advice in call("infill", "names", "Zx[MASK]").error()
    (infilled,) = call("infill", "names", "--puzzle", "Zx[MASK]", "--json").json["tokens"]
    assert infilled[:2] == [*b"Zx"]  # may be given
    assert infilled[2] in data
    (tmp_path / "other.txt").write_text("Zoe\n")
    assert call("score", "names", "other.txt", "--documents", "--json").json["tokens"] == 7
    ends = [row.index(END) if END in row else len(row) for row in tokens.tolist()]
    assert len(set(ends)) > 2
    for row, end, text in zip(tokens.tolist(), ends, texts, strict=True):
        assert set(row[end:]) <= {END}
        assert text == bytes(row[:end]).decode("utf-8", errors="replace")
    printed = call("generate", "names", "-n", 1, "--preset", "confidence").out
    assert "Ā" not in printed
    scored = call("score", "names", "names.txt", "--documents", "--json").json
    assert scored["tokens"] == 40 * 7  # the ends, too
    assert "names.txt" in json.dumps(scored)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ((), "lengths are learnt"),
        (("--set", "padding=excluded"), "lengths are not learnt: padding=end_of_sequence teaches"),
    ],
)
def test_whether_lengths_are_learnt_is_said(call, trained, tmp_path, sets, told):
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    done = call("train", "--data", "names.txt", "--set", "data.documents=true", *sets)
    assert told in done.err
    rows = [{"ids": [1, 2, 3]}, {"ids": [1]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = call("train", "--data", "a.jsonl")
    assert "lengths are not learnt: these ids have no end of sequence" in done.err
    (tmp_path / "book.txt").write_text("to be or not to be " * 20)
    assert "lengths" not in call("train", "--data", "book.txt").err


@pytest.mark.parametrize("stored", ["images", "rows", "safetensors"])
def test_images_are_shown_as_pictures(call, tmp_path, stored):
    images = (np.arange(40 * 3 * 4).reshape(40, 3, 4) % 5).astype(np.uint8)
    file, sets = "images.npy", ()
    if stored == "rows":
        np.save(file, images.reshape(40, 12))
        sets = ("--set", "data.shape=[3,4]")
    elif stored == "images":
        np.save(file, images)
    else:
        from safetensors.numpy import save_file

        save_file({"images": images}, file := "images.safetensors")
    done = call("train", "--data", file, *sets, *SMALL, "--steps", 2, "--out", "mine")
    assert "each is read as an image of 3×4" in done.err
    card = read_card("mine")
    layout = card.about["layout"]
    assert (layout["kind"], layout["height"], layout["width"], layout["levels"]) == (
        "image", 3, 4, 5
    )  # fmt: skip
    assert card.grid == (3, 4)
    assert size("mine.samples/step-000002.png")[0] > 12
    assert call("generate", "mine", "-n", 2, "--out", "two.png").code == 0
    wide, tall = size("two.png")
    assert wide > tall  # two of 3 lines of 4, side by side
    np.save("half.npy", np.where(np.arange(4) < 2, images[0].astype(int), -1))
    infilled = call("infill", "mine", "--image", "half.npy", "--json").json["tokens"][0]
    assert np.array(infilled).reshape(3, 4)[:, :2].tolist() == images[0][:, :2].tolist()


def test_the_shape_of_other_data_is_refused(call, tmp_path):
    (tmp_path / "book.txt").write_text("to be or not to be " * 20)
    told = call("train", "--data", "book.txt", "--set", "data.shape=[2,2]").error()
    assert "no rows of one width" in told


def test_a_model_of_documents_keeps_what_is_given_and_scores_documents(call):
    Path("names.txt").write_text("".join(f"{name}\n" for name in ["ann", "bob", "cleo"] * 10))
    small = [f"backbone.{key}" for key in ("model_type=bert", "hidden_size=8",
             "num_hidden_layers=1", "num_attention_heads=1", "intermediate_size=8")]  # fmt: skip
    sets = [word for each in small for word in ("--set", each)]
    call("train", "--data", "names.txt", "--out", "m", "--set", "data.documents=true", *sets,
         "--steps", 2, "--samples", 0)  # fmt: skip
    texts = call("infill", "m", "--puzzle", "b[MASK:3]z", "-n", 20, "--json").json["text"]
    assert len(texts) == 20
    assert all(text[0] == "b" and text[-1] == "z" for text in texts)
    by_itself = call("score", "m", "names.txt", "--pseudo", "--json").json
    told = call("score", "m", "names.txt", "--pseudo", "--documents", "--json").json
    assert by_itself["nats_per_token"] == told["nats_per_token"]
