"""The fused draw against the plain one, token by token and statistic by statistic."""

import math
import sys

import pytest
import torch
from tests.models.decoders import canvas, decoder
from tests.reference.network import Network

import unmask
from unmask import sampling
from unmask.core.projection import Projection
from unmask.errors import KernelWarning, ModelError, StrategyError
from unmask.kernels import can_fuse, can_run, fused, fused_draw
from unmask.models import BlockCache, ReusedCache

STATISTICS = {"kept_logprob", "top_logprob", "top_token", "margin", "entropy"}
PROPOSE = sys.modules["unmask.decoding.propose"]
MIXED = (1.0, 0.0, 0.5, 3.0)


class Case:
    """Random features, weights and uniforms, the same on every device."""

    def __init__(self, device, vocab, width=16, rows=9, dtype=torch.float32, seed=0, bias=True):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator).to(device, dtype)

        self.features, self.weight = normal(rows, width), normal(vocab, width)
        self.bias = normal(vocab) if bias else None
        u = torch.rand(rows, 2, generator=generator, dtype=torch.float64)
        self.u = u.to(device)
        self.held = torch.full((rows,), -1, device=device)
        self.illegal = torch.empty(0, dtype=torch.int64, device=device)
        self.rows, self.device = rows, device

    def temperatures(self, values):
        return torch.tensor(values, device=self.device).repeat(self.rows)[: self.rows]

    @property
    def projection(self):
        return Projection(self.features, self.weight, self.bias)

    def fused(self, temperature=1.0, needs=STATISTICS):
        return fused_draw(self.projection, self.illegal, temperature, self.u, self.held, needs)

    def logits(self):
        logits = self.features.float() @ self.weight.float().T
        logits = logits if self.bias is None else logits + self.bias.float()
        return logits.index_fill(1, self.illegal, -torch.inf)

    def naive(self, temperature):
        """The same from full logits. temperature (M,)."""
        logits = self.logits()
        drawn, _ = sampling.draw(logits, temperature, self.u)
        token = drawn.where(self.held < 0, self.held)
        logp = logits.double().log_softmax(1)
        tempered = (logits.double() / temperature.clamp(min=1e-6).unsqueeze(1)).log_softmax(1)
        best, ids = torch.cat([logp, torch.full_like(logp[:, :1], -torch.inf)], 1).topk(2, 1)

        def at(values):
            return values.gather(1, token.unsqueeze(1)).squeeze(1)

        cold = temperature < sampling.COLD
        return {
            "token": token,
            "logprob": at(logp),
            "sampling_logprob": (at(logp) - best[:, 0]).where(cold, at(tempered)),
            "max_logit": logits.amax(1),
            "kept_logprob": at(logp),
            "top_logprob": best[:, 0],
            "top_token": ids[:, 0],
            "margin": best[:, 0].exp() - best[:, 1].exp(),
            "entropy": -(logp.exp() * logp.clamp(min=-1e9)).sum(1),
        }


def check(got, wanted):
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        assert value.dtype == (torch.int64 if name in {"token", "top_token"} else torch.float32)
        off = (value.double() - wanted[name].double()).abs()
        off = off.masked_fill(value == wanted[name], 0.0)  # infinities
        assert (off <= 1e-5 * (1 + value.abs())).all(), (name, value, wanted[name])


@pytest.mark.parametrize("vocab", [1, 2, 7, 100, 257, 1000])
@pytest.mark.parametrize(("rows", "width"), [(1, 8), (33, 20)])
def test_tokens_and_statistics_are_those_of_full_logits(device, vocab, rows, width):
    case = Case(device, vocab, width, rows)
    warmth = case.temperatures(MIXED)
    check(case.fused(warmth), case.naive(warmth))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 4.0])
