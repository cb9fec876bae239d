"""MDLM and BD3-LM in a network of `unmask`: the authors' logits, times, blocks, files."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from tests.families.networks import DATA
from tests.text.models import byte_level

import unmask
from unmask import Canvas, Query, presets, scoring
from unmask.engine import default_strategy
from unmask.errors import CanvasError, ModelError
from unmask.models import dit
from unmask.models.families import Files, recognise

MASK, BLOCK = 129, {"mdlm": None, "bd3lm": 8}
NAMES = list(BLOCK)
pytestmark = pytest.mark.filterwarnings("error")


def load(name, folder=None, **options):
    return unmask.load(DATA / name if folder is None else folder, mask_id=MASK, **options)


def expected(name):
    return load_file(DATA / name / "expected.safetensors")


def changed(name, folder, **entries):
    """A copy of a checkpoint, with entries of its config changed."""
    shutil.copytree(DATA / name, folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return folder


def logits(denoiser, tokens, valid=None):
    with torch.no_grad():
        return denoiser.logits(denoiser.forward(Query.of(tokens, valid), None)[0])


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_authors(name):
    known = expected(name)
    torch.testing.assert_close(logits(load(name), known["ids"]), known["logits"], atol=0, rtol=0)
    if name == "bd3lm":  # a row that ends within a block
        found = logits(load(name), known["ids"][:1, :17])
        torch.testing.assert_close(found, known["logits_short"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_logits_of_other_times_are_the_authors(name, tmp_path, monkeypatch):
    """Of a network that was trained with times; of others the time is 0, whatever is passed."""
    denoiser, known = (
        load(name, changed(name, tmp_path / "m", time_conditioning=True)),
        expected(name),
    )
    assert denoiser.spec.inputs == {"progress"}
    monkeypatch.setattr(dit.DiT, "times", lambda self, query: known["sigma"])
    found = logits(denoiser, known["ids"])
    torch.testing.assert_close(found, known["logits_timed"], atol=1e-5, rtol=0)
    assert not torch.allclose(found, known["logits"], atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_invisible(name):
    known = expected(name)["ids"]
    valid = torch.arange(40) < torch.tensor([[40], [21]])
    found = logits(load(name), known.masked_fill(~valid, 0), valid)
    torch.testing.assert_close(found[0], expected(name)["logits"][0], atol=1e-5, rtol=0)
    alone = logits(load(name), known[1:, :21])
    torch.testing.assert_close(found[1, :21], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_kind_is_found_in_the_files(name, tmp_path):
    """The mask id is written nowhere: the one behind the 50,257 of GPT-2."""
    found = recognise(Files(str(changed(name, tmp_path / "m", vocab_size=50258))))
    assert (found.family.name, found.mask_id, found.block) == (name, 50257, BLOCK[name])
    assert found.reasons["kind"] == f"model_type {name!r} in config.json"
    with pytest.raises(ModelError, match="names no mask token: pass mask_id="):
        unmask.load(DATA / name)
    denoiser = load(name)
    spec = denoiser.spec
    assert (spec.mask_id, spec.vocab_size, spec.max_length) == (MASK, 130, 48)
    assert (spec.block_size, spec.inputs) == (BLOCK[name], frozenset())
    strategy = default_strategy(denoiser)
    if name == "mdlm":
        assert strategy == presets.mdlm(128)
    else:
        assert strategy == presets.first_hitting(block=8, top_p=0.9)


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_depend_on_the_rows_beside_them(name):
    denoiser = load(name)
    rows = [
        torch.randint(MASK, (n,), generator=torch.Generator().manual_seed(n)) for n in (16, 9, 24)
    ]
    flags = [torch.arange(len(row)) >= 3 for row in rows]
    together = unmask.run(denoiser, Canvas.ragged(rows, flags), seeds=[1, 2, 3])
    for i, (row, flag) in enumerate(zip(rows, flags, strict=True)):
        alone = unmask.run(denoiser, Canvas.infill(row[None], flag[None]), seeds=[1 + i])
        assert alone.tokens[0].tolist() == together.tokens[i, : len(row)].tolist()
    assert MASK not in together.tokens
    if name == "bd3lm":  # a block is full before the next begins
        for row, flag in zip(together.commit_step, flags, strict=True):
            blocks = [row[i : i + 8] for i in range(0, len(flag), 8)]
            for one, following in pairwise(blocks):
                steps = following[following >= 0]
                assert not len(steps) or int(one.max()) < int(steps.min())


@pytest.mark.parametrize("name", NAMES)
def test_times_are_those_of_the_authors_samplers(name, tmp_path, monkeypatch):
    """Log-linear noise: 1 − e^−σ is the share of unknown positions, of all or of the open block."""
    denoiser = load(name, changed(name, tmp_path / "m", time_conditioning=True))
    seen, trunk = [], denoiser.net.backbone.forward
    monkeypatch.setattr(
        denoiser.net.backbone,
        "forward",
        lambda ids, place, times, s: seen.append(times) or trunk(ids, place, times, s),
    )
    unmask.generate(
        denoiser, batch_size=1, length=16, strategy=presets.first_hitting(block=BLOCK[name])
    )
    size = BLOCK[name] or 16
    shares = [left / size for _ in range(16 // size) for left in range(size, 0, -1)]
    eps = 1e-3
    if name == "mdlm":
        wanted = [-torch.tensor(1 - (1 - eps) * t).log() for t in shares]
    else:
        wanted = [min(-torch.tensor(1 - t).log(), -torch.tensor(eps).log()) for t in shares]
    torch.testing.assert_close(torch.cat(seen), torch.stack(wanted), atol=1e-5, rtol=1e-5)
    seen.clear()
    tokens = torch.randint(MASK, (2, 16))
    unmask.score(denoiser, tokens, by=scoring.Bound(2))
    assert torch.cat(seen).unique().numel() > 2


def test_times_of_a_network_without_them_are_zero():
    denoiser = load("mdlm")
    assert denoiser.times(Query.of(torch.zeros(3, 4, dtype=torch.int64))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_network_is_the_same_again(name, tmp_path):
    denoiser, ids = load(name), expected(name)["ids"]
    again = unmask.load(unmask.save(denoiser, tmp_path / "saved"))
    assert isinstance(again, dit.DiT)
    assert (again.spec, again.spec.recommended) == (denoiser.spec, denoiser.spec.recommended)
    assert torch.equal(logits(again, ids), logits(denoiser, ids))
    denoiser.net.save_pretrained(tmp_path / "theirs")
    theirs = load(name, tmp_path / "theirs")
    assert theirs.block == BLOCK[name]
    assert torch.equal(logits(theirs, ids), logits(denoiser, ids))


def test_other_dtypes():
    found = logits(load("bd3lm", dtype=torch.bfloat16), expected("bd3lm")["ids"])
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected("bd3lm")["logits"]).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("name", "entries", "told"),
    [
        ("mdlm", {"causal": True}, "not as MDLM.*causal=True; the stock class computes with False"),
        ("bd3lm", {"cross_attn": False}, "cross_attn=False; the stock class computes with True"),
        ("bd3lm", {"causal": True}, "causal=True"),
    ],
)
def test_networks_of_another_arithmetic_are_refused(name, entries, told, tmp_path):
    with pytest.raises(ModelError, match=told):
        load(name, changed(name, tmp_path / "m", **entries))


def test_a_condition_is_refused():
    canvas = Canvas.blank(1, 8, condition=torch.tensor([1]))
    with pytest.raises(CanvasError, match="MDLM and BD3-LM take no condition"):
        unmask.run(load("mdlm"), canvas, seed=0)


def test_texts(tmp_path):
    """With a tokenizer that is passed, as the repositories have none."""
    own = byte_level(mask=False)
    kind = dit.dit_class("bd3lm")
    sizes = {"hidden_dim": 32, "cond_dim": 16, "n_blocks": 1, "n_heads": 2, "model_length": 64}
    config = kind.config_class(vocab_size=len(own) + 1, block_size=4, cross_attn=True, **sizes)
    torch.manual_seed(0)
    net = kind(config)
    torch.nn.init.normal_(net.backbone.vocab_embed.embedding)
    net.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer that opens: pass one of transformers'"):
        unmask.TextModel.load(tmp_path, mask_id=len(own))
    model = unmask.TextModel.load(tmp_path, mask_id=len(own), tokenizer=own)
    assert len(model.complete("the cat", 6, seed=1).tokens) == 6
    assert model.score("the cat").kind == "bound"


def test_blocks_in_noise_behind_clean_ones(tmp_path, monkeypatch):
    """In one pass over two streams, as by a pass for each block; with times a row has only one."""
    denoiser, ids = load("bd3lm"), expected("bd3lm")["ids"]
    size, length = 8, ids.shape[1]
    noisy = ids.masked_fill(torch.arange(length) % 3 == 0, MASK)
    query = Query.of(noisy)
    with torch.no_grad():
        found = denoiser.forward(replace(query, clean=ids), None)[0]
        for start in range(0, length, size):
            row = torch.cat([ids[:, :start], noisy[:, start:]], 1)
            alone = denoiser.forward(Query.of(row), None)[0]
            block = slice(start, start + size)
            torch.testing.assert_close(found[:, block], alone[:, block], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(found[:, size:], denoiser.forward(query, None)[0][:, size:])
    assert denoiser.spec.two_streams
    assert not load("mdlm").spec.two_streams
    timed = load("bd3lm", changed("bd3lm", tmp_path / "m", time_conditioning=True))
    assert not timed.spec.two_streams
    # It is scored by a pass for each block, at the time of the block: all, or half, is hidden.
    times, shown = [], timed.times

    def recording(query):
        times.append(query.unknown_share)
        return shown(query)

    monkeypatch.setattr(timed, "times", recording)
    pair = torch.arange(16) % 8 < 2
    unmask.score(timed, ids[:1, :16] % MASK, pair[None], by=scoring.Bound(2))
    assert sorted(set(torch.cat(times).tolist())) in ([0.5], [0.5, 1.0], [0.0, 0.5, 1.0])
