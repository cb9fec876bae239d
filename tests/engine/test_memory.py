"""Rows in parts, by limits or because memory ran out: the same rows, and what is said."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, SumCache, Toy, flat
from tests.reference.memory import LiveBytes
from tests.reference.network import Network

import unmask
from unmask import Canvas, Engine, Groups, orders, presets
from unmask.core.generation import Generation
from unmask.errors import DenoiserError, SplitWarning, StrategyError
from unmask.guidance import Guidance, HidePrompt
from unmask.noise import PreviousSample

WIDE = 5000  # numbers that a network holds for each position


def same(one, other):
    for field in fields(Generation):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


class Small(Toy):
    """Memory for `rows` rows; `runs_out` says how."""

    def __init__(self, rows, runs_out):
        super().__init__()
        self.most, self.runs_out = rows, runs_out

    def forward(self, query, cache):
        out = super().forward(query, cache)
        if len(query.tokens) > self.most:
            self.runs_out()
        return out


def raising(error):
    def runs_out():
        raise error

    return runs_out


WAYS = {
    "CUDA": raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
    "Linux": lambda: torch.empty(2**60, dtype=torch.uint8),
    "Windows": raising(RuntimeError("DefaultCPUAllocator: not enough memory: you tried ...")),
    "Python": raising(MemoryError()),
}


class Conditioned(Network):
    """What it says depends on the row's condition, of which one part is nested."""

    vocab_size, mask_id = VOCAB, MASK

    def hidden(self, tokens, *, valid, condition):
        hidden = Toy().hidden(tokens, valid=valid)
        first, (second,) = condition["first"], condition["rest"]
        return hidden + torch.stack([first, second], 1).repeat(1, 4)[:, None, :VOCAB]


def ragged(rows=7):
    given = [[0] * (3 + row % 4) for row in range(rows)]
    editable = [[bool((row + at) % 5) for at in range(len(ids))] for row, ids in enumerate(given)]
    editable[2] = [False] * len(given[2])  # a row with nothing to do
    return Canvas.ragged(given, editable, pad_id=1)


def conditioned(rows=7):
    parts = {"first": torch.randn(rows), "rest": [torch.randn(rows)]}
    return Canvas.blank(rows, 6, condition=parts)


def legal():
    table = torch.ones(7, 8, VOCAB, dtype=torch.bool)
    table[torch.arange(7), :, torch.arange(7) % 5] = False
    return table


def required():
    table = torch.full((7, 8), -1)
    table[torch.arange(7), torch.arange(7)] = torch.arange(7) % 2
    return table


CASES = {
    "ragged": (Toy, ragged, presets.maskgit(4)),
    "ragged, without padding flags": (
        lambda: unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB),
        ragged,
        presets.confidence(4),
    ),
    "adaptive": (Toy, ragged, presets.threshold(0.4)),
    "adaptive, by what was said before": (Toy, ragged, presets.klass()),
    "with condition": (Conditioned, conditioned, presets.top_margin(5)),
    "with steps of its own for each row": (
        Toy,
        lambda: Canvas.blank(7, 8, steps=[1, 2, 3, 4, 5, 6, 7]),
        presets.random_order(7),
    ),
    "with groups": (Toy, lambda: Canvas.blank(7, 8), presets.llada(4, 4)),
    "with groups side by side": (
        Toy,
        lambda: Canvas.blank(7, 8),
        presets.maskgit(3).but(groups=Groups.blocks(4, side_by_side=True)),
    ),
    "with groups, shown as drawn": (
        Toy,
        lambda: Canvas.blank(7, 8),
        presets.random_order(4).but(groups=Groups.blocks(3), noise=PreviousSample()),
    ),
    "with a table of legal ids for each row": (
        Toy,
        lambda: Canvas.blank(7, 8, legal=legal()),
        presets.mask_predict(3),
    ),
    "with required ids for each row": (
        Toy,
        lambda: Canvas.blank(7, 8, required=required()),
        presets.mask_predict(3),
    ),
    "with verification": (Toy, lambda: Canvas.blank(7, 12), presets.wino(fill=0.5, block=None)),
    "with remasking": (Toy, lambda: Canvas.blank(7, 8), presets.remdm(4)),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_give_the_rows_of_the_whole(case):
    make, canvas, strategy = CASES[case]
    torch.manual_seed(0)
    canvas = canvas()
    whole = unmask.run(make(), canvas, strategy, seed=3)
    longest = int(canvas.valid.sum(1).max())
    for most in (1, 2, 3):
        network = make()
        same(unmask.run(network, canvas, strategy, seed=3, max_rows=most), whole)
        if isinstance(network, Toy):
            assert max(network.rows) == most
        tokens = unmask.generate(make(), canvas, strategy, seed=3, max_tokens=most * longest)
        assert torch.equal(tokens, whole.tokens)


