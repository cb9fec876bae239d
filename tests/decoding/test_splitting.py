"""Rows in parts, by a stated memory or because memory ran out: the same rows, and what is said."""

import re
from dataclasses import fields

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Constraint, Groups, LastDraw, presets
from unmask.decoding import completed, in_order, row_seeds, run_strategy
from unmask.decoding.memory import LiveBytes, bytes_of, fitting, spoken
from unmask.decoding.splitting import at_its_busiest, pieces
from unmask.errors import DenoiserError, InputError, MemoryBudgetError, SplitWarning
from unmask.types import Generation

WIDE = 5000  # numbers that a network holds for each position
CPU = torch.device("cpu")


def same(one, other):
    for field in fields(Generation):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


class Conditioned(Toy):
    """What it says depends on the row's condition, of which one part is nested."""

    def hidden(self, tokens, *, valid, memory, condition):
        hidden, memory = super().hidden(tokens, valid=valid, memory=memory)
        first, (second,) = condition["first"], condition["rest"]
        return hidden + torch.stack([first, second], 1).repeat(1, 4)[:, None, :VOCAB], memory


class Activations(Toy):
    """A network that holds (B,N,WIDE) float32 beside its logits, for as long as it runs."""

    def hidden(self, tokens, *, valid, memory):
        held = torch.ones(*tokens.shape, WIDE)
        hidden, memory = super().hidden(tokens, valid=valid, memory=memory)
        return hidden * held[..., :1], memory


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
        presets.maskgit(3).but(groups=Groups.blocks(4, parallel=True)),
    ),
    "with groups, shown as drawn": (
        Toy,
        lambda: Canvas.blank(7, 8),
        presets.random_order(4).but(groups=Groups.blocks(3), veil=LastDraw()),
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


def room_for(fit, make, canvas, strategy, slack=0.5):
    """A budget that holds `fit` rows and no more, by the library's own measure."""
    needed = {}

    def spy(budget, rows, measure, least=1):
        needed.update({rows: measure(rows) for rows in (least, least + 1)}, least=least)
        return 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unmask.decoding.splitting.fitting", spy)
        unmask.run(make(), canvas, strategy, seed=3, max_memory=1)
    least = needed["least"]
    each = needed[least + 1] - needed[least]
    return needed[least] + each * max(0, fit - least) + int(each * slack)


class Small(Toy):
    """Memory for `rows` rows; `runs_out` says how."""

    def __init__(self, rows, runs_out):
        super().__init__()
        self.most, self.runs_out = rows, runs_out

    def hidden(self, tokens, *, valid, memory):
        out = super().hidden(tokens, valid=valid, memory=memory)
        if len(tokens) > self.most:
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


STRATEGIES = {
    "maskgit": presets.maskgit(4),
    "klass": presets.klass(),
    "llada": presets.llada(4, 4),
    "wino": presets.wino(fill=0.5, block=None),
    "remdm": presets.remdm(4),
    "p2": presets.p2(4),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_part_stays_below_the_stated_memory(name):
    strategy, length, rows = STRATEGIES[name], 12, 20
    canvas = Canvas.blank(rows, length)
    seeds = row_seeds(canvas, 3, None)
    each = length * WIDE * 4  # bytes of activations
    budget = (9 if name == "wino" else 4) * each + each // 2
    network = Activations()
    made = unmask.run(network, canvas, strategy, seeds=seeds, max_memory=budget)
    same(made, unmask.run(Activations(), canvas, strategy, seeds=seeds))
    fit = max(network.rows[-rows:])
    assert fit == (9 if name == "wino" else 4)  # what the activations alone allow

    def peak(start, count):
        part = Canvas.blank(count, length)
        with LiveBytes(CPU) as live:
            run_strategy(Activations(), part, strategy, seeds[start : start + count])
        return live.peak

    for start in range(0, rows, fit):
        assert peak(start, min(fit, rows - start)) <= budget
    assert peak(0, fit + 1) > budget


def peak_of_run(network, canvas, strategy, seeds):
    state = unmask.init(network, canvas, strategy, seeds)
    with LiveBytes(CPU) as live:
        completed(state.take(torch.arange(len(seeds))), network, strategy)
    return live.peak


class Remembering(Toy):
    """Its memory outweighs everything: the last one and the new one stand there at once."""

    def hidden(self, tokens, *, valid, memory):
        hidden, _ = super().hidden(tokens, valid=valid, memory=None)
        return hidden, torch.ones(*tokens.shape, WIDE)


@pytest.mark.parametrize(
    ("make", "strategy"),
    [(Toy, presets.klass()), (Toy, presets.maskgit(4)), (Remembering, presets.maskgit(4))],
    ids=["what was said before", "the state alone", "what the network remembers"],
)
def test_a_state_that_outweighs_the_network_counts(make, strategy):
    """One row ends at once, so that at each later step the others are taken out of the state."""
    editable = torch.ones(20, 12, dtype=torch.bool)
    editable[0, 1:] = False
    canvas = Canvas.infill(torch.zeros(20, 12, dtype=torch.int64), editable)
    budget, seeds = room_for(20, make, canvas, strategy, slack=0), row_seeds(canvas, 3, None)
    network = make()
    unmask.run(network, canvas, strategy, seeds=seeds, max_memory=budget)
    assert network.rows[3] == 20
    assert 0.8 * budget < peak_of_run(make(), canvas, strategy, seeds) <= budget


def test_memory_that_runs_out_while_it_is_measured_is_a_measure():
    canvas, strategy, network = Canvas.blank(3, 8), presets.maskgit(2), Small(1, WAYS["CUDA"])
    made = unmask.run(network, canvas, strategy, seed=3, max_memory="1GB")  # and nothing is warned
    same(made, unmask.run(Toy(), canvas, strategy, seed=3))
    assert network.rows == [1, 1, 2, *[1] * 6]


def test_the_longest_row_is_measured():
    def net(tokens):
        return torch.ones(*tokens.shape, WIDE)[..., :VOCAB] + torch.eye(VOCAB)[tokens]

    canvas = Canvas.ragged([[0] * (2 if row % 4 == 0 else 12) for row in range(8)])
    strategy, seeds = presets.random_order(4), row_seeds(canvas, 3, None)
    network = unmask.wrap(net, mask_id=MASK, vocab_size=VOCAB)
    budget, shapes = int(2.5 * 12 * WIDE * 4), []
    watched = unmask.wrap(
        lambda tokens: shapes.append(tuple(tokens.shape)) or net(tokens),
        mask_id=MASK,
        vocab_size=VOCAB,
    )
    made = unmask.run(watched, canvas, strategy, seeds=seeds, max_memory=budget)
    same(made, unmask.run(network, canvas, strategy, seeds=seeds))
    assert shapes[:3] == [(1, 12), (1, 12), (2, 12)]
    assert max(rows for rows, length in shapes[3:] if length == 12) == 2


def test_verification_has_eight_rows_whatever_the_part():
    """What one row needs is what eight do, and to say less would be a promise broken later."""
    canvas, strategy = Canvas.blank(3, 12), presets.wino(fill=0.5, block=None)
    each, seeds = 12 * WIDE * 4, row_seeds(canvas, 3, None)
    with pytest.raises(MemoryBudgetError, match="a single row needs"):
        unmask.run(Activations(), canvas, strategy, seeds=seeds, max_memory=4 * each)
    network = Activations()
    unmask.run(network, canvas, strategy, seeds=seeds, max_memory=int(8.5 * each))
    assert peak_of_run(Activations(), canvas, strategy, seeds) <= 8.5 * each


def test_the_whole_run_stays_below_what_is_stated_and_what_is_held():
    canvas, strategy, each = Canvas.blank(16, 8), presets.maskgit(4), 8 * WIDE * 4
    with LiveBytes(CPU) as live:
        unmask.run(Toy(), canvas, strategy, seed=3)
    held = 2 * live.peak  # the state of all rows, and the records of parts
    with LiveBytes(CPU) as live:
        unmask.run(Activations(), canvas, strategy, seed=3, max_memory=3 * each)
    assert each < live.peak <= 3 * each + held < 4 * each


def test_a_group_that_opens_later_counts_with_its_own_size():
    """Block 0 has one unknown position and block 1 has all: the head's part is that of block 1."""
    editable = torch.arange(8).expand(3, 8) >= 3
    canvas = Canvas.infill(torch.zeros(3, 8, dtype=torch.int64), editable)
    strategy = presets.random_order(2).but(groups=Groups.blocks(4))
    state = unmask.init(Toy(), canvas, strategy, torch.arange(3))
    row, _ = at_its_busiest(state.take(torch.tensor([1])), Toy(), strategy)
    assert row.open_group.tolist() == [1]
    assert row.masked.tolist() == [[False] * 4 + [True] * 4]
    assert row.tokens[0, 3] not in (MASK, *Toy.forbidden)
    after = unmask.step(row, Toy(), strategy)
    assert int(after.masked.sum()) == 2  # the plan of block 1: half of it a step


def test_fitting_is_a_straight_line_from_two_points():
    measured = []

    def needed(rows):
        measured.append(rows)
        return 100 + 7 * rows

    for budget in range(107, 300):
        most = max(rows for rows in range(1, 50) if 100 + 7 * rows <= budget)
        assert fitting(budget, 50, needed) == most
        assert fitting(budget, 5, needed) == min(5, most)
    assert set(measured) == {1, 2}
    assert fitting(1000, 1, needed) == 1
    assert fitting(150, 50, lambda rows: 100) == 50  # rows that cost nothing
    measured.clear()
    assert fitting(170, 50, needed, least=8) == 10
    assert fitting(110, 50, needed, least=8) == 1  # eight do not fit, but one does
    assert measured == [8, 9, 8, 1]


def test_a_row_that_does_not_fit_says_what_it_needs():
    canvas, need = Canvas.blank(3, 8), 8 * WIDE * 4
    with pytest.raises(MemoryBudgetError) as caught:
        unmask.generate(Activations(), canvas, presets.maskgit(4), seed=0, max_memory=need // 2)
    words = str(caught.value)
    assert "a single row needs" in words
    assert f"max_memory={spoken(need // 2)}" in words
    advised = re.search("pass max_memory='(.*)'", words)[1]
    assert need < bytes_of(advised) < 1.2 * need
    network = Activations()
    made = unmask.generate(network, canvas, presets.maskgit(4), seed=0, max_memory=advised)
    assert torch.equal(made, unmask.generate(Toy(), canvas, presets.maskgit(4), seed=0))
    assert max(network.rows[3:]) == 1


@pytest.mark.parametrize(
    ("stated", "size"),
    [
        (1, 1),
        (2_000_000_000, 2 * 10**9),
        ("2GB", 2 * 10**9),
        ("512MiB", 2**29),
        ("1.5 gib", 3 * 2**29),
        ("10kB", 10_000),
        (" 7 B ", 7),
        ("2000", 2000),
        ("3TiB", 3 * 2**40),
    ],
)
def test_stated_memory_is_read(stated, size):
    assert bytes_of(stated) == size


@pytest.mark.parametrize(
    "stated", [0, -1, True, 1.5, "1.5", "0", "GB", "2 X", "-2GB", "0GB", "", "2GBit", "1e9B", None]
)
def test_what_is_no_memory_is_refused(stated):
    with pytest.raises(MemoryBudgetError, match=r"max_memory=.*pass a number of bytes.*'2GB'"):
        bytes_of(stated)
    assert issubclass(MemoryBudgetError, InputError)
    if stated is not None:
        with pytest.raises(MemoryBudgetError, match="max_memory="):
            unmask.generate(Toy(), Canvas.blank(1, 4), seed=0, max_memory=stated)


@pytest.mark.parametrize("size", [1, 999, 1023, 1024, 1025, 5_000_000, 2**30, 3 * 2**41 + 1])
def test_what_is_said_can_be_passed_and_is_no_less(size):
    assert size <= bytes_of(spoken(size)) <= 1.11 * size + 1


def test_live_bytes_are_those_of_storages():
    held = torch.zeros(100)
    with LiveBytes(CPU) as live:
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
