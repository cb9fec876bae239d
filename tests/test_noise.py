"""What the network is shown at unknown positions."""

import torch
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy

import unmask
from unmask import Canvas, presets
from unmask.noise import MaskToken, PreviousSample, UniformIds


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
