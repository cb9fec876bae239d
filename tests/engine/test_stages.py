"""Groups by strategies of their own: a run of each on what the ones before have made."""

from dataclasses import fields, replace

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Constraint, Groups, presets
from unmask.core.random import fold
from unmask.core.state import NEVER
from unmask.engine import stages
from unmask.errors import CanvasError, StrategyError

STRATEGIES = [presets.maskgit(2), presets.mask_predict(2)]


def by_hand(canvas, seeds):
    """Two levels: run the first with the second shown as masks, then the second."""
    level = torch.arange(canvas.shape[1]) % 2
    tokens = canvas.tokens.masked_fill(canvas.editable, MASK)
    for stage in (0, 1):
        part = Canvas.infill(tokens, canvas.editable & (level == stage))
        seed = fold(torch.tensor(seeds), torch.tensor(stage))
        tokens = unmask.generate(Toy(), part, STRATEGIES[stage], seeds=seed)
    return tokens


def test_each_group_has_its_strategy_and_sees_the_ones_before():
    canvas = Canvas.blank(3, 8)
    result = unmask.run_stages(Toy(), canvas, Groups.levels(2), STRATEGIES, seeds=[5, 6, 7])
    assert torch.equal(result.tokens, by_hand(canvas, [5, 6, 7]))
    assert result.forwards.tolist() == [4, 4, 4]
    first, second = result.commit_step[:, ::2], result.commit_step[:, 1::2]
    assert set(first.unique().tolist()) == {0, 1}
    assert int(second.min()) >= 2
    assert int(second.max()) <= 3
    assert (result.logprob < 0).all()


def test_later_groups_are_shown_as_masks():
    shown = []

    class Spy(Toy):
        def hidden(self, tokens, *, valid):
            shown.append(tokens.clone())
            return super().hidden(tokens, valid=valid)

    unmask.run_stages(
        Spy(), Canvas.blank(1, 6), Groups.blocks(3), [presets.random_order(3)], seed=1
    )
    assert len(shown) == 6
    assert all((tokens[:, 3:] == MASK).all() for tokens in shown[:4])
    assert not (shown[4][:, :3] == MASK).any()


def test_prompts_stay():
    editable = torch.tensor([[True, False, True, True, False, True]])
    canvas = Canvas.infill(torch.full((1, 6), 3), editable)
    result = unmask.run_stages(Toy(), canvas, Groups.blocks(2), STRATEGIES, seed=1)
    assert result.tokens[~editable].tolist() == [3, 3]
    assert (result.commit_step[~editable] == NEVER).all()
    assert not (result.tokens == MASK).any()


@pytest.mark.parametrize("strategies", [[], STRATEGIES * 2])
def test_more_strategies_than_groups(strategies):
    with pytest.raises(StrategyError, match=r"strategies for 2 groups: pass one for each group"):
        unmask.run_stages(Toy(), Canvas.blank(1, 4), Groups.levels(2), strategies, seed=1)


WRONG = {
    "network": ({"denoiser": flat}, StrategyError, r"function is not a denoiser: wrap it first"),
    "tokens": ({"canvas": torch.zeros(1, 6)}, CanvasError, r"canvas is a Tensor: pass Canvas"),
    "a size": ({"groups": 3}, StrategyError, r"groups=3: pass a Groups, such as Groups\.levels"),
    "one strategy": (
        {"strategies": STRATEGIES[0]},
        StrategyError,
        r"strategies=Strategy.*: pass a list, one strategy for each group",
    ),
    "a preset": (
        {"strategies": [presets.maskgit]},
        StrategyError,
        r"pass a preset that has been called",
    ),
    "a short list": (
        {"groups": Groups.listed([0, 0, 1, 1])},
        StrategyError,
        r"groups list 4 positions and row 0 has 6: pass one group for each position",
    ),
    "a list for another row": (
        {"groups": Groups.listed([0, 0, 1, 1, 1, 1]), "canvas": Canvas.ragged([[0] * 6, [0] * 4])},
        StrategyError,
        r"groups list 6 positions and row 1 has 4",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_comes_in_is_checked_as_for_one_generation(case):
    wrong, error, words = WRONG[case]
    good = {"denoiser": Toy(), "canvas": Canvas.blank(1, 6), "groups": Groups.levels(2)}
    with pytest.raises(error, match=words):
        unmask.run_stages(**{**good, "strategies": STRATEGIES, **wrong}, seed=1)


def test_what_later_groups_require_is_generated_in_their_stage():
    for required in (torch.tensor([-1, 4, -1, 4]), torch.tensor([[-1, 4, -1, 4], [4, -1, 4, -1]])):
        canvas = Canvas.blank(2, 4, required=required)
        tokens = unmask.run_stages(Toy(), canvas, Groups.levels(2), STRATEGIES, seed=1).tokens
        wanted = required.expand(2, 4)
        assert torch.equal(tokens[wanted >= 0], wanted[wanted >= 0])


def test_what_reads_unknown_positions_is_refused_in_stages():
    hook = Constraint(feasible=lambda tokens, known, position: torch.ones(len(tokens), VOCAB) > 0)
    hooked = [STRATEGIES[0].but(constraint=hook)]
    with pytest.raises(StrategyError, match=r"feasible= reads which positions are unknown"):
        unmask.run_stages(Toy(), Canvas.blank(1, 4), Groups.levels(2), hooked, seed=1)

    class Told(Toy):
        @property
        def spec(self):
            return replace(super().spec, inputs={"masked"})

    told = Told()
    with pytest.raises(StrategyError, match=r"the network is told which positions are unknown"):
        unmask.run_stages(told, Canvas.blank(1, 4), Groups.levels(2), STRATEGIES, seed=1)


def test_a_list_of_groups_says_nothing_of_rows_with_nothing_to_generate():
    canvas = Canvas.ragged([[0] * 4, [3] * 6], [[True] * 4, [False] * 6])
    listed = Groups.listed([0, 0, 1, 1, 1, 1])
    with pytest.raises(StrategyError, match="row 0 has 4"):
        unmask.run_stages(Toy(), canvas, listed, STRATEGIES, seed=1)
    done = Canvas.ragged([[3] * 4, [0] * 6], [[False] * 4, [True] * 6])
    result = unmask.run_stages(Toy(), done, listed, STRATEGIES, seed=1)
    assert result.tokens[0, :4].tolist() == [3] * 4


class Plain(Toy):
    """Without a cache, its tables on a device."""

    cached = False

    def __init__(self, device=None):
        super().__init__()
        self.device = device
        for name in ("place", "left", "right"):
            setattr(self, name, getattr(self, name).to(device or "cpu"))

    def forward(self, query, cache):
        return self.hidden(query.tokens, valid=query.valid), None


def test_everything_is_on_the_device_of_the_network_from_the_start(elsewhere, monkeypatch):
    places, begin = [], stages.init

    def noted(denoiser, canvas, *more):
        places.append({leaf.device for leaf in (canvas.tokens, canvas.editable, canvas.valid)})
        return begin(denoiser, canvas, *more)

    monkeypatch.setattr(stages, "init", noted)
    given = (Canvas.blank(2, 6), Groups.levels(2), STRATEGIES)
    here = unmask.run_stages(Plain(), *given, seeds=[1, 2])
    places.clear()
    with elsewhere.counted():
        there = unmask.run_stages(Plain(elsewhere.FAR), *given, seeds=[1, 2])
        assert places == [{elsewhere.FAR}] * 2
        for field in fields(there):
            assert getattr(there, field.name).device == elsewhere.FAR, field.name
            assert torch.equal(getattr(there, field.name).cpu(), getattr(here, field.name))
