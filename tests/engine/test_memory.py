"""Rows in parts, by a stated memory or because memory ran out: the same rows, and what is said."""

from dataclasses import fields

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat
from tests.decoding.memory_cases import CPU, WAYS, WIDE, Small, raising, room_for, same

import unmask
from unmask import Canvas, Constraint, Groups, PreviousSample, presets
from unmask.decoding import in_order
from unmask.decoding.memory import LiveBytes
from unmask.engine import pieces
from unmask.errors import DenoiserError, SplitWarning
from unmask.core.state import Generation


class Conditioned(Toy):
    """What it says depends on the row's condition, of which one part is nested."""

    def hidden(self, tokens, *, valid, memory, condition):
        hidden, memory = super().hidden(tokens, valid=valid, memory=memory)
        first, (second,) = condition["first"], condition["rest"]
        return hidden + torch.stack([first, second], 1).repeat(1, 4)[:, None, :VOCAB], memory


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


CASES = {
    "ragged": (Toy, ragged, presets.maskgit(4)),
    "ragged, without padding flags": (
        lambda: unmask.wrap(flat, mask_id=MASK),
        ragged,
        presets.confidence(4),
    ),
    "adaptive": (Toy, ragged, presets.threshold(0.4)),
    "adaptive, by what was said before": (Toy, ragged, presets.klass()),
    "with condition": (Conditioned, conditioned, presets.top_margin(5)),
    "with steps of its own for each row": (
        Toy,
        ragged,
        presets.random_order([1, 2, 3, 4, 5, 6, 7]),
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
        lambda: Canvas.blank(7, 8),
        presets.mask_predict(3).but(constraint=Constraint(legal=legal())),
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
    for fit in (1, 2, 3):
        budget, network = room_for(fit, make, canvas, strategy), make()
        parts = unmask.run(network, canvas, strategy, seed=3, max_memory=budget)
        same(parts, whole)
        tokens = unmask.generate(make(), canvas, strategy, seed=3, max_memory=f"{budget}B")
        assert torch.equal(tokens, whole.tokens)
        if isinstance(network, Toy) and not case.startswith("with verification"):
            asked = network.rows[3:]  # one step unmeasured, one of a row, one of it twice
            assert network.rows[:3] == [1, 1, 2]
            assert max(asked) == fit


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
    assert (
        "memory ran out with 10 rows at once (step 0, rows [0, 1, 2, 3, 4, 5, 6, 7] and 3"
        in message
    )
    assert "at most 5 at a time" in message
    assert "max_memory='2GB', or canvases of at most 5 rows" in message
    # 10 do not fit, nor do the first 5; what waits is cut before it is tried.
    assert [rows for rows in network.rows if rows > 3] == [10, 5]


def test_nothing_is_lost_or_drawn_again_where_memory_runs_out_midway():
    canvas, strategy = Canvas.blank(4, 8), presets.maskgit(6)
    whole = unmask.run(Toy(), canvas, strategy, seed=3)

    class Filling(Small):
        """Memory that shrinks after two steps."""

        def hidden(self, tokens, *, valid, memory):
            self.most = 4 if len(self.rows) < 2 else 2
            return super().hidden(tokens, valid=valid, memory=memory)

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

    class Order:
        scores = "any"
        needs = frozenset()

        def __call__(self, state, proposal):
            if len(state.row) > 2:
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
        def hidden(self, tokens, *, valid, memory):
            entered.append(live.now)
            held = torch.ones(*tokens.shape, WIDE)
            if len(tokens) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            hidden, memory = super().hidden(tokens, valid=valid, memory=memory)
            return hidden * held[..., :1], memory

    with LiveBytes(CPU) as live, pytest.warns(SplitWarning):
        unmask.generate(Watched(), Canvas.blank(4, 8), presets.maskgit(2), seed=0)
    assert len(entered) == 5
    assert max(entered) < 8 * WIDE * 4  # less than the activations of one row


def test_pieces_are_consecutive_and_finished_rows_cost_nothing():
    state = unmask.init(Toy(), ragged(9), presets.maskgit(3), torch.arange(9))
    for most in (1, 2, 3, 8, 20, None):
        parts = pieces(state, most)
        assert torch.cat([part.row for part in parts]).tolist() == list(range(9))
        unfinished = [int((~part.done).sum()) for part in parts]
        assert max(unfinished) <= (most or 9)
        assert unfinished[:-1] == [most] * (len(parts) - 1)
    nothing = Canvas.infill(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3).bool())
    assert torch.equal(unmask.generate(Toy(), nothing, seed=0, max_memory="1MB"), nothing.tokens)


def test_records_are_joined_in_the_order_of_the_canvas():
    whole = unmask.run(Toy(), ragged(), presets.maskgit(3), seed=1)
    rows = [torch.tensor([5, 1]), torch.tensor([0]), torch.tensor([6, 2, 4, 3])]
    parts = [
        (at, Generation(*(getattr(whole, field.name)[at] for field in fields(Generation))))
        for at in rows
    ]
    same(in_order(parts), whole)