def test_one_temperature_for_all_rows_may_be_a_number(device, temperature):
    case = Case(device, 100, bias=False)
    warmth = case.temperatures((temperature,))
    check(case.fused(temperature), case.naive(warmth))
    check(case.fused(warmth), case.naive(warmth))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_of_half_precision_are_multiplied_in_float32(device, dtype):
    case = Case(device, 257, 24, 17, dtype)
    warmth = case.temperatures(MIXED)
    check(case.fused(warmth), case.naive(warmth))


@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.5])
def test_illegal_ids_are_never_drawn(device, temperature):
    case = Case(device, 20, rows=33)
    case.illegal = torch.tensor([0, 3, 4, 5, 6, 7, 18], device=device)  # the second block is 4 to 7
    warmth = case.temperatures((temperature,))
    got = case.fused(warmth)
    assert not torch.isin(got["token"], case.illegal).any()
    check(got, case.naive(warmth))


def test_one_legal_id_left_is_certain(device):
    case = Case(device, 7)
    case.illegal = torch.tensor([0, 1, 2, 3, 5, 6], device=device)
    got = case.fused(case.temperatures(MIXED))
    assert (got["token"] == 4).all()
    ones, zeros = torch.ones(9, device=device), torch.zeros(9, device=device)
    for name, value in {"margin": ones, "entropy": zeros, "logprob": zeros}.items():
        torch.testing.assert_close(got[name], value)


def test_held_tokens_are_measured_and_not_drawn(device):
    case = Case(device, 100, rows=12)
    case.illegal = torch.tensor([5], device=device)
    case.held[::3] = torch.tensor([0, 99, 42, 5], device=device)
    warmth = case.temperatures((1.0, 0.0))
    got = case.fused(warmth)
    assert got["token"][::3].tolist() == [0, 99, 42, 5]
    assert got["logprob"][9] == -torch.inf  # 5 is illegal
    check(got, case.naive(warmth))


def test_equal_logits_give_the_first_id_where_greedy(device):
    case = Case(device, 30)
    case.weight.zero_()
    case.bias.fill_(0.0)
    case.bias[[11, 12, 29]] = 1.0
    got = case.fused(0.0)
    assert (got["token"] == 11).all()
    assert (got["top_token"] == 11).all()
    assert (got["margin"] == 0).all()
    assert (got["sampling_logprob"] == 0).all()


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
def test_a_block_of_several_tiles_is_summed_up_as_a_whole(device, monkeypatch, slope):
    """As it is with 4,225 ids or more; with a slope, the largest comes last or first."""
    monkeypatch.setattr(fused, "_tile", lambda width: 16)
    case = Case(device, 1500)  # 39 blocks of 38 ids: three tiles
    case.bias += slope * torch.arange(1500, device=device)
    case.illegal = torch.arange(20, 56, device=device)  # a whole tile and more
    warmth = case.temperatures(MIXED)
    check(case.fused(warmth), case.naive(warmth))


def test_equal_logits_in_several_tiles_are_told_apart(device, monkeypatch):
    monkeypatch.setattr(fused, "_tile", lambda width: 16)
    case = Case(device, 1500)
    case.weight.zero_()
    case.bias[:] = -1.0
    case.bias[[80, 110]] = 1.0  # of one block, 76 to 113
    got = case.fused(0.0)
    assert (got["token"] == 80).all()
    assert (got["margin"] == 0).all()


def test_a_total_that_is_reached_and_not_exceeded_picks_the_next(device):
    case = Case(device, 16, rows=1, bias=False)
    case.weight.zero_()
    case.u[:] = 0.5
    assert case.fused()["token"].item() == 10  # of blocks 0 to 3 the third, and its third id
    assert case.naive(case.temperatures((1.0,)))["token"].item() == 10


def test_uniforms_at_the_ends_stay_within_the_vocabulary(device):
    case = Case(device, 23, rows=5)
    low, high = 1e-18, 1 - 2**-40
    ends = [[low, low], [high, high], [high, low], [low, high], [1 - 2**-53] * 2]
    case.u = torch.tensor(ends, dtype=torch.float64, device=device)
    tokens = case.fused()["token"].tolist()
    assert tokens == [0, 22, 20, 3, 22]
    case.u[4] = high  # above, u·total may round to the total, which nothing exceeds
    assert tokens == case.naive(case.temperatures((1.0,)))["token"].tolist()


