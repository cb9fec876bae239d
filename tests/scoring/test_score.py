"""What all methods share: batches, padding, forwards spent, figures, and what cannot be scored."""

import math
from dataclasses import replace

import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy
from tests.reference.network import Network

import unmask
from unmask import objectives, presets, scoring
from unmask.errors import CanvasError, DataError, DenoiserError, SeedError, StrategyError

METHODS = {
    "bound": scoring.Bound(5),
    "random order": scoring.Ordered(presets.random_order(steps=3)),
    "confidence": scoring.Ordered(presets.confidence(steps=3)),
    "pseudo": scoring.PseudoLikelihood(),
}
DATA = [i for i in range(VOCAB) if i not in (MASK, FORBIDDEN)]


def rows(batch, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(DATA)[torch.randint(len(DATA), (batch, length), generator=generator)]


def some(batch, length):
    """Flags True here and there: every row asks another number of tokens, some rows none."""
    return torch.arange(length) < (torch.arange(batch) % (length + 1))[:, None]


@pytest.fixture(params=METHODS)
def by(request):
    return METHODS[request.param]


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_batches_change_nothing(by, batch_size):
    tokens, asked = rows(19, 9), some(19, 9)
    whole = unmask.score(Toy(), tokens, asked, by=by, batch_size=10_000)
    parts = unmask.score(Toy(), tokens, asked, by=by, batch_size=batch_size)
    assert torch.equal(whole.per_example, parts.per_example)
    assert whole.nats_per_token == parts.nats_per_token


def test_an_example_depends_on_its_place_and_the_seed_alone(by):
    tokens = rows(12, 9)
    many = unmask.score(Toy(), tokens, by=by, seed=5).per_example
    few = unmask.score(Toy(), tokens[:5], by=by, seed=5).per_example
    assert torch.equal(many[:5], few)
    other = unmask.score(Toy(), tokens, by=by, seed=6).per_example
    drawn = by in (METHODS["bound"], METHODS["random order"])
    assert torch.equal(many, other) != drawn


def test_padding_changes_nothing(by):
    tokens, lengths = rows(6, 9), torch.tensor([9, 3, 1, 5, 8, 2])
    valid = torch.arange(9) < lengths[:, None]
    padded = tokens.masked_fill(~valid, -100)
    found = unmask.score(Toy(), padded, valid=valid, by=by)
    for row, n in enumerate(lengths.tolist()):
        # Rows before it keep the place, and with it the masks.
        alone = unmask.score(Toy(), tokens[: row + 1, :n], by=by).per_example[row]
        assert float(found.per_example[row]) == pytest.approx(float(alone), abs=1e-12)
    assert found.tokens == int(lengths.sum())
    assert torch.equal(found.tokens_per_example, lengths)


def test_a_transformer_in_small_batches(by):
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=VOCAB, intermediate_size=16, initializer_range=0.5, **small)
    net = unmask.wrap(BertForMaskedLM(config), mask_id=MASK, forbidden=[FORBIDDEN])
    tokens, valid = rows(9, 12), torch.arange(12) < torch.arange(4, 13)[:, None]
    assert net.training
    whole = unmask.score(net, tokens, valid=valid, by=by)
    parts = unmask.score(net, tokens, valid=valid, by=by, batch_size=4)
    assert torch.allclose(whole.per_example, parts.per_example, atol=1e-5)
    assert net.training
    assert float(whole.per_example.std()) > 0.1


def spent(by, tokens, asked=None, batch_size=256):
    toy = Toy()
    unmask.score(toy, tokens, asked, by=by, batch_size=batch_size)
    return sum(toy.rows), sum(toy.asked)


def test_forwards_and_head_positions_are_counted():
    tokens = rows(4, 6)
    spending, asked = spent(METHODS["bound"], tokens)
    assert asked == 4 * 5 * 6  # each pair has every token in it once
    assert 4 * (5 * 2 - 1) <= spending <= 4 * 5 * 2  # a whole row has no other half
    assert spent(METHODS["random order"], tokens) == (4 * 3, 4 * 6)
    assert spent(METHODS["confidence"], tokens) == (4 * 3, 4 * (6 + 4 + 2))
    assert spent(METHODS["pseudo"], tokens) == (4 * 6, 4 * 6)


