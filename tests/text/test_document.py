"""The code of the documents about texts runs, with small models in place of the repositories."""

from typing import Any

from tests.docs.test_documents import python_blocks
from tests.text.models import bert, byte_level, canvases, causal, decoder

import unmask
from unmask.models import loading
from unmask.models.families import CATALOGUE
from unmask.text import opening


def test_the_document_runs(tmp_path, monkeypatch, capsys):
    folders = {
        "GSAI-ML/LLaDA-8B-Instruct": decoder(tmp_path / "first", byte_level()),
        "google/diffusiongemma-26B-A4B-it": canvases(tmp_path / "gemma", 256),
        "google-bert/bert-base-uncased": bert(tmp_path / "bert"),
        "JetLM/SDAR-1.7B-Chat": decoder(tmp_path / "sdar", byte_level(), "sdar"),
    }
    monkeypatch.setattr(unmask, "load", lambda name: loading.load(folders[name]))
    open_text = opening.open_text
    monkeypatch.setattr(
        "unmask.text.model.open_text", lambda name, *rest: open_text(folders[name], *rest)
    )
    left = causal(tmp_path / "left", byte_level(mask=False))
    convert = unmask.convert
    monkeypatch.setattr(unmask, "convert", lambda name: convert({"Qwen/Qwen3-0.6B": left}[name]))
    folders["mine"] = tmp_path / "mine"
    namespace: dict[str, object] = {}
    blocks = python_blocks("docs/language-models.md")
    assert len(blocks) == 9
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "docs/language-models.md", "exec"), namespace)
    assert "▒" in capsys.readouterr().out


def test_the_document_of_structured_output_runs(tmp_path, monkeypatch):
    folder = decoder(tmp_path / "first", byte_level())
    open_text = opening.open_text
    monkeypatch.setattr("unmask.text.model.open_text", lambda _, *rest: open_text(folder, *rest))
    space: dict[str, Any] = {}
    blocks = python_blocks("docs/structured-output.md")
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/structured-output.md", "exec"), space)
    assert space["number"].text.isdecimal()
    assert {space["colour"].text, space["both"]["colour"]} <= {"red", "green", "dark blue"}
    assert 0 <= space["both"]["number"] < 100
    assert space["best"].text in ("yes", "no")
    assert len(space["inside"].tokens) == 8


def test_every_family_has_a_first_call(tmp_path, monkeypatch):
    """In the order of the table, with a family where the files do not say it; they run."""
    [block] = [b for b in python_blocks("docs/language-models.md") if "def first_calls" in b]
    model = unmask.TextModel.load(decoder(tmp_path, byte_level()))
    loaded = []

    def load(name, **options):
        loaded.append((name, options))
        return model

    monkeypatch.setattr(unmask.TextModel, "load", load)
    monkeypatch.setattr(model, "strategy", unmask.presets.llada(steps=1, block=256))
    namespace = {"unmask": unmask}
    exec(compile(block, "docs/language-models.md", "exec"), namespace)
    namespace["first_calls"]([{"role": "user", "content": "hello"}], "of GPT-2")
    expected = [
        (
            row.repository or "FOLDER",
            ({} if row.model_types and row.repository else {"family": row.name})
            | ({"tokenizer": "of GPT-2"} if row.name in ("mdlm", "bd3lm") else {}),
        )
        for row in CATALOGUE
    ]
    assert loaded == expected
