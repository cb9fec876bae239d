"""aMUSEd's scheduler of diffusers against presets.amused: see docs/peers.md."""

import pytest
import torch
from tests.peers.chance import MASK, VOCAB, Chance, infill, network, steps, wrapped

import unmask
from unmask import presets
from unmask.errors import ScheduleError

peer = pytest.importorskip("diffusers.schedulers.scheduling_amused", reason="needs Python 3.11")

SEEDS = [3, 1, 4, 1 + 2**40]
GIVEN = torch.tensor([[1, MASK, 2, MASK], [MASK, 3, MASK, 0], [7, 7, MASK, MASK]]).repeat(1, 4)


def scheduler(count, schedule="cosine", temperature=(2, 0)):
    made = peer.AmusedScheduler(mask_token_id=MASK, masking_schedule=schedule)
    made.set_timesteps(count, temperature=temperature)
    return made


def blank(rows, length):
    return torch.full((rows, length), MASK)


def taken(tokens, made, net=network, **how):
    """Steps of the peer from (B,N) ids, with its own chance: a list of (B,N)."""
    out = []
    for timestep in made.timesteps.tolist():
        tokens = made.step(net(tokens), timestep, tokens, **how).prev_sample
        out.append(tokens)
    return out


def fed(monkeypatch, tokens, made, seeds, **how):
    """The same with the chance of ours."""
    chance, out = Chance(seeds), []
    monkeypatch.setattr(torch, "multinomial", chance.multinomial)
    monkeypatch.setattr(peer, "gumbel_noise", chance.gumbel_noise)
    for nth, timestep in enumerate(made.timesteps.tolist()):
        chance.next(nth, 0, tokens.shape[1])
        tokens = made.step(network(tokens), timestep, tokens, **how).prev_sample
        out.append(tokens)
    return out


def commits(before, after):
    """How many positions of each row each step made known: [[...] a row]."""
    unknown = torch.stack([(x == MASK).sum(1) for x in (before, *after)])
    return (unknown[:-1] - unknown[1:]).T.tolist()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(
    ("count", "noise"), [(1, 2.0), (7, 2.0), (11, 2.0), (11, 0.3), (13, 4.5), (7, 0.0)]
)
def test_amused_takes_the_same_steps(monkeypatch, schedule, count, noise):
    """Where no count is a whole number that the peer could round down: see the test of that."""
    made = scheduler(count, schedule, (noise, 0))
    theirs = fed(monkeypatch, blank(4, 15), made, SEEDS)
    ours = steps(presets.amused(count, schedule, choice_temperature=noise), blank(4, 15), SEEDS)
    assert len(theirs) == len(ours) == count
    assert all(map(torch.equal, theirs, ours))
    assert len(ours[-1].unique(dim=0)) == 4  # chance had a say


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("count", [5, 8])
def test_amused_takes_the_same_steps_around_given_tokens(monkeypatch, schedule, count):
    """The peer is told the share that is to be generated, half of each row."""
    theirs = fed(monkeypatch, GIVEN, scheduler(count, schedule), SEEDS[:3], starting_mask_ratio=0.5)
    ours = steps(presets.amused(count, schedule), GIVEN, SEEDS[:3])
    assert len(theirs) == len(ours)
    assert all(map(torch.equal, theirs, ours))


def test_amused_is_not_what_maskgit_does(monkeypatch):
    """The negative control: noise that fades to 0 one step later makes other steps."""
    theirs = fed(monkeypatch, blank(4, 15), scheduler(11), SEEDS)
    ours = steps(presets.maskgit(11, choice_temperature=2.0), blank(4, 15), SEEDS)
    assert len(theirs) == len(ours)
    assert not all(map(torch.equal, theirs, ours))


@pytest.mark.parametrize(
    ("noise", "dtype"), [(20.0, torch.float32), (2.0, torch.float16)], ids=["strong", "float16"]
)
def test_noise_takes_given_tokens_back(noise, dtype):
    """They are protected by the log of the largest number, 88.7 in float32 and 11.1 in float16."""
    tokens = blank(64, 64)
    tokens[:, :8] = 1

    def flat(tokens):
        return torch.zeros(*tokens.shape, VOCAB, dtype=dtype).index_fill(
            2, torch.tensor(MASK), -1e4
        )

    first = taken(tokens, scheduler(12, temperature=(noise, 0)), flat, generator=generator())[0]
    assert (first[:, :8] == MASK).any()
    strategy = presets.amused(12, choice_temperature=noise)
    for info in unmask.stream(wrapped(flat), infill(tokens), strategy, seed=0):
        assert (info.tokens[:, :8] == 1).all()
        assert not info.masked[:, :8].any()


def test_noise_in_half_precision_is_infinite_now_and_then():
    noise = peer.gumbel_noise(torch.zeros(10_000, dtype=torch.float16), generator())
    assert noise.isinf().any()
    assert peer.gumbel_noise(torch.zeros(10_000), generator()).isfinite().all()
    half = presets.amused(2)
    for info in unmask.stream(
        wrapped(lambda x: network(x).half()), infill(blank(200, 16)), half, seed=0
    ):
        assert info.score[info.committed].isfinite().all()


