"""Texts of a network that generates whole canvases behind a prompt: DiffusionGemma."""

import pytest
import torch
from tests.families.gemma import CANVAS
from tests.text.models import canvases

import unmask
from unmask import presets, scoring
from unmask.errors import CanvasError, InputError, ModelError, StrategyError
from unmask.noise import PreviousSample
from unmask.text.prompts import canvas_of, seeds_of
from unmask.text.streaming import UNKNOWN, snapshot

PROMPTS = ["the cat sat", "on", "später, über: the mat on which the cat sat"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    found = unmask.TextModel.load(canvases(tmp_path_factory.mktemp("canvases")))
    found.denoiser.net.set_experts_implementation("eager")
    return found


def test_a_text_is_that_of_its_ids_alone(model):
    together = model.complete(PROMPTS, 2 * CANVAS, seed=3)
    for prompt, found in zip(PROMPTS, together, strict=True):
        assert model.complete(prompt, 2 * CANVAS, seed=3).tokens == found.tokens
        assert found.text == model.encoding.decode(found.tokens)
        assert found.forwards <= 8
        assert not set(found.tokens) & set(model.end_ids)


def test_an_end_of_either_kind_ends_a_row(model):
    """The id of "e" ends a row as that of the end does, and no later canvas is generated."""
    many = model.complete(PROMPTS * 8, 6 * CANVAS, seed=0)
    assert len(model.end_ids) == 2
    ended = [each for each in many if each.finish_reason == "stop"]
    assert ended
    for each in ended:
        assert each.forwards <= 4 * (len(each.tokens) // CANVAS + 1)


def test_a_canvas_is_generated_whole_and_cut(model):
    found = [model.complete(PROMPTS[0], 3, seed=seed) for seed in range(4)]
    assert max(len(each.tokens) for each in found) == 3
    assert {each.forwards for each in found} <= {2, 3, 4}


def test_pieces_are_the_final_text(model):
    states = list(model.stream(PROMPTS[0], 12, seed=1))
    assert "".join(state.piece for state in states) == model.complete(PROMPTS[0], 12, seed=1).text
    talk = [{"role": "user", "content": "the cat"}]
    assert model.chat(talk, 8, seed=1).forwards <= 4


def test_a_stream_shows_the_draft_of_a_canvas(model):
    """Nothing is known before the last step of a canvas; each snapshot has its likeliest ids."""
    prompt, count = PROMPTS[0], 2 * CANVAS
    states = list(model.stream(prompt, count, seed=1))
    seen = [state.snapshot for state in states]
    unknown = [sum(token is None for token in state.tokens) for state in states]
    assert [n for n in unknown if n not in (0, CANVAS, count)] == []
    assert unknown[0] == count
    assert seen[0].endswith(UNKNOWN * CANVAS)  # the second canvas is not begun
    assert seen[0] != UNKNOWN * count
    [row] = model.requests.continuations([prompt], count).rows
    canvas = canvas_of([row], model.denoiser.spec)
    infos = unmask.stream(
        model.denoiser, canvas, model._planning.plan(None), seeds=seeds_of([row], 1)
    )
    for state, info in zip(states, infos, strict=True):
        ids = info.proposal.top_token[0].where(info.masked[0], info.tokens[0])
        known = info.proposal.queried[0] | ~info.masked[0]
        wanted = ids.where(known, -1)[len(row.before) :].tolist()
        shown = [None if token < 0 else token for token in wanted]
        assert state.snapshot == snapshot(model.encoding, shown, model.end_ids)
    assert states[-1].tokens == model.complete(prompt, count, seed=1).tokens


def test_a_stream_shows_the_sample_that_a_noise_keeps(byte_model):
    """Of any preset: the draws that the network is shown at unknown positions."""
    strategy = presets.confidence(4).but(noise=PreviousSample())
    states = list(byte_model.stream("the cat", 8, seed=1, strategy=strategy))
    plain = list(byte_model.stream("the cat", 8, seed=1, strategy=presets.confidence(4)))
    assert None in states[0].tokens
    assert states[0].snapshot != plain[0].snapshot
    assert plain[0].snapshot.count(UNKNOWN) >= 6
    [row] = byte_model.requests.continuations(["the cat"], 8).rows
    canvas = canvas_of([row], byte_model.denoiser.spec)
    plan = byte_model._planning.plan(strategy)
    infos = unmask.stream(byte_model.denoiser, canvas, plan, seeds=seeds_of([row], 1))
    for state, info in zip(states, infos, strict=True):
        ids = info.tokens[0, len(row.before) :][:8].tolist()
        assert state.snapshot == snapshot(byte_model.encoding, ids, byte_model.end_ids)


@pytest.mark.parametrize(
    "by",
    [
        None,
        scoring.Bound(),
        scoring.PseudoLikelihood(),
        scoring.Ordered(presets.random_order(4).but(groups=unmask.Groups.blocks(CANVAS))),
    ],
    ids=lambda by: type(by).__name__,
)
@pytest.mark.parametrize("text", ["the cat", "t"])
def test_texts_cannot_be_scored(model, by, text):
    told = r"DiffusionGemma cannot score.*no probability of a token.*Score by a network with a mask"
    with pytest.raises(ModelError, match=told):
        model.score(text, given="on", by=by)


def test_no_order_scores_what_is_committed_as_the_likeliest():
    with pytest.raises(StrategyError, match="commits the likeliest ids of a whole group"):
        scoring.Ordered(presets.diffusion_gemma().but(stopping=()))


def test_texts_cannot_be_filled_in(model):
    with pytest.raises(StrategyError, match="neither score nor fill in"):
        model.fill("the [MASK] sat")
    with pytest.raises(CanvasError, match=r"row 0 has a given token .* behind a prompt alone"):
        model.infill("the", "sat", tokens=3)
    with pytest.raises(CanvasError, match="behind a prompt alone"):
        model.edit("the cat sat", "cat")


def test_images_are_refused(model):
    parts = [{"type": "image", "url": "cat.png"}, {"type": "text", "text": "what is it"}]
    told = r"messages\[1\] has content in parts \(image, text\), and images .* not read"
    talk = [{"role": "system", "content": "a cat"}, {"role": "user", "content": parts}]
    for ask in (model.chat, model.stream_chat):
        with pytest.raises(InputError, match=told):
            ask(talk, 8)
    tokens, new = torch.zeros(1, 4 + CANVAS, dtype=torch.int64), torch.arange(4 + CANVAS) > 3
    canvas = unmask.Canvas.infill(tokens, new[None], condition={"pixel_values": torch.ones(1, 3)})
    with pytest.raises(CanvasError, match="takes no condition, such as images"):
        unmask.run(model.denoiser, canvas, seed=0)
