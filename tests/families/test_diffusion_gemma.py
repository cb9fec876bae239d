"""DiffusionGemma against transformers' own generate(), with the same draws: token for token.

The naive loop of one row says what the rule is; the library's rows are held against it as well.
"""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from tests.families import gemma
from tests.families.gemma import Loop, alone, generated, tiny

import unmask
from unmask import Query, models, presets
from unmask.decoding import propose
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.stopping import EndOfSequence

_random = torch.Generator().manual_seed(1)
PROMPTS = [torch.randint(3, 60, (n,), generator=_random).tolist() for n in (5, 20, 11, 3, 9, 30)]
SEEDS = [3, 1, 2**40, 7, 8, 9]

# Rows and options: batches, lengths of prompts (two beyond the window), steps, bounds,
# temperatures, rules that stop, canvases, ends.
CASES = {
    "one row": (1, Loop()),
    "one step": (3, Loop(steps=1)),
    "low bound": (3, Loop(steps=12, bound=0.01)),
    "hot": (4, Loop(steps=10, bound=1.0, t_max=1.0, confidence=0.5)),
    "stability 0": (3, Loop(steps=8, bound=5.0, canvases=3, stability=0, confidence=2.0)),
    "high bound": (6, Loop(steps=8, bound=2.0, canvases=2, confidence=2.0)),
    "stability 2": (3, Loop(12, 3.0, 0.5, 0.1, stability=2, confidence=3.0, canvases=2)),
    "stability 3": (2, Loop(16, 20.0, 0.3, 0.01, stability=3, confidence=3.0, canvases=4)),
    "an end": (4, Loop(steps=5, canvases=3, ends=(25,))),
    "three ends": (6, Loop(7, 0.5, 0.6, 0.2, confidence=1.0, canvases=4, ends=(25, 14, 7))),
    "defaults": (2, Loop(steps=48)),
    "many ends": (3, Loop(6, 0.3, 1.5, 0.9, canvases=2, ends=(1, 2, 3, 4, 5, 6))),
}


@cache
def naive(count, how):
    """The rows of a case, each alone."""
    rows = zip(PROMPTS[:count], SEEDS[:count], strict=True)
    return [alone(tiny(), prompt, seed, how) for prompt, seed in rows]


def test_the_cases_stop_early_and_end_within_a_canvas():
    def steps(name):
        return [each for row in naive(*CASES[name]) for each in row.steps]

    for name in ("stability 0", "stability 2", "stability 3"):
        assert min(steps(name)) < CASES[name][1].steps
    count, how = CASES["three ends"]
    ends = [len(row.steps) for row in naive(count, how)]
    assert min(ends) < max(ends)
    assert any(gemma.PAD in row.tokens for row in naive(count, how))


@pytest.mark.parametrize(
    "change", [{"bound": 0.2}, {"t_max": 0.9}, {"steps": 7}, {"stability": 0, "confidence": 9.0}]
)
def test_every_option_changes_something(change):
    """The control: the comparison would see it."""
    how = Loop(canvases=2)
    other = replace(how, **change)
    assert naive(3, how) != naive(3, other)


def strategy_of(how):
    options = {name: value for name, value in vars(how).items() if name not in ("canvases", "ends")}
    strategy = presets.diffusion_gemma(block=gemma.CANVAS, **options)
    if not how.ends:
        return strategy
    first, *also = how.ends
    end = EndOfSequence(first, also=also, fill=gemma.PAD)
    return strategy.but(stopping=(*strategy.stopping, end))


def canvas_of(prompts, how):
    new = gemma.CANVAS * how.canvases
    rows = [list(prompt) + [0] * new for prompt in prompts]
    flags = [[False] * len(prompt) + [True] * new for prompt in prompts]
    return unmask.Canvas.ragged(rows, flags)


@cache
def denoiser():
    return models.DiffusionGemma(tiny())


def ran(prompts, seeds, how):
    """The new ids of each row, and the steps of each canvas."""
    found = unmask.run(denoiser(), canvas_of(prompts, how), strategy_of(how), seeds=seeds)
    rows = []
    for prompt, tokens, last in zip(prompts, found.tokens, found.commit_step, strict=True):
        new = slice(len(prompt), len(prompt) + gemma.CANVAS * how.canvases)
        ends = [each for each in last[new].view(how.canvases, -1).amax(1).tolist() if each >= 0]
        steps = [b - a for a, b in itertools.pairwise([-1, *ends])]
        rows.append(gemma.Row(tokens[new].tolist(), steps))
    return rows


@pytest.mark.parametrize("name", CASES)
def test_rows_are_those_of_generate(monkeypatch, name):
    count, how = CASES[name]
    rows = ran(PROMPTS[:count], SEEDS[:count], how)
    given = tiny(), PROMPTS[:count], SEEDS[:count], [row.steps for row in rows], how
    assert generated(monkeypatch, *given) == [row.tokens for row in rows]
    assert rows == naive(count, how)


HOW = Loop(8, 2.0, 0.5, 0.1, confidence=2.0, canvases=3, ends=(18, 21))
"""Rows that stop at different steps, and end in different canvases."""


