"""Formulas of docs/serving.md, held against what is allocated and what is passed."""

import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import unmask
from unmask.core.head import CHUNK_ELEMENTS

V, D = 5000, 16


class Sizes(TorchDispatchMode):
    """The bytes of the tensors that are made."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.found |= {t.untyped_storage().nbytes() for t in tree_leaves(out) if torch.is_tensor(t)}
        return out


class Whole(torch.nn.Module):
    """A network that is no trunk with a head, and remembers the shapes that it is shown."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = torch.nn.Embedding(V, D), torch.nn.Linear(D, V)
        self.shapes = []

    def forward(self, tokens):
        self.shapes.append(tuple(tokens.shape))
        return self.head(self.table(tokens))


def apart():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=D, max_position_embeddings=64,
    )  # fmt: skip
    return unmask.wrap(transformers.BertForMaskedLM(config).eval(), mask_id=V - 1)


def step(model, lengths, **limits):
    """Take one step of rows of these lengths; return the bytes of the tensors that it makes."""
    engine = unmask.Engine(model, **limits)
    for seed, length in enumerate(lengths):
        strategy = unmask.presets.random_order(steps=1)  # the logits of all positions
        engine.submit(unmask.Canvas.blank(1, length), strategy, seeds=[seed])
    with Sizes() as sizes:
        engine.step()
    return sizes.found


def test_a_network_that_runs_whole_has_logits_of_all_rows_as_wide_as_the_longest():
    model = unmask.wrap(Whole().eval(), mask_id=V - 1, vocab_size=V)
    assert max(step(model, [40, 30, 40, 7, 7, 40])) == 6 * 40 * V * 4
    assert max(step(model, [40] * 6, max_rows=2)) == 2 * 40 * V * 4


def test_a_head_that_is_apart_has_a_chunk_of_logits_whatever_the_rows():
    rows, width = 64, 64
    chunk = 4 * CHUNK_ELEMENTS["cpu"]
    sizes = step(apart(), [width] * rows)
    assert 0.99 * chunk < max(sizes) <= chunk
    assert chunk < 32 * 2**20 < rows * width * V * 4


def test_a_head_that_is_apart_has_hidden_states_as_wide_as_the_longest_row():
    lengths = [64, 3, 3, 64]  # no pass is of four rows
    assert 4 * 64 * D * 4 in step(apart(), lengths)
    assert 4 * 64 * D * 4 not in step(apart(), [64, 3, 3])


def test_open_rows_and_passes_have_max_tokens_at_most():
    net = Whole().eval()
    model = unmask.wrap(net, mask_id=V - 1, vocab_size=V)
    net.shapes.clear()
    step(model, [7, 30, 30, 12, 50, 7], max_tokens=64)
    assert sum(rows * width for rows, width in net.shapes) <= 64
    net.shapes.clear()
    step(model, [50], max_tokens=16)
    assert net.shapes == [(1, 50)]  # a longer row goes alone