def test_very_sure_rows_keep_their_digits(device):
    """Measured from the likeliest id, far above zero as it is, so that sure rows do not tie."""
    case = Case(device, 100, rows=2)
    case.features *= 0
    case.bias[:] = 1000.0
    case.bias[77] = 1020.0
    case.held[:] = torch.tensor([3, 77])
    got = case.fused()
    rest = 90 * math.exp(-20)  # of the other blocks; float32 has no room for that of its own
    assert got["logprob"][1].item() == pytest.approx(-rest, rel=1e-4)
    assert got["logprob"][0].item() == pytest.approx(-20 - rest, rel=1e-7)
    assert got["top_logprob"][0] == got["logprob"][1]


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
def test_unusable_rows_say_so_by_their_largest_logit_and_leave_the_others_alone(device):
    case = Case(device, 30, rows=6)
    whole = case.naive(case.temperatures((1.0,)))
    case.features[1] = torch.nan
    case.features[3, 0] = torch.inf
    got = case.fused()
    assert torch.isfinite(got["max_logit"]).tolist() == [True, False, True, False, True, True]
    assert ((got["token"] >= 0) & (got["token"] < 30)).all()
    good = [0, 2, 4, 5]
    check({k: v[good] for k, v in got.items()}, {k: v[good] for k, v in whole.items()})


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_nan_at_one_legal_id_is_seen_and_at_an_illegal_one_is_not(device):
    case = Case(device, 30)
    case.weight[17] = torch.nan
    assert case.fused()["max_logit"].isnan().all()
    case.illegal = torch.tensor([17], device=device)
    check(case.fused(), case.naive(case.temperatures((1.0,))))


@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.5])
def test_nothing_legal_is_a_largest_logit_of_minus_infinity(device, temperature):
    case = Case(device, 10)
    case.illegal = torch.arange(10, device=device)
    got = case.fused(case.temperatures((temperature,)))
    assert (got["max_logit"] == -torch.inf).all()
    assert ((got["token"] >= 0) & (got["token"] < 10)).all()


def test_rows_come_out_alike_whatever_is_beside_them(device, monkeypatch):
    case = Case(device, 100, rows=40)
    warmth = case.temperatures(MIXED)
    whole = case.fused(warmth)
    monkeypatch.setattr(fused, "PART_ELEMENTS", 70)  # ten blocks a row: seven rows at once
    check(case.fused(warmth), whole)


def test_nothing_to_draw_is_nothing_drawn(device):
    got = Case(device, 100, rows=0).fused()
    assert {len(value) for value in got.values()} == {0}
    assert got.keys() == {"token", "max_logit", "logprob", "sampling_logprob"} | STATISTICS


def test_only_what_is_needed_is_returned(device):
    assert Case(device, 30).fused(needs={"margin"}).keys() == {
        "token", "max_logit", "logprob", "sampling_logprob", "margin",
    }  # fmt: skip


def test_strided_features_and_weights_are_read_as_they_lie(device):
    case = Case(device, 100)
    wanted = case.naive(case.temperatures((1.0,)))
    case.weight = case.weight.T.contiguous().T
    case.features = case.features.repeat_interleave(2, 0)[::2]
    assert not case.features.is_contiguous()
    check(case.fused(), wanted)


def test_another_width_of_blocks_would_give_other_tokens(device, monkeypatch):
    """The negative control: what the comparison above would not let through."""
    case = Case(device, 100, rows=33)
    wanted = case.naive(case.temperatures((1.0,)))["token"]
    assert torch.equal(case.fused()["token"], wanted)
    monkeypatch.setattr(fused, "width_of", lambda vocab: math.isqrt(vocab) + 1)
    assert (case.fused()["token"] != wanted).sum() > 3


