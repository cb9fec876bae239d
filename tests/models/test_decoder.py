"""Decoders as denoisers: who sees whom, padding, logits, and networks that are refused."""

from __future__ import annotations

import pytest
import torch
from tests.models.decoders import LENGTHS, MASK, VOCAB, canvas, decoder, network

import unmask
from unmask.core.network import Query
from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.models import Decoder

KINDS = {
    "llama": {},
    "llama, eager": {"kind": "llama", "attention": "eager"},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "mistral": {},
    "gpt2": {},
    "gpt_neox": {},
}
N = 7


def made(name, block):
    return decoder(**{"kind": name, **KINDS[name]}, block=block)


def states(denoiser, tokens, valid=None):
    with torch.no_grad():
        return denoiser.forward(Query.of(tokens, valid), None)[0]


@pytest.mark.parametrize("block", [1, 2, 3, None])
@pytest.mark.parametrize("name", KINDS)
def test_a_position_sees_its_block_and_all_before_it(name, block):
    """Every pair: changing the token at j changes the state at i, or it does not."""
    denoiser = made(name, block)
    tokens = torch.randint(MASK, (1, N), generator=torch.Generator().manual_seed(0))
    changed = tokens.repeat(N + 1, 1)
    for j in range(N):
        changed[j, j] = (tokens[0, j] + 1) % MASK
    hidden = states(denoiser, changed)
    for j in range(N):
        moved = (hidden[j] - hidden[N]).abs().amax(1) > 1e-5
        size = block or N
        assert moved.tolist() == [j // size <= i // size for i in range(N)], f"token {j}"


@pytest.mark.parametrize("name", KINDS)
def test_blocks_of_one_are_the_network_as_it_was(name):
    denoiser = made(name, 1)
    tokens = torch.randint(MASK, (3, N), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        causal = denoiser.net(input_ids=tokens).logits
    logits = denoiser.logits(states(denoiser, tokens).flatten(0, 1))
    torch.testing.assert_close(logits.view(3, N, VOCAB), causal, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("block", [4, None])
@pytest.mark.parametrize("name", ["llama", "llama, eager", "gpt2"])
def test_padding_changes_nothing(name, block):
    denoiser, ragged = made(name, block), canvas()
    hidden = states(denoiser, ragged.tokens, ragged.valid)
    other = canvas(pad=MASK)
    assert not hidden.isnan().any()
    for row, length in enumerate(LENGTHS):
        alone = states(denoiser, ragged.tokens[row : row + 1, :length])[0]
        torch.testing.assert_close(hidden[row, :length], alone, atol=1e-5, rtol=1e-4)
    again = states(denoiser, other.tokens, other.valid)
    assert torch.equal(again[ragged.valid], hidden[ragged.valid])


def test_a_logit_shift_reads_the_position_before():
    plain, shifted = decoder(block=3), decoder(block=3, shift=True)
    tokens = torch.randint(MASK, (2, N), generator=torch.Generator().manual_seed(0))
    before, after = states(plain, tokens), states(shifted, tokens)
    assert torch.equal(after[:, 1:], before[:, :-1])
    assert torch.equal(after[:, 0], before[:, 0])


@pytest.mark.parametrize("block", [4, None])
def test_it_generates_whatever_the_batch_is(block):
    denoiser, strategy = decoder("qwen3", block, head_dim=8), unmask.presets.confidence(5)
    whole = unmask.run(denoiser, canvas(), strategy, seeds=[3, 4, 5, 6, 7])
    assert not (whole.tokens == MASK)[whole.editable].any()
    assert torch.equal(whole.tokens[~whole.editable], canvas().tokens[~whole.editable])
    for row, length in enumerate(LENGTHS):
        alone = unmask.run(denoiser, canvas([row]), strategy, seeds=[3 + row])
        assert alone.tokens[0].tolist() == whole.tokens[row, :length].tolist()


def test_it_can_be_trained():
    denoiser = decoder(block=4)
    tokens = torch.randint(MASK, (4, 12), generator=torch.Generator().manual_seed(0))
    maskable = torch.arange(12).expand(4, 12) >= 8
    optimizer = torch.optim.Adam(denoiser.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = unmask.objectives.count(denoiser, tokens, maskable, 1).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


GROWS = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
REFUSED = {
    "a recurrence": (lambda: network("jamba", mamba_d_state=2), "ignores its mask"),
    "alibi of a 2-D mask": (lambda: network("bloom"), "takes no 4-D attention mask"),
    "flex attention": (lambda: network(attention="flex_attention"), "attn_implementation='sdpa'"),
    "growing rotations": (lambda: network(rope_parameters=GROWS), "rope_type='dynamic'"),
    "no network": (lambda: len, r"not a transformers \*ForCausalLM.*unmask\.wrap"),
    "a trunk alone": (lambda: network().model, r"not a transformers \*ForCausalLM"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_networks_that_do_not_keep_to_the_mask_are_refused(what):
    make, words = REFUSED[what]
    with pytest.raises(ModelError, match=words):
        Decoder(make(), MASK, block=2)


@pytest.mark.parametrize(("kind", "options"), [("gemma2", {"head_dim": 8}), ("cohere", {})])
def test_a_network_that_caps_or_scales_its_logits_runs_whole(kind, options):
    net = network(kind, **options)
    denoiser = Decoder(net, MASK)
    tokens = canvas().tokens[:1]
    position = torch.arange(tokens.shape[1])[None]
    seen = torch.ones(1, 1, *2 * tokens.shape[1:], dtype=torch.bool)
    with torch.no_grad():
        hidden, _ = denoiser.forward(Query.of(tokens), None)
        whole = net(input_ids=tokens, position_ids=position, attention_mask=seen).logits
    torch.testing.assert_close(denoiser.logits(hidden[0]), whole[0])
    assert denoiser.projection(hidden[0]) is None


def test_a_network_that_looks_ahead_is_refused():
    net = network()
    forward = net.model.layers[0].forward
    net.model.layers[0].forward = lambda x, *a, **k: forward(x, *a, **k) + x.mean(1, keepdim=True)
    with pytest.raises(ModelError, match="a later block changed"):
        Decoder(net, MASK, block=2)


def test_it_is_tried_again_as_it_was_at_first():
    denoiser = decoder("llama", 4)
    denoiser.settle()
    assert denoiser.way.split


@pytest.mark.parametrize(
    ("kind", "options"),
    [("mistral", {"sliding_window": 6}), ("gemma3_text", {"sliding_window": 6, "head_dim": 8})],
)
def test_rows_longer_than_a_sliding_window_are_refused(kind, options):
    denoiser = decoder(kind, 4, **options)
    assert states(denoiser, torch.zeros(1, 6, dtype=torch.int64)).isfinite().all()
    with pytest.raises(CanvasError, match="sliding window of 6"):
        states(denoiser, torch.zeros(1, 7, dtype=torch.int64))


def test_it_is_saved_by_transformers(tmp_path):
    from transformers import AutoModelForCausalLM

    denoiser, tokens = decoder(block=3), torch.arange(N).unsqueeze(0)
    with pytest.raises(ModelError, match=r"net\.save_pretrained.*make the Decoder again"):
        unmask.save(denoiser, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    denoiser.net.save_pretrained(tmp_path / "net")
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "net").eval()
    again = Decoder(net, MASK, block=3)
    assert torch.equal(states(again, tokens), states(denoiser, tokens))


def test_other_refusals_say_what_to_do():
    with pytest.raises(StrategyError, match="block=0"):
        decoder(block=0)
    with pytest.raises(ModelError, match="mask_id=17 is outside"):
        Decoder(network(), 17)
    with pytest.raises(CanvasError, match="takes no condition: pass it as a prompt"):
        unmask.generate(decoder(), batch_size=1, length=4, condition=torch.tensor([1]))