def test_a_row_with_nothing_to_do_loses_a_given_token():
    tokens = torch.tensor([[1, 2, 3, 1, 2, 3], [MASK] * 6])
    first = taken(tokens, scheduler(3), generator=generator())[0]
    assert (first[0] == MASK).sum() == 1
    ours = steps(presets.amused(3), tokens, [0, 1])
    assert all(torch.equal(each[0], tokens[0]) for each in ours)


def test_scores_that_tie_are_all_committed():
    def flat(tokens):
        return torch.zeros(*tokens.shape, VOCAB).index_fill(2, torch.tensor(MASK), -1e4)

    theirs = taken(blank(2, 12), scheduler(4, temperature=(0, 0)), flat, generator=generator())
    assert commits(blank(2, 12), theirs) == [[12, 0, 0, 0]] * 2
    ours = steps(presets.amused(4, choice_temperature=0.0), blank(2, 12), [0, 1], flat)
    assert commits(blank(2, 12), ours) == [[1, 3, 4, 4]] * 2


def test_scores_in_bfloat16_tie_and_commit_too_many():
    def coarse(tokens):
        return torch.zeros(*tokens.shape, VOCAB, dtype=torch.bfloat16).index_fill(
            2, torch.tensor(MASK), -1e4
        )

    theirs = commits(
        blank(64, 64), taken(blank(64, 64), scheduler(4), coarse, generator=generator())
    )
    ours = commits(blank(64, 64), steps(presets.amused(4), blank(64, 64), range(64), coarse))
    assert ours == [[5, 14, 21, 24]] * 64
    assert len({row[0] for row in theirs}) > 1


def counts_of_both(length, count, schedule):
    made = scheduler(count, schedule)
    theirs = taken(blank(1, length), made, generator=generator())
    ours = steps(presets.amused(count, schedule), blank(1, length), [0])
    return [commits(blank(1, length), each)[0] for each in (theirs, ours)]


def test_counts_are_rounded_in_float32():
    """16·cos(π/3) is 8 and comes as 7 at the eighth step of twelve; 10·(1 − 7/10) comes as 2."""
    theirs, ours = counts_of_both(16, 12, "cosine")
    assert theirs == [1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2]
    assert ours == [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    theirs, ours = counts_of_both(10, 10, "linear")
    assert theirs == [1, 1, 1, 1, 1, 2, 1, 1, 0, 1]
    assert ours == [1] * 10


def test_steps_commit_nothing_while_one_position_waits_for_the_last():
    theirs, ours = counts_of_both(4, 16, "cosine")
    assert theirs == [1, 1, 1, *[0] * 12, 1]
    assert ours == [1] * 4


def test_the_counts_are_of_the_row_and_not_of_what_is_unknown_in_it():
    """Unless told the share, one share for the batch, of which the rows here have two."""
    tokens = torch.tensor([[1] * 8 + [MASK] * 8, [1] * 12 + [MASK] * 4])
    theirs = commits(tokens, taken(tokens, scheduler(4), generator=generator()))
    assert theirs == [[1, 1, 1, 5], [1, 1, 1, 1]]
    ours = commits(tokens, steps(presets.amused(4), tokens, [0, 1]))
    assert ours == [[1, 2, 2, 3], [1, 1, 1, 1]]


def test_the_mask_id_may_be_drawn_and_returned():
    def fond_of_the_mask(tokens):
        return torch.zeros(*tokens.shape, VOCAB).index_fill(2, torch.tensor(MASK), 2.0)

    theirs = taken(blank(4, 16), scheduler(4), fond_of_the_mask, generator=generator())
    assert (theirs[-1] == MASK).any()
    assert not (steps(presets.amused(4), blank(4, 16), SEEDS, fond_of_the_mask)[-1] == MASK).any()


def test_a_given_token_that_equals_the_mask_id_is_written_over():
    tokens, editable = blank(2, 6), torch.ones(2, 6, dtype=torch.bool)
    editable[:, :2] = False
    theirs = taken(tokens, scheduler(3), generator=generator())
    assert not (theirs[-1][:, :2] == MASK).any()
    canvas = unmask.Canvas.infill(tokens, editable)
    ours = unmask.generate(wrapped(), canvas, presets.amused(3), seed=0)
    assert (ours[:, :2] == MASK).all()


def test_a_row_depends_on_the_batch_around_it():
    few, many = (
        taken(blank(rows, 16), scheduler(7), generator=generator())[-1][0] for rows in (1, 4)
    )
    assert not torch.equal(few, many)
    few, many = (steps(presets.amused(7), blank(len(s), 16), s)[-1][0] for s in ([3], SEEDS))
    assert torch.equal(few, many)


def test_an_unknown_schedule_is_found_at_the_first_step():
    made = scheduler(3, "cosin")
    with pytest.raises(ValueError, match="unknown masking schedule cosin"):
        taken(blank(1, 6), made)
    with pytest.raises(ScheduleError, match="cosine"):
        presets.amused(3, "cosin")
