"""What the network is shown at unknown positions."""

import pytest
import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

import unmask
from unmask import Canvas, presets
from unmask.constraints import Constraint
from unmask.errors import StrategyError
from unmask.noise import Accepted, MaskToken, PreviousSample, UniformIds


class Recorder(Toy):
    def __init__(self):
        super().__init__()
        self.shown = []

    def hidden(self, tokens, *, valid):
        self.shown.append(tokens.clone())
        return super().hidden(tokens, valid=valid)


def trace(noise, preset=presets.random_order, rows=3, length=8, **options):
    network = Recorder()
    canvas = Canvas.blank(rows, length)
    strategy = preset(**options).but(noise=noise)
    return network.shown, list(unmask.stream(network, canvas, strategy, seeds=range(rows)))


def unknown_before(infos):
    masked = torch.ones(len(infos[0].masked), infos[0].masked.shape[1], dtype=torch.bool)
    for info in infos:
        yield masked
        masked = info.masked


def test_the_mask_id_by_default():
    shown, infos = trace(MaskToken(), steps=4)
    for tokens, masked in zip(shown, unknown_before(infos), strict=True):
        assert (tokens[masked] == MASK).all()
        assert not (tokens[~masked] == MASK).any()


def test_random_ids_are_data_and_new_at_each_step():
    shown, infos = trace(UniformIds(), rows=200, steps=2)
    counts = torch.bincount(shown[0].flatten(), minlength=VOCAB)
    assert counts[[MASK, FORBIDDEN]].tolist() == [0, 0]
    legal = [i for i in range(VOCAB) if i not in (MASK, FORBIDDEN)]
    assert (counts[legal] - 320).abs().max() < 4.5 * (1600 * 0.2 * 0.8) ** 0.5
    both = infos[0].masked
    assert (shown[0] != shown[1])[both].float().mean() > 0.7
    again, _ = trace(UniformIds(), rows=200, steps=2)
    assert torch.equal(again[1], shown[1])


def test_random_ids_do_not_need_a_mask_id():
    class NoMask(Toy):
        mask_id, forbidden = None, (MASK,)

    strategy = presets.random_order(2).but(noise=UniformIds())
    tokens = unmask.generate(NoMask(), Canvas.blank(2, 4), strategy, seed=1)
    assert not (tokens == MASK).any()


def test_the_last_draw_is_shown_where_still_unknown():
    shown, infos = trace(PreviousSample(), presets.maskgit, steps=4)
    assert (shown[0] == MASK).all()
    for tokens, before, after in zip(shown[1:], infos, infos[1:], strict=False):
        drawn = before.proposal.token
        still = before.masked
        assert torch.equal(tokens[still], drawn[still])
        assert after.rows.tolist() == [0, 1, 2]


def test_tokens_committed_are_the_same_records_as_ever():
    """Noise changes what is shown, not what a commit is."""
    _, infos = trace(PreviousSample(), presets.maskgit, steps=4)
    for info in infos:
        committed = info.committed
        assert torch.equal(info.tokens[committed], info.proposal.token[committed])


def accepted_by(info, bound):
    """{position: draw} of one row: by entropy ascending, while those before cost ≤ bound."""
    h = info.proposal.sampling_entropy[0].double().tolist()
    found, spent = {}, 0.0
    for i in sorted(range(len(h)), key=lambda i: (h[i], i)):
        if spent > bound:
            break
        found[i] = int(info.proposal.token[0, i])
        spent += h[i]
    return found


@pytest.mark.parametrize("bound", [0.0, 0.7, 3.0])
def test_what_is_accepted_is_shown_and_the_rest_is_random(bound):
    shown, infos = trace(UniformIds(), presets.diffusion_gemma, rows=1, steps=6, bound=bound)
    uniform = torch.stack([tokens[0] for tokens in shown])
    strategy = presets.diffusion_gemma(6, bound=bound)
    shown, infos = trace(strategy.noise, presets.diffusion_gemma, rows=1, steps=6, bound=bound)
    assert torch.equal(shown[0][0], uniform[0])
    counts = []
    for step, (tokens, info) in enumerate(zip(shown[1:], infos[:-1], strict=True), 1):
        held = accepted_by(info, bound)
        counts.append(len(held))
        expected = [held.get(i, int(uniform[step, i])) for i in range(8)]
        assert tokens[0].tolist() == expected
        assert not info.committed.any()
    assert infos[-1].committed.all()
    assert (min(counts) == 1) == (bound == 0)


def test_the_likeliest_ids_of_the_last_step_are_committed():
    _, infos = trace(Accepted(0.7), presets.diffusion_gemma, steps=5)
    last = infos[-1]
    assert torch.equal(last.tokens, last.proposal.top_token)
    assert not torch.equal(last.tokens, last.proposal.token)
    assert torch.equal(last.state.logprob, last.proposal.top_logprob)
    assert (last.state.sampling_logprob == 0).all()
    assert (last.state.commit_step == 4).all()


def test_a_bound_that_is_none_is_refused():
    with pytest.raises(StrategyError, match="bound=-1: pass nats"):
        Accepted(-1)


def test_the_likeliest_ids_cannot_be_drawn_anew():
    with pytest.raises(StrategyError, match="AtOnce commits the likeliest: leave feasible= out"):
        presets.diffusion_gemma().but(constraint=Constraint(feasible=lambda state: None))
