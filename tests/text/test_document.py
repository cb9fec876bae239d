"""The code of docs/language-models.md runs, with small models in place of the repositories."""

from tests.docs.test_documents import python_blocks
from tests.text.models import bert, byte_level, canvases, decoder

import unmask
from unmask.models import loading
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
    namespace: dict[str, object] = {}
    blocks = python_blocks("docs/language-models.md")
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "docs/language-models.md", "exec"), namespace)
    assert "▒" in capsys.readouterr().out