def test_no_forward_has_more_rows_than_the_batch_size(by):
    toy = Toy()
    unmask.score(toy, rows(9, 6), by=by, batch_size=4)
    assert max(toy.rows) == 4


def test_a_single_token_takes_one_forward_and_all_methods_agree():
    tokens = rows(8, 6)
    asked = torch.arange(6) == torch.tensor([0, 5, 2, 3, 3, 1, 4, 0])[:, None]
    found = [unmask.score(Toy(), tokens, asked, by=by).per_example for by in METHODS.values()]
    for by, nats in zip(METHODS.values(), found, strict=True):
        assert spent(by, tokens, asked) == (8, 8)
        assert torch.equal(nats, found[0])
    shown = tokens.masked_fill(asked, MASK)
    logits = Toy().hidden(shown, valid=torch.ones_like(asked))
    logits[..., [MASK, FORBIDDEN]] = -math.inf
    naive = logits.double().log_softmax(-1).gather(2, tokens[..., None])[..., 0][asked]
    assert torch.allclose(found[0], -naive, atol=1e-6)


def test_only_legal_ids_share_the_probability(by):
    tokens, legal = rows(8, 6), torch.zeros(8, 6, VOCAB, dtype=torch.bool)
    legal.scatter_(2, tokens[..., None], True)
    assert unmask.score(Toy(), tokens, by=by, legal=legal).nats_per_token == 0
    every = torch.zeros(6, VOCAB, dtype=torch.bool)
    every[:, DATA] = True
    free = unmask.score(Toy(), tokens, by=by).per_example
    assert torch.equal(unmask.score(Toy(), tokens, by=by, legal=every).per_example, free)
    every[:, 0] = False
    gone = (tokens == 0).any(1)
    assert 0 < int(gone.sum()) < 8
    assert torch.equal(unmask.score(Toy(), tokens, by=by, legal=every).per_example.isinf(), gone)


def test_rows_that_ask_nothing_cost_nothing(by):
    tokens, asked = rows(4, 6), torch.ones(4, 6, dtype=torch.bool)
    asked[1:3] = False
    assert spent(by, tokens[[0, 3]])[1] == spent(by, tokens, asked)[1]
    found = unmask.score(Toy(), tokens, asked, by=by)
    assert (found.examples, found.tokens) == (2, 12)
    assert found.per_example[1:3].tolist() == [0, 0]


class Told(Network):
    """A denoiser that says whatever class it is told, likely by e to 1."""

    vocab_size, mask_id = 4, 3

    def hidden(self, tokens, *, valid, condition):
        hot = torch.nn.functional.one_hot(condition, 4).float()
        return hot[:, None].expand(-1, tokens.shape[1], -1).clone()


