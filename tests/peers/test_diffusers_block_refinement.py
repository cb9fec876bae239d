"""Block refinement of diffusers against llada, threshold, llada21: see docs/peers.md."""

import inspect

import pytest
import torch
from tests.peers.chance import MASK, VOCAB, Chance, infill, network, steps, wrapped

import unmask
from unmask import Groups, presets
from unmask.core.random import Purpose, uniform
from unmask.errors import StrategyError
from unmask.noise import UniformIds
from unmask.orders import Probability
from unmask.sampling import Sampling, filters

peer = pytest.importorskip(
    "diffusers.schedulers.scheduling_block_refinement", reason="needs Python 3.11"
)

NEVER = 1.0  # a threshold that no probability exceeds: the counts alone decide
PROMPTS = [[], [1], [7, 2, 0], [5, 5, 5, 5, 9]]


def row(prompt, length=12):
    return torch.tensor([prompt + [MASK] * (length - len(prompt))])


def scheduler(block, count, **how):
    made = peer.BlockRefinementScheduler(block_length=block, **how)
    made.set_timesteps(count)
    return made


def refined(tokens, made, net=network, chance=None, **how):
    """Block after block as the peer's pipeline has it, each until it is full: a list of (B,N)."""
    tokens, block, out = tokens.clone(), made.config.block_length, []
    prompt = (tokens != MASK)[0]
    for first in range(0, tokens.shape[1], block):
        inside = slice(first, first + block)
        for timestep in range(made.num_inference_steps):
            if not (tokens[:, inside] == MASK).any():
                break
            if chance is not None:
                chance.next(len(out), first, first + block)
            given = {"mask_token_id": MASK, "prompt_mask": prompt[inside], **how}
            step = made.step(net(tokens)[:, inside], timestep, tokens[:, inside], **given)
            tokens = tokens.clone()
            tokens[:, inside] = step.prev_sample
            out.append(tokens)
    return out


def edited(tokens, made, net=network, passes=16):
    """Block after block as the peer's pipeline has it with edits, each until it is at rest."""
    tokens, block, out = tokens.clone(), made.config.block_length, []
    prompt = (tokens != MASK)[0]
    for first in range(0, tokens.shape[1], block):
        inside, timestep, full = slice(first, first + block), 0, 0
        going_on = bool((tokens[:, inside] == MASK).any())
        while going_on:
            remaining = bool((tokens[:, inside] == MASK).any())
            full += not remaining
            step = made.step(
                net(tokens)[:, inside], timestep, tokens[:, inside],
                mask_token_id=MASK, prompt_mask=prompt[inside],
            )  # fmt: skip
            tokens = tokens.clone()
            tokens[:, inside] = step.prev_sample
            out.append(tokens)
            timestep += remaining
            going_on = made.check_block_should_continue(
                timestep, remaining, True, step.editing_transfer_index, full, passes,
                torch.zeros(1, dtype=torch.bool),
            )  # fmt: skip
    return out


def fed(monkeypatch, tokens, made, seed, **how):
    """The same with the chance of ours."""
    chance = Chance([seed])
    monkeypatch.setattr(torch, "multinomial", chance.multinomial)
    return refined(tokens, made, chance=chance, **how)


def agree(theirs, ours):
    return len(theirs) == len(ours) and all(map(torch.equal, theirs, ours))


def edits(tokens, taken):
    """How often a known token became another."""
    pairs = zip([tokens, *taken], taken, strict=False)
    return sum(int(((a != b) & (a != MASK) & (b != MASK)).sum()) for a, b in pairs)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("block", [4, 6, 12])
def test_llada_takes_the_same_steps(block, count):
    theirs = refined(row([]), scheduler(block, count, threshold=NEVER))
    assert agree(theirs, steps(presets.llada(count, block), row([]), [0]))
    assert len(theirs) == count * 12 // block


