"""Tokenizers of the models of transformers that commands open: in the hub's cache, of authors."""

import json
import shutil

import pytest
from tests.text.models import bert, byte_level, decoder

import unmask


def cached(root, name, folder):
    """Put a folder into a cache of the hub, as the only commit of a repository."""
    repository = root / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return name


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return cached(tmp_path / "hub", "someone/bert", bert(tmp_path / "bert"))


def test_a_repository_has_the_text_of_its_tokenizer(call, repository, tmp_path):
    """As the same files in a folder have."""
    folder = tmp_path / "bert"
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n")
    generated, scored = [], []
    for model in (repository, folder):
        generated.append(call("generate", model, "-n", 2, "--length", 6, "--json").json["text"])
        line = ("score", model, tmp_path / "text.txt", "--documents", "--json")
        scored.append(call(*line).json["nats_per_example"])
        filled = call("infill", model, given="the cat [MASK:2] .\n")
        assert filled.out.startswith("the cat")
    assert generated[0] == generated[1]
    assert scored[0] == scored[1]
    assert "text" in call("infill", repository, "--json", given="the [MASK]\n").json


def of_authors(folder):
    """Make a tokenizer's class one of its authors, whose code is not there."""
    backend = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(backend["vocab"]))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in backend["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    (folder / "tokenizer.json").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    code = {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]}
    config |= {"tokenizer_class": "DreamTokenizer", "auto_map": code}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_a_tokenizer_that_is_code_of_its_authors(call, tmp_path):
    """It opens in the class of the model's family, for text as for the network."""
    own = byte_level()
    own.add_tokens(["<|endoftext|>"], special_tokens=True)  # which that class has by itself
    folder = of_authors(decoder(tmp_path / "dream", own))
    wanted = unmask.TextModel.load(folder).encoding
    said = call("generate", folder, "-n", 1, "--length", 5, "--json").json
    assert said["text"] == [wanted.decode(ids) for ids in said["tokens"]]
    assert call("infill", folder, given="the cat[MASK:2]\n").out.startswith("the cat")


@pytest.fixture
def bare(tmp_path):
    """A decoder without a tokenizer, and the folder of one."""
    folder, own = decoder(tmp_path / "bare", byte_level()), tmp_path / "own"
    own.mkdir()
    for file in folder.glob("tokenizer*"):
        file.rename(own / file.name)
    (folder / "chat_template.jinja").rename(own / "chat_template.jinja")
    return folder, own


LINES = {
    "fill": (["the [MASK] sat"], None),
    "complete": (["the cat", "--max-new-tokens", 4], None),
    "chat": (["--max-new-tokens", 4], "the cat\n"),
    "generate": (["-n", 1, "--length", 4], None),
    "infill": ([], "the cat[MASK:2]\n"),
    "score": (["text.txt", "--documents", "--json"], None),
}


@pytest.mark.parametrize("command", LINES)
def test_a_tokenizer_beside_the_model(call, bare, tmp_path, command):
    """It is read as one in the folder of the model is."""
    folder, own = bare
    (tmp_path / "text.txt").write_text("the cat sat\n")
    line, given = LINES[command]
    kind = ("--family", "dream", "--mask-id", byte_level().mask_token_id)
    found = call(command, folder, *line, *kind, "--tokenizer", own, given=given)
    assert found.code == 0, found.err
    for file in own.iterdir():
        shutil.copy(file, folder / file.name)
    inside = call(command, folder, *line, given=given)
    assert inside.code == 0, inside.err
    if command == "score":
        assert found.json["nats_per_example"] == inside.json["nats_per_example"]
    else:
        assert found.out == inside.out


@pytest.mark.parametrize("command", ["fill", "generate"])
def test_a_tokenizer_of_another_model(call, bare, tmp_path, command):
    line, given = LINES[command]
    other = bert(tmp_path / "bert")
    told = call(command, other, *line, "--tokenizer", bare[1], given=given).error()
    assert "has ids up to 299, and" in told
    assert "it is of another model" in told
    kind = ("--family", "dream", "--mask-id", 3)
    told = call(command, bare[0], *line, *kind, "--tokenizer", other, given=given).error()
    assert "has ids up to 26, and the network 300 ids: it is of another model" in told


def test_a_missing_tokenizer_is_told_with_its_option(call, bare):
    kind = ("--mask-id", byte_level().mask_token_id)
    assert "--tokenizer PATH" in call("complete", bare[0], "the cat", *kind).error()
    assert "--mask-id" in call("complete", bare[0], "the cat").error()


def test_the_help_says_which_models_there_are(call):
    assert "masked language model of transformers" in " ".join(call("--help").out.split())