def test_each_row_keeps_its_condition(by):
    tokens = torch.tensor([[0] * 5, [1] * 5, [2] * 5, [0] * 5])
    found = unmask.score(Told(), tokens, by=by, condition=torch.tensor([0, 1, 0, 2]), batch_size=2)
    right, wrong = -math.log(math.e / (math.e + 2)), -math.log(1 / (math.e + 2))
    expected = [right, right, wrong, wrong]
    assert (found.per_example / 5).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_report_reaches_its_end(by):
    seen = []
    unmask.score(Toy(), rows(5, 6), by=by, batch_size=3, report=lambda *at: seen.append(at))
    done, totals = zip(*seen, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[0] == 0
    assert done[-1] == totals[0]
    assert len(set(done)) > 2


def test_the_error_is_that_of_the_mean_where_lengths_are_equal():
    found = unmask.score(Toy(), rows(30, 6))
    each = found.per_example / 6
    assert found.nats_per_token == pytest.approx(float(each.mean()))
    assert found.standard_error == pytest.approx(float(each.std()) / math.sqrt(30))
    assert 0 < unmask.score(Toy(), rows(1, 6)).standard_error < math.inf


def test_the_error_of_a_ratio_agrees_with_the_jackknife():
    valid = torch.arange(12) < torch.randint(1, 13, (300, 1), generator=torch.Generator())
    found = unmask.score(Toy(), rows(300, 12), valid=valid, by=scoring.PseudoLikelihood())
    nats, tokens = found.per_example, found.tokens_per_example
    without = (nats.sum() - nats) / (tokens.sum() - tokens)
    jackknife = math.sqrt(float((without - without.mean()).square().sum()) * 299 / 300)
    assert found.standard_error == pytest.approx(jackknife, rel=0.03)
    assert found.nats_per_token == pytest.approx(float(nats.sum() / tokens.sum()))
    naive = float((nats / tokens).std()) / math.sqrt(300)
    assert found.standard_error != pytest.approx(naive, rel=0.03)


def test_perplexity_that_overflows_is_infinite():
    found = scoring.Score(1e4, 0.0, 1, 1, torch.zeros(1), torch.ones(1), "bound")
    assert found.perplexity == math.inf
    assert found.bits_per_token == pytest.approx(1e4 / math.log(2))


GOOD = rows(2, 4)
ALL = torch.ones(2, 4, dtype=torch.bool)
LAST = ALL.clone()
LAST[0, 3] = False
FIRST = ALL.clone()
FIRST[0, 0] = False
BAD = {
    "outside": ((GOOD + 50,), {}, DataError, "id 5. at row 0, position 0 is outside the vocab"),
    "given id outside": ((GOOD - 9, ~ALL), {}, DataError, "outside the vocabulary of 7"),
    "mask id": ((GOOD * 0 + MASK,), {}, DataError, "is the mask id or a forbidden one"),
    "padding asked": ((GOOD, ALL), {"valid": LAST}, DataError, "padding .row 0, position 3."),
    "padding first": ((GOOD,), {"valid": FIRST}, CanvasError, "must be at the end"),
    "nothing asked": ((GOOD, ~ALL), {}, DataError, "no token is scored"),
    "uneven rows": (([[1, 3], [4]],), {}, DataError, "tokens is a list: .*rows of equal length"),
    "text": (("abc",), {}, DataError, "tokens is a str"),
    "separators": (
        (torch.tensor([[FORBIDDEN, 0, 1, FORBIDDEN]]),),
        {},
        DataError,
        rf"pass maskable=~torch\.isin\(tokens, torch\.tensor\(\[{FORBIDDEN}, {MASK}\]\)\)",
    ),
    "padding on the left": ((GOOD,), {"valid": FIRST}, CanvasError, r"to Canvas\.ragged"),
    "report": ((GOOD,), {"report": 3}, StrategyError, r"report=3: pass a function"),
    "seeds": ((GOOD,), {"seed": torch.tensor([1, 2])}, SeedError, "seed=tensor"),
    "floats": ((GOOD.float(),), {}, CanvasError, "integer ids"),
    "another shape": (
        (GOOD, ALL[:1]),
        {},
        DataError,
        r"maskable is .* pass a bool tensor of shape \(2, 4\)",
    ),
    "a list of other flags": ((GOOD, [[True]]), {}, DataError, r"maskable .*shape \(2, 4\)"),
    "uneven flags": ((GOOD, [[True], []]), {}, DataError, "maskable is a list"),
    "no flags": ((GOOD, GOOD), {}, DataError, "maskable is torch.int64"),
    "condition": ((GOOD,), {"condition": torch.zeros(3)}, CanvasError, "must be the batch"),
    "legal ids": ((GOOD,), {"legal": ALL}, CanvasError, "pass a bool tensor of shape"),
    "other steps": ((GOOD,), {"steps": [1, 2, 3]}, CanvasError, "for 2 rows: pass one integer"),
    "steps of no strategy": ((GOOD,), {"steps": [1, 2]}, StrategyError, r"Ordered\(strategy\)"),
    "batch size": ((GOOD,), {"batch_size": 0}, DataError, "batch_size=0"),
    "by a name": ((GOOD,), {"by": "bound"}, StrategyError, "by='bound'"),
    "by a class": ((GOOD,), {"by": scoring.Bound}, StrategyError, r"scoring\.Bound\(\)"),
    "by a strategy": ((GOOD,), {"by": presets.confidence()}, StrategyError, "Ordered"),
    "seed": ((GOOD,), {"seed": -1}, SeedError, "seed=-1"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_scored_is_told(name):
    arguments, options, error, words = BAD[name]
    with pytest.raises(error, match=words):
        unmask.score(Toy(), *arguments, **options)


def test_lists_and_arrays_are_scored_as_tensors_are(by):
    tokens, asked, valid = rows(4, 6), some(4, 6), torch.arange(6).expand(4, 6) < 5
    asked &= valid
    plain = unmask.score(Toy(), tokens, asked, valid=valid, by=by).per_example
    for form in (torch.Tensor.tolist, torch.Tensor.numpy):
        found = unmask.score(Toy(), form(tokens), form(asked), valid=form(valid), by=by)
        assert torch.equal(found.per_example, plain)


class Short(torch.nn.Module):
    """A network of three positions and six ids."""

    def __init__(self):
        super().__init__()
        self.ids, self.positions = torch.nn.Embedding(6, VOCAB), torch.nn.Embedding(3, VOCAB)

    def forward(self, tokens):
        return self.ids(tokens) + self.positions(torch.arange(tokens.shape[1]))


LONGER = r"the network raised IndexError: .*ids \d to 5 at 4 positions: .*shorter rows.*step 0"


def test_a_row_longer_than_the_network_is_told_in_the_same_words_everywhere(by):
    network = unmask.wrap(Short(), mask_id=MASK, vocab_size=VOCAB)
    tokens = torch.tensor([[0, 1, 2, 3]] * 2)
    with pytest.raises(DenoiserError, match=LONGER) as scored:
        unmask.score(network, tokens, by=by)
    assert scored.value.rows == (0, 1)
    flags = tokens > 0
    for canvas in (unmask.Canvas.blank(2, 4), unmask.Canvas.infill(tokens, flags)):
        with pytest.raises(DenoiserError, match=LONGER) as drawn:
            unmask.generate(network, canvas, seed=0)
        assert drawn.value.rows == (0, 1)


def test_a_mask_id_outside_the_embedding_is_named():
    network = unmask.wrap(Short(), mask_id=6, vocab_size=VOCAB)
    with pytest.raises(DenoiserError, match=r"ids \d to 6 at 3 positions: .*another mask_id"):
        unmask.score(network, [[0, 1, 2]])


def test_a_network_must_be_wrapped():
    with pytest.raises(StrategyError, match=r"unmask\.wrap"):
        unmask.score(torch.nn.Linear(2, 2), GOOD)


class Timed(Network):
    """A network that is told the time, and notes it."""

    vocab_size, mask_id, inputs = 5, 4, {"progress", "masked"}

    def __init__(self):
        self.told = []

    def forward(self, query, cache):
        assert torch.equal(query.masked, query.tokens == 4)
        self.told.append((query.progress.tolist(), query.unknown_share.tolist()))
        return torch.zeros(*query.tokens.shape, 5), None


def test_a_network_is_told_how_much_is_unknown_of_what_is_scored():
    network, tokens = Timed(), torch.tensor([[0, 1, 2, 3]])
    editable = torch.tensor([[False, True, True, True]])
    scoring.score(network, tokens, maskable=editable, by=scoring.PseudoLikelihood())
    shares = [share for _, told in network.told for share in told]
    assert shares == [pytest.approx(1 / 3)] * 3
    assert [r for told, _ in network.told for r in told] == [pytest.approx(2 / 3)] * 3


def test_a_network_is_told_how_much_is_unknown_in_training():
    network, tokens = Timed(), torch.tensor([[0, 1, 2, 3]] * 3)
    objectives.complementary(
        network, tokens, torch.ones_like(tokens, dtype=bool), seed=torch.arange(3)
    )
    progress, shares = map(torch.tensor, network.told[0])
    assert torch.equal(progress, 1 - shares)
    assert set((shares * 4).long().tolist()) <= set(range(5))
    assert len(network.told[0][1]) >= 3


def test_rows_longer_than_the_network_takes_are_refused_as_in_generation(by):
    class Short(Toy):
        spec = replace(Toy().spec, max_length=4)

    network = Short()
    message = "rows of 5 positions, and the network takes 4 at most"
    with pytest.raises(CanvasError, match=message):
        scoring.score(network, rows(2, 5), by=by)
    with pytest.raises(CanvasError, match=message):
        unmask.generate(network, unmask.Canvas.blank(2, 5), seed=0)
    assert scoring.score(network, rows(2, 4), by=by).tokens == 8