@pytest.mark.parametrize(
    ("draw", "needs", "per_position", "fits"),
    [
        (sampling.Sampling(), set(), False, True),
        (sampling.Sampling(sampling.Annealed()), STATISTICS, False, True),
        (sampling.Sampling(), set(), True, False),
        (sampling.Sampling(top_k=3), set(), False, False),
        (sampling.Sampling(top_p=0.9), set(), False, False),
        (sampling.Sampling(min_p=0.1), set(), False, False),
        (sampling.Sampling(gumbel=True), set(), False, False),
        (sampling.Sampling(bias={3: 1.0}), set(), False, False),
        (sampling.Sampling(), {"noised_logprob"}, False, False),
        (sampling.Sampling(), {"margin", "divergence"}, False, False),
    ],
)
def test_can_fuse_says_what_must_go_the_plain_way(device, draw, needs, per_position, fits):
    assert can_fuse(draw, needs, per_position, torch.device(device)) is fits
    assert can_fuse(draw, needs, per_position, torch.device("meta")) is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"weight": torch.zeros(10, 5)},
            r"\(10, 5\), \(10,\)\] is not \(M,D\), \(V,D\)",
        ),
        ({"bias": torch.zeros(11)}, r"\(11,\)\] is not \(M,D\)"),
        ({"weight": torch.zeros(10, 16).half()}, "torch.float32 and weights in torch.float16"),
        ({"features": torch.zeros(9, 16).double(), "weight": torch.zeros(10, 16).double()}, "64"),
        ({"weight": torch.zeros(10, 16, device="meta")}, "one CUDA device; .*meta"),
    ],
)
def test_a_projection_that_cannot_run_is_refused(device, change, words):
    case = Case(device, 10)
    assert can_run(case.projection)
    assert not can_run(None)
    for name, value in change.items():
        setattr(case, name, value if value.device.type == "meta" else value.to(device))
    assert not can_run(case.projection)
    with pytest.raises(ModelError, match=words):
        case.fused()


def test_a_statistic_of_whole_rows_is_refused(device):
    with pytest.raises(StrategyError, match=r"'divergence', 'noised_logprob'.*need whole rows"):
        Case(device, 10).fused(needs={"margin", "divergence", "noised_logprob"})


def test_the_host_is_refused_without_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    case = Case("cpu", 10)
    assert not can_run(case.projection)
    assert not can_fuse(sampling.Sampling(), set(), False, torch.device("cpu"))
    with pytest.raises(
        ModelError, match=r"the projection is on .'cpu'.: use sampling.draw_with_statistics"
    ):
        case.fused()


# --- in the engine ------------------------------------------------------------------------------


class Linear(Network):
    """A table of features and one matrix of weights."""

    vocab_size, mask_id, forbidden = 40, 39, (3,)

    def __init__(self, device, dtype=torch.float32):
        generator = torch.Generator().manual_seed(5)
        table, weight = (torch.randn(40, 16, generator=generator) for _ in range(2))
        self.table, self.weight = table.to(device, dtype), weight.to(device, dtype)
        self.device = torch.device(device)

    def hidden(self, tokens, *, valid):
        return self.table[tokens].cumsum(1)

    def logits(self, hidden):
        return hidden @ self.weight.T

    def projection(self, hidden):
        return Projection(hidden, self.weight)


@pytest.fixture
def fusions(monkeypatch):
    """The calls of `fused_draw` that the engine makes."""
    made = []

    def noted(*arguments):
        made.append(arguments)
        return fused_draw(*arguments)

    monkeypatch.setattr(PROPOSE, "fused_draw", noted)
    monkeypatch.setattr(fused.LAUNCHER, "failed", [])
    return made