@pytest.mark.parametrize(
    "shape",
    [
        {"temperature": 1.0},
        {"temperature": 0.7},
        {"temperature": 1.5, "top_p": 0.8},
        {"temperature": 1.5, "top_k": 3},
        {"temperature": 1.5, "top_k": 5, "top_p": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_llada_with_draws_takes_the_same_steps_where_it_ranks_alike(monkeypatch, shape, seed):
    """The peer ranks by the filtered and tempered probability, LLaDA by that of the model."""
    theirs = fed(monkeypatch, row([]), scheduler(4, 3, threshold=NEVER), seed, **shape)
    llada = presets.llada(3, 4).but(sampling=Sampling(**shape))
    assert agree(
        theirs, steps(llada.but(order=Probability("after", of="sampling")), row([]), [seed])
    )


def test_llada_ranks_by_the_probability_of_the_model(monkeypatch):
    """As LLaDA's own code does: the drawn token's, before the temperature and the filters."""
    made, shape = scheduler(12, 12, threshold=NEVER), {"temperature": 3.0, "top_k": 2}
    llada = presets.llada(12, 12).but(sampling=Sampling(**shape))
    same = [
        agree(fed(monkeypatch, row([]), made, seed, **shape), steps(llada, row([]), [seed]))
        for seed in range(10)
    ]
    assert not all(same)
    first = next(unmask.stream(wrapped(), infill(row([])), llada, seeds=[0]))
    likely = network(row([])).softmax(2).gather(2, first.proposal.token[..., None])[..., 0]
    assert first.committed[0, likely.argmax()]


@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
@pytest.mark.parametrize("block", [4, 6, 12])
@pytest.mark.parametrize("bound", [0.3, 0.6, 0.95])
def test_threshold_takes_the_same_steps(prompt, block, bound):
    theirs = refined(row(prompt), scheduler(block, block, threshold=bound))
    strategy = presets.threshold(bound).but(groups=Groups.blocks(block))
    ours = steps(strategy, row(prompt), [0])
    assert agree(theirs, ours)
    assert bound != 0.3 or len(ours) < 12 - len(prompt)


@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
@pytest.mark.parametrize("block", [4, 6, 12])
def test_llada21_takes_the_same_steps(prompt, block):
    # With as many steps as positions, the peer does not edit a block that took all of them.
    made = scheduler(block, block + 1, threshold=0.7, editing_threshold=0.5)
    ours = steps(presets.llada21(0.7, 0.5, block), row(prompt), [0])
    assert agree(edited(row(prompt), made, passes=15), ours)  # the peer makes one more


def test_llada21_edits_in_these_rows():
    """What the test above compares is there to be compared."""
    ours = [(row(p), steps(presets.llada21(0.7, 0.5, 12), row(p), [0])) for p in PROMPTS]
    assert sum(edits(*each) for each in ours) > 2


def rethinks(tokens):
    """Says something else of a canvas that is full: 4 where it holds 3s, and then 4."""
    known = (tokens != MASK).all(1)
    best = torch.where(known, 4, 3)[:, None].expand(tokens.shape)
    return torch.nn.functional.one_hot(best, VOCAB) * 20.0


def wavers(tokens):
    """Never at rest: 4 where there is a 3, and 3 elsewhere."""
    best = torch.where(tokens == 3, 4, 3)
    return torch.nn.functional.one_hot(best, VOCAB) * 20.0


def test_a_block_that_is_full_is_edited_on_until_it_is_at_rest():
    made = scheduler(4, 4, threshold=0.7, editing_threshold=0.5)
    ours = steps(presets.llada21(block=4), row([], 4), [0], rethinks)
    assert agree(edited(row([], 4), made, rethinks), ours)
    assert [int(x[0, 0]) for x in ours] == [3, 4, 4]


def test_a_block_that_never_rests_is_left_by_the_peer_a_pass_later():
    """After 17 passes where 16 are asked for; the authors' own code leaves it after 16."""
    made = scheduler(4, 4, threshold=0.7, editing_threshold=0.5)
    theirs = edited(row([], 4), made, wavers)
    ours = steps(presets.llada21(block=4), row([], 4), [0], wavers)
    assert (len(theirs), len(ours)) == (1 + 17, 1 + 16)
    assert agree(theirs[:-1], ours)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_random_ids_in_place_of_the_mask_take_the_same_steps(monkeypatch, count):
    """The peer's mode without a mask id: ours with other noise and the plan of a schedule."""
    seed, made, chance = 7, scheduler(12, count, threshold=NEVER), Chance([7])
    data = [i for i in range(VOCAB) if i != MASK]

    def ids_at(step):
        u = uniform(torch.tensor([[seed]]), step, torch.arange(12), Purpose.NOISE_IDS)[..., 0]
        return torch.tensor(data)[(u * len(data)).long()]

    monkeypatch.setattr(torch, "multinomial", chance.multinomial)
    monkeypatch.setattr(torch, "randint", lambda *args, **how: ids_at(chance.step + 1))
    tokens, known = ids_at(0), torch.zeros(1, 12, dtype=torch.bool)
    strategy = presets.confidence(count).but(
        order=Probability("after", of="sampling"), sampling=Sampling(0.8), noise=UniformIds()
    )
    ours = list(unmask.stream(wrapped(), infill(row([])), strategy, seeds=[seed]))
    assert len(ours) == count
    for nth, info in enumerate(ours):
        chance.next(nth, 0, 12)
        step = made.step(network(tokens), nth, tokens, temperature=0.8)
        tokens, known = step.prev_sample, known | step.transfer_index
        assert torch.equal(known, ~info.masked)
        assert torch.equal(tokens[known], info.tokens[known])


def test_without_set_timesteps_nothing_is_ever_committed():
    made = peer.BlockRefinementScheduler(block_length=4, num_inference_steps=2, threshold=NEVER)
    for timestep in range(2):
        step = made.step(network(row([], 4)), timestep, row([], 4), mask_token_id=MASK)
        assert torch.equal(step.prev_sample, row([], 4))
    # Ours is whole once it is made.
    assert not (steps(presets.llada(2, 4), row([], 4), [0])[-1] == MASK).any()


def test_minimal_topk_is_ignored():
    made = scheduler(12, 12, threshold=NEVER, minimal_topk=4)
    step = made.step(network(row([])), 0, row([]), mask_token_id=MASK, minimal_topk=4)
    assert step.transfer_index.sum() == 1
    assert "minimal_topk" in inspect.signature(made.step).parameters
    # Ours takes no argument that does nothing; what it says of steps is kept.
    with pytest.raises(TypeError, match="minimal_topk"):
        presets.threshold(minimal_topk=4)
    assert (steps(presets.llada(3, 12), row([]), [0])[0] != MASK).sum() == 4


def test_a_misspelt_sampling_method_is_greedy():
    made = scheduler(12, 12, threshold=NEVER)
    torch.manual_seed(0)
    drawn = {
        tuple(
            made.step(
                network(row([])), 0, row([]), mask_token_id=MASK, temperature=5.0,
                sampling_method="multinominal",
            ).sampled_tokens[0].tolist()
        )
        for _ in range(10)
    }  # fmt: skip
    assert len(drawn) == 1
    with pytest.raises(StrategyError, match="warm"):
        presets.llada(temperature="warm")
    with pytest.raises(TypeError, match="temprature"):
        presets.llada(temprature=5.0)


def test_two_requests_on_one_scheduler_collide():
    """The counts of the second one replace those of the first, which is left with unknown ids."""
    shared = scheduler(12, 2, threshold=NEVER)
    first = shared.step(network(row([])), 0, row([]), mask_token_id=MASK).prev_sample
    assert (first == MASK).sum() == 6
    shared.set_timesteps(12)  # another request begins
    second = shared.step(network(first), 1, first, mask_token_id=MASK).prev_sample
    assert (second == MASK).sum() == 5
    # Ours: a strategy holds nothing of a generation.
    strategy, canvas = presets.llada(2, 12), infill(row([]))
    one, other = (unmask.stream(wrapped(), canvas, strategy, seed=0) for _ in range(2))
    counts = [(int(a.masked.sum()), int(b.masked.sum())) for a, b in zip(one, other, strict=True)]
    assert counts == [(6, 6), (0, 0)]


def test_two_requests_without_a_mask_id_collide():
    """What the second one committed counts as committed in the first."""
    shared, alone = (scheduler(12, 3, threshold=NEVER) for _ in range(2))
    zeros = torch.zeros(1, 12, dtype=torch.int64)
    for made in (shared, alone):
        made.step(network(zeros), 0, zeros)
    shared.step(network(zeros).flip(1), 0, zeros)  # another request begins
    indices = [made.step(network(zeros), 1, zeros).transfer_index for made in (shared, alone)]
    assert not torch.equal(*indices)


def test_the_counts_are_of_the_block_and_not_of_what_is_unknown_in_it():
    """With six of twelve given, four steps asked for are two."""
    tokens = row([1] * 6)
    theirs = refined(tokens, scheduler(12, 4, threshold=NEVER))
    ours = steps(presets.llada(4, 12), tokens, [0])
    assert [int((x == MASK).sum()) for x in theirs] == [3, 0]
    assert [int((x == MASK).sum()) for x in ours] == [4, 2, 1, 0]


def test_the_mask_id_may_be_drawn_and_returned():
    def fond_of_the_mask(tokens):
        return network(tokens).index_fill(2, torch.tensor(MASK), 50.0)

    theirs = refined(row([]), scheduler(12, 12), fond_of_the_mask)
    assert len(theirs) == 12
    assert (theirs[-1] == MASK).all()
    ours = steps(presets.threshold(block=12), row([]), [0], fond_of_the_mask)
    assert not (ours[-1] == MASK).any()


def test_a_given_token_that_equals_the_mask_id_is_written_over():
    tokens, prompt = row([]), torch.arange(12) < 2
    theirs = refined(tokens, scheduler(12, 12), prompt_mask=prompt)
    assert not (theirs[-1][:, :2] == MASK).any()
    canvas = unmask.Canvas.infill(tokens, ~prompt[None])
    ours = unmask.generate(wrapped(), canvas, presets.threshold(block=12), seed=0)
    assert (ours[:, :2] == MASK).all()


def test_without_a_mask_id_a_prompt_is_written_over():
    tokens, prompt = torch.zeros(1, 12, dtype=torch.int64), torch.arange(12) < 6
    step = scheduler(12, 1).step(network(tokens), 0, tokens, prompt_mask=prompt)
    assert not torch.equal(step.prev_sample[:, :6], tokens[:, :6])
    strategy = presets.confidence(1).but(noise=UniformIds())
    canvas = unmask.Canvas.infill(tokens, ~prompt[None])
    assert (unmask.generate(wrapped(), canvas, strategy, seed=0)[:, :6] == 0).all()


def test_without_a_mask_id_an_editing_threshold_of_0_edits_all():
    """Where there is a mask id, 0 means no editing."""
    tokens = torch.zeros(1, 12, dtype=torch.int64)
    without = scheduler(12, 1, editing_threshold=0.0)
    without.step(network(tokens), 0, tokens)
    again = without.step(network(tokens), 1, tokens)
    assert torch.equal(again.editing_transfer_index, again.sampled_tokens != tokens)
    assert again.editing_transfer_index.any()
    masked = scheduler(12, 1, editing_threshold=0.0)
    step = masked.step(network(tokens), 1, tokens, mask_token_id=MASK)
    assert not step.editing_transfer_index.any()


def test_top_k_keeps_ids_that_tie():
    tied = torch.zeros(1, 1, VOCAB)
    kept = peer.BlockRefinementScheduler._top_k_filtering(tied, top_k=2)
    assert (kept == 0).sum() == VOCAB
    ours = filters.kept(tied[0], torch.ones(1), 2, None, None, torch.empty(1, VOCAB))
    assert (ours.dropping(tied[0]) == 0).sum() == 2