@pytest.mark.parametrize("limit", [{"max_rows": 2}, {"max_tokens": 16}, {"max_tokens": 19}])
def test_a_limit_is_kept_in_every_pass(limit):
    network = Toy()
    canvas = Canvas.blank(5, 8, steps=[1, 4, 2, 3, 1])
    unmask.run(network, canvas, presets.maskgit(4), seed=3, **limit)
    assert max(network.rows) == 2
    assert sum(network.rows) == 1 + 4 + 2 + 3 + 1


def _cache(tokens):
    return SumCache(torch.zeros(len(tokens)), np.ones(len(tokens), bool))


class Plain(Network):
    """Notes the positions of each pass."""

    vocab_size, mask_id = VOCAB, MASK

    def __init__(self, trims=False, cached=False):
        self.trims, self.cached, self.shapes = trims, cached, []

    def forward(self, query, cache):
        self.shapes.append(tuple(query.tokens.shape))
        hidden = Toy().hidden(query.tokens, valid=query.valid)
        return hidden, _cache(query.tokens) if self.cached else None


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"trims": True},
        {"cached": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("most", [9, 18, 20])
def test_a_pass_has_no_more_positions_than_the_limit(kind, most):
    canvas, strategy = Canvas.ragged([[0] * n for n in (9, 3, 3, 3, 9, 2)]), presets.maskgit(3)
    network = Plain(**kind)
    made = unmask.run(network, canvas, strategy, seed=3, max_tokens=most)
    same(made, unmask.run(Plain(**kind), canvas, strategy, seed=3))
    assert max(rows * width for rows, width in network.shapes) <= most


VERIFYING = presets.wino(0.15, 0.9, block=None, temperature=1.0)
GUIDED = presets.random_order(3).but(guidance=Guidance(1.5, null=HidePrompt()))


@pytest.mark.parametrize("kind", [{}, {"trims": True}, {"cached": True}], ids=str)
@pytest.mark.parametrize("strategy", [GUIDED, VERIFYING], ids=["guided", "verifying"])
@pytest.mark.parametrize("most", [18, 19, 35])
def test_readings_and_verification_keep_to_the_limit_too(kind, strategy, most):
    canvas = Canvas.ragged([[0] * n for n in (9, 3, 3, 3, 9, 2)])
    network, free = Plain(**kind), Plain(**kind)
    whole = unmask.run(free, canvas, strategy, seed=3)
    same(unmask.run(network, canvas, strategy, seed=3, max_tokens=most), whole)
    assert max(rows * width for rows, width in network.shapes) <= most
    assert max(rows * width for rows, width in free.shapes) > most  # the control: no limit


def verified(network, seeds=(1, 2)):
    return unmask.run(network, Canvas.blank(len(seeds), 16), VERIFYING, seeds=seeds)


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("seeds", [(1, 2), (2,)])
def test_verification_goes_on_in_halves_where_memory_runs_out(seeds, most):
    whole = verified(Plain(), seeds)

    class Tight(Plain):
        def forward(self, query, cache):
            if len(query.tokens) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(query, cache)

    network = Tight()
    with pytest.warns(SplitWarning):
        made = verified(network, seeds)
    same(made, whole)
    assert max(rows for rows, _ in network.shapes) == most or len(seeds) == 1


def test_a_row_longer_than_the_limit_goes_alone():
    network, canvas = Toy(), Canvas.ragged([[0] * 3, [0] * 9, [0] * 3])
    unmask.run(network, canvas, presets.maskgit(2), seed=3, max_tokens=6)
    assert network.rows == [1, 1] * 3


@pytest.mark.parametrize("limit", ["max_rows", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2GB"])
def test_a_limit_that_is_none_is_refused(limit, value):
    with pytest.raises(StrategyError, match=rf"{limit}=.*pass an integer of 1 or more"):
        unmask.generate(Toy(), Canvas.blank(1, 4), seed=0, **{limit: value})


@pytest.mark.parametrize("way", WAYS)
def test_where_memory_runs_out_the_rows_go_on_in_halves(way):
    canvas, strategy = ragged(11), presets.maskgit(4)
    whole = unmask.run(Toy(), canvas, strategy, seed=3)
    network = Small(3, WAYS[way])
    with pytest.warns(SplitWarning) as seen:
        made = unmask.run(network, canvas, strategy, seed=3)
    same(made, whole)
    assert len(seen) == 1
    message = str(seen[0].message)
    assert "memory ran out with 10 rows at once (step 0, rows [0, 1, 3" in message
    assert "at most 5 at a time" in message
    assert "pass max_rows=5, or max_tokens=" in message
    # 10 do not fit, nor do the first 5; what waits is cut before it is tried.
    assert [rows for rows in network.rows if rows > 3] == [10, 5]


def test_nothing_is_lost_or_drawn_again_where_memory_runs_out_midway():
    canvas, strategy = Canvas.blank(4, 8), presets.maskgit(6)
    whole = unmask.run(Toy(), canvas, strategy, seed=3)

    class Filling(Small):
        """Memory that shrinks after two steps."""

        def forward(self, query, cache):
            self.most = 4 if len(self.rows) < 2 else 2
            return super().forward(query, cache)

    network = Filling(4, WAYS["CUDA"])
    with pytest.warns(SplitWarning, match=r"4 rows at once \(step 2, "):
        made = unmask.run(network, canvas, strategy, seed=3)
    same(made, whole)
    assert network.rows == [4, 4, 4, *[2] * 4, *[2] * 4]


@pytest.mark.parametrize("where", ["head", "order"])
def test_memory_may_run_out_in_other_parts_of_a_step(where):
    class Head(Toy):
        def logits(self, hidden):
            if len(hidden) > 16:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().logits(hidden)

    class Order(orders.Order):
        def __call__(self, state, proposal):
            if len(state) > 2:
                raise MemoryError
            return proposal.logprob

    network, strategy = (Head(), presets.maskgit(3)) if where == "head" else (Toy(), None)
    strategy = strategy or presets.top_margin(3).but(order=Order())
    canvas = Canvas.blank(4, 8)
    whole = [unmask.run(network, Canvas.blank(1, 8), strategy, seeds=[s]).tokens for s in range(4)]
    with pytest.warns(SplitWarning):
        made = unmask.generate(network, canvas, strategy, seeds=range(4))
    assert torch.equal(made, torch.cat(whole))


def test_a_single_row_raises_what_was_raised():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    network = Small(0, raising(error))
    with pytest.raises(torch.OutOfMemoryError) as caught, pytest.warns(SplitWarning):
        unmask.generate(network, Canvas.blank(3, 4), seed=0)
    assert caught.value is error
    assert network.rows == [3, 2, 1]


def test_a_stream_is_not_split():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(torch.OutOfMemoryError) as caught:
        list(unmask.stream(Small(2, raising(error)), Canvas.blank(3, 4), seed=0))
    assert caught.value is error


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory():
    network = Small(2, raising(RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(DenoiserError, match=r"shapes cannot.*step 0, rows \[0, 1, 2\]"):
        unmask.generate(network, Canvas.blank(3, 4), seed=0)
    assert network.rows == [3]


def test_the_failed_step_is_not_held_while_its_halves_go_on():
    entered = []

    class Watched(Toy):
        def forward(self, query, cache):
            entered.append(live.now)
            held = torch.ones(*query.tokens.shape, WIDE)
            if len(query.tokens) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            hidden, cache = super().forward(query, cache)
            return hidden * held[..., :1], cache

    with LiveBytes() as live, pytest.warns(SplitWarning):
        unmask.generate(Watched(), Canvas.blank(4, 8), presets.maskgit(2), seed=0)
    assert len(entered) == 5
    assert max(entered) < 8 * WIDE * 4  # less than the activations of one row


def test_finished_rows_cost_nothing_and_all_come_back_in_order():
    seeds = list(range(9))
    whole = unmask.run(Toy(), ragged(9), presets.maskgit(3), seeds=seeds)
    for most in (1, 2, 3, 8, 20):
        engine, found = Engine(Toy(), max_rows=most), {}
        ids = engine.submit(ragged(9), presets.maskgit(3), seeds)
        while len(engine.unfinished):
            for event in engine.step():
                found.update(event.results())
        assert sorted(found) == ids.tolist()
        for row, n in enumerate(ragged(9).valid.sum(1).tolist()):
            assert torch.equal(found[ids[row]].tokens[0], whole.tokens[row, :n])
        assert max(engine.denoiser.rows) == min(most, 8)
    nothing = Canvas.infill(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3).bool())
    assert torch.equal(unmask.generate(Toy(), nothing, seed=0, max_rows=1), nothing.tokens)


def test_records_are_joined_in_the_order_of_the_canvas():
    whole = unmask.run(Toy(), ragged(), presets.maskgit(3), seed=1)
    rows = [np.array([5, 1]), np.array([0]), np.array([6, 2, 4, 3])]
    joined = Generation.concat([whole.take(torch.from_numpy(part)) for part in rows])
    order = np.argsort(np.concatenate(rows))
    same(joined.take(torch.from_numpy(order)), whole)


def test_live_bytes_are_those_of_storages():
    held = torch.zeros(100)
    with LiveBytes() as live:
        view = held.view(10, 10)  # nothing new
        view.add_(1)
        assert (live.now, live.peak) == (0, 0)
        first = torch.ones(50, dtype=torch.float64)
        again = first[10:].view(4, 10)
        assert live.now == 400
        del first
        assert live.now == 400  # a view holds the storage
        second = again + 1
        assert (live.now, live.peak) == (720, 720)
        del again, second
    assert (live.now, live.peak) == (0, 720)