STRATEGIES = {
    "random_order": unmask.presets.random_order(3),
    "mask_predict": unmask.presets.mask_predict(3),
    "margin, annealed": unmask.presets.top_margin(3).but(
        sampling=unmask.Sampling(unmask.Annealed())
    ),
    "entropy_bound": unmask.presets.entropy_bound(),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_engine_draws_the_same_tokens(name, device, fusions, monkeypatch):
    canvas = unmask.Canvas.ragged(
        [[1, 0, 0, 0, 2], [0, 0, 0]], [[False, True, True, True, False], [True, True, True]]
    )
    record = unmask.run(Linear(device), canvas, STRATEGIES[name], seed=4)
    assert len(fusions) == int(record.steps.max())
    monkeypatch.setattr(PROPOSE, "can_fuse", lambda *_: False)
    plain = unmask.run(Linear(device), canvas, STRATEGIES[name], seed=4)
    assert torch.equal(record.tokens, plain.tokens)
    torch.testing.assert_close(record.logprob, plain.logprob)
    torch.testing.assert_close(record.sampling_logprob, plain.sampling_logprob)


def test_alternatives_leave_the_draw_to_the_kernel(device, fusions):
    """Their logits are made beside it, so the tokens are the same to the bit."""
    canvas, strategy = unmask.Canvas.blank(3, 6), unmask.presets.confidence(3)
    plain = unmask.run(Linear(device), canvas, strategy, seed=4)
    made = len(fusions)
    infos = list(unmask.stream(Linear(device), canvas, strategy.but(alternatives=2), seed=4))
    assert len(fusions) == 2 * made
    assert torch.equal(infos[-1].tokens, plain.tokens)
    assert torch.equal(infos[-1].state.logprob, plain.logprob)
    for info in infos:
        found = info.proposal.alternatives
        same = found.tokens[..., 0] == info.proposal.token
        torch.testing.assert_close(
            found.logprob[..., 0][info.committed & same],
            info.proposal.logprob[info.committed & same],
        )


DECODERS = {
    "decoder": decoder,
    "exact cache": lambda: BlockCache(decoder(block=4)),
    "dual cache, logits of the position before": lambda: ReusedCache(
        decoder(shift=True), 4, "dual"
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_are_drawn_from_without_logits(name, device, fusions, monkeypatch):
    denoiser = DECODERS[name]().to(device)
    strategy = unmask.presets.llada(2, temperature=0.8).but(groups=unmask.Groups.blocks(4))
    record = unmask.run(denoiser, canvas(), strategy, seed=4)
    assert len(fusions) == int(record.steps.max())
    monkeypatch.setattr(PROPOSE, "can_fuse", lambda *_: False)
    plain = unmask.run(denoiser, canvas(), strategy, seed=4)
    assert torch.equal(record.tokens, plain.tokens)
    torch.testing.assert_close(record.logprob, plain.logprob)


@pytest.mark.parametrize(
    ("strategy", "legal"),
    [
        (unmask.presets.annealed(3), None),
        (unmask.presets.klass(), None),
        (unmask.presets.random_order(3), torch.ones(4, 40, dtype=torch.bool)),
    ],
    ids=["top-k", "divergence", "legal ids"],
)
def test_the_engine_goes_the_plain_way_where_it_must(strategy, legal, device, fusions):
    canvas = unmask.Canvas.blank(2, 4, legal=legal)
    unmask.generate(Linear(device), canvas, strategy, seed=0)
    assert not fusions


def test_a_kernel_that_fails_is_said_once_and_done_without(device, fusions, monkeypatch):
    def failing(*_):
        fusions.append(_)
        raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(PROPOSE, "fused_draw", failing)
    strategy = unmask.presets.random_order(3)
    with pytest.warns(KernelWarning, match="out of resource") as seen:
        tokens = unmask.generate(Linear(device), batch_size=2, length=4, strategy=strategy, seed=0)
    assert (len(seen), len(fusions)) == (1, 1)
    again = unmask.generate(Linear(device), batch_size=2, length=4, strategy=strategy, seed=0)
    assert torch.equal(tokens, again)