def states_of(how, count):
    canvas = canvas_of(PROMPTS[:count], how)
    return unmask.init(denoiser(), canvas, strategy_of(how), SEEDS[:count])


def test_rows_do_not_depend_on_the_rows_beside_them():
    together = ran(PROMPTS, SEEDS, HOW)
    assert len({len(row.steps) for row in together}) > 1
    alone_ = [ran([p], [s], HOW)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert alone_ == together
    order = [4, 2, 0, 5, 3, 1]
    turned = ran([PROMPTS[i] for i in order], [SEEDS[i] for i in order], HOW)
    assert turned == [together[i] for i in order]


def test_rows_join_a_running_batch_and_leave_it():
    """Caches and what is fed back move with their rows."""
    how = replace(HOW, ends=())
    expected = [row.tokens for row in ran(PROMPTS[:4], SEEDS[:4], how)]
    engine, found = unmask.Engine(denoiser(), max_rows=3), {}
    strategy = strategy_of(how)
    ids = [
        int(engine.submit(canvas_of([p], how), strategy, [s])[0])
        for p, s in zip(PROMPTS[:2], SEEDS[:2], strict=True)
    ]
    for step in range(200):
        if step in (3, 11):
            nth = len(ids)
            ids += engine.submit(canvas_of([PROMPTS[nth]], how), strategy, [SEEDS[nth]]).tolist()
        for event in engine.step():
            found |= {row: made.tokens[0].tolist() for row, made in event.results()}
        if len(ids) == 4 and not len(engine.unfinished):
            break
    new = gemma.CANVAS * how.canvases
    assert [found[row][-new:] for row in ids] == expected


def test_no_logits_of_a_whole_batch_are_made(monkeypatch):
    """The head and what is fed back see a chunk of positions at a time."""
    sizes = []
    observe = models.DiffusionGemma.observe
    monkeypatch.setattr(propose, "chunk_rows", lambda *_: 5)
    monkeypatch.setattr(
        models.DiffusionGemma,
        "observe",
        lambda self, logits: sizes.append(tuple(logits.shape)) or observe(self, logits),
    )
    how = Loop(steps=3)
    rows = ran(PROMPTS[:3], SEEDS[:3], how)
    assert max(size[0] for size in sizes) == 5
    assert sum(size[0] for size in sizes) == 3 * 3 * gemma.CANVAS
    monkeypatch.undo()
    assert ran(PROMPTS[:3], SEEDS[:3], how) == rows


def test_the_prompt_is_encoded_once(monkeypatch):
    widths = []
    encoder = denoiser().net.model.encoder
    forward = type(encoder).forward
    monkeypatch.setattr(
        type(encoder),
        "forward",
        lambda self, **given: widths.append(given["input_ids"].shape) or forward(self, **given),
    )
    ran(PROMPTS[:2], SEEDS[:2], Loop(steps=4, canvases=3))
    assert sorted(widths) == sorted([(1, 5), (1, 20), (2, 8), (2, 8)])


def test_logits_are_fed_back():
    """Without them, other tokens come out."""
    how = Loop(steps=6)
    kept = models.DiffusionGemma(tiny())
    kept.feed_back = lambda cache, observed: cache
    canvas, strategy = canvas_of(PROMPTS[:3], how), strategy_of(how)
    without = unmask.run(kept, canvas, strategy, seeds=SEEDS[:3])
    assert not torch.equal(
        without.tokens, unmask.run(denoiser(), canvas, strategy, seeds=SEEDS[:3]).tokens
    )


def test_a_changed_prefix_is_encoded_anew():
    how = Loop(steps=3)
    other = [9, *PROMPTS[0][1:]]
    begun = unmask.step(states_of(how, 1), denoiser(), strategy_of(how)).state
    moved = replace(begun, tokens=begun.tokens.clone())
    moved.tokens[0, 0] = 9
    query = unmask.prepare(moved, strategy_of(how))
    kept, _ = denoiser().forward(query, moved.cache)
    fresh = replace(moved.cache.blank(1), fed_back=moved.cache.fed_back)
    anew, _ = denoiser().forward(query, fresh)
    assert query.tokens[0, : len(other)].tolist() == other
    torch.testing.assert_close(kept, anew)


def test_a_folder_opens(tmp_path):
    net = tiny()
    net.save_pretrained(tmp_path)
    path = tmp_path / "generation_config.json"
    said = {"eos_token_id": [1, 25], "max_denoising_steps": 5, "t_min": 0.2}
    said |= {"sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.3}}
    path.write_text(json.dumps(said))
    opened = unmask.load(tmp_path)
    opened.net.set_experts_implementation("eager")
    assert isinstance(opened, models.DiffusionGemma)
    preset = {"name": "diffusion_gemma", "block": 8, "steps": 5, "t_min": 0.2, "bound": 0.3}
    assert opened.spec.recommended == preset
    assert (opened.spec.end_id, opened.spec.other_ends) == (1, (25,))
    canvas = canvas_of(PROMPTS[:3], Loop(canvases=2))
    rows = unmask.run(opened, canvas, seeds=SEEDS[:3])
    options = {key: value for key, value in preset.items() if key != "name"}
    strategy = presets.diffusion_gemma(**options)
    strategy = strategy.but(stopping=(*strategy.stopping, EndOfSequence(1, also=[25])))
    assert torch.equal(
        rows.tokens, unmask.run(denoiser(), canvas, strategy, seeds=SEEDS[:3]).tokens
    )
    assert unmask.load(tmp_path, block=4).spec.block_size == 4
    with pytest.raises(ModelError, match="has no mask id; leave it out"):
        unmask.load(tmp_path, mask_id=3)


def test_a_saved_network_is_the_same_again(tmp_path):
    net = copy.deepcopy(tiny())
    net.generation_config.eos_token_id = [1, 25]
    net.save_pretrained(tmp_path / "published")
    opened = unmask.load(tmp_path / "published", block=4)
    folder = unmask.save(opened, tmp_path / "saved")
    card = json.loads((folder / "unmask.json").read_text())
    assert card["adapters"] == [{"name": "DiffusionGemma", "canvas": 4}]
    assert (card["format"], card["mask_id"], card["backbone"]) == ("unmask-2", None, "transformers")
    again = unmask.load(folder)
    assert isinstance(again, models.DiffusionGemma)
    weights = dict(again.named_parameters()) | dict(again.named_buffers())
    for name, value in (*opened.named_parameters(), *opened.named_buffers()):
        assert torch.equal(weights[name], value), name
    assert again.spec == opened.spec
    for field in ("recommended", "end_id", "other_ends", "reserved", "block_size"):
        assert getattr(again.spec, field) == getattr(opened.spec, field)
    assert again.spec.other_ends == (25,)
    for each in (opened, again):
        each.net.set_experts_implementation("eager")
    canvas = canvas_of(PROMPTS[:3], Loop(canvases=2))
    assert torch.equal(*(unmask.run(m, canvas, seeds=SEEDS[:3]).tokens for m in (opened, again)))
    assert type(tiny()).from_pretrained(folder).config.canvas_length == gemma.CANVAS


def test_a_network_of_another_class_is_not_saved(tmp_path):
    class Mine(type(tiny())):
        pass

    net = copy.deepcopy(tiny())
    net.__class__ = Mine
    with pytest.raises(ModelError, match="Mine is not a class that DiffusionGemmaForBlockDiff"):
        unmask.save(models.DiffusionGemma(net), tmp_path / "saved")


def test_what_cannot_be_generated_is_refused():
    with pytest.raises(CanvasError, match="row 1 has no prompt"):
        unmask.run(denoiser(), canvas_of([[3], []], Loop()), strategy_of(Loop()), seed=0)
    wrong = presets.diffusion_gemma(block=4).but(groups=unmask.Groups.blocks(8))
    with pytest.raises(StrategyError, match=r"Groups.blocks\(8, origin='prompt'\)"):
        unmask.run(denoiser(), canvas_of(PROMPTS[:1], Loop(canvases=2)), wrong, seed=0)
    canvas = canvas_of(PROMPTS[:1], Loop())
    with pytest.raises(StrategyError, match="the open canvas of a row alone"):
        denoiser().forward(Query.of(canvas.tokens), None)
    told = replace(canvas, condition=torch.tensor([1]))
    with pytest.raises(CanvasError, match="takes no condition"):
        unmask.run(denoiser(), told, strategy_of(Loop()), seed=0)
    with pytest.raises(ModelError, match=r"models.DiffusionGemma\(net\)"):
        unmask.wrap(tiny(), mask_id=3)


@pytest.mark.parametrize("change", ["bfloat16", "eager"])
def test_other_dtypes_and_kinds_of_attention(change):
    """The trial passes, prompts stay, and eager attention gives the same tokens as sdpa."""
    net = copy.deepcopy(tiny())
    if change == "eager":
        net.set_attn_implementation("eager")
    other = models.DiffusionGemma(net if change == "eager" else net.to(torch.bfloat16))
    how = Loop(steps=4, canvases=2)
    canvas, strategy = canvas_of(PROMPTS[:3], how), strategy_of(how)
    found = unmask.run(other, canvas, strategy, seeds=SEEDS[:3]).tokens
    if change == "eager":
        assert torch.equal(found, unmask.run(denoiser(), canvas, strategy, seeds=SEEDS[:3]).tokens)
    assert torch.equal(found[~canvas.editable], canvas.tokens[~canvas.editable])


def test_a_network_that_computes_otherwise_is_refused(monkeypatch):
    kind = type(tiny().model.decoder.self_conditioning)
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x, signal: forward(self, x, 2 * signal + x))
    models.DiffusionGemma(tiny())  # alike in both
    expected = models.DiffusionGemma.observe
    monkeypatch.setattr(models.DiffusionGemma, "observe", lambda self, x: 3 * expected(self, x) + 1)
    with pytest.raises(ModelError, match="computes canvases otherwise"):
        models.DiffusionGemma(tiny())
