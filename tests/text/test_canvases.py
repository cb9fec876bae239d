"""Texts of a network that generates whole canvases behind a prompt: DiffusionGemma."""

import pytest
from tests.families.gemma import CANVAS
from tests.text.models import canvases

import unmask
from unmask.errors import ModelError, StrategyError

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


def test_texts_cannot_be_scored_or_filled_in(model):
    with pytest.raises(ModelError, match="no mask id"):
        model.score("the cat", given="on")
    with pytest.raises(StrategyError, match="neither score nor fill in"):
        model.fill("the [MASK] sat")
