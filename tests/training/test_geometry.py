"""Starting weights that know a board: what the heads of the first layer look at."""

import pytest
import torch

from unmask.training.geometry import know_the_layout
from unmask.training.network import network
from unmask.viz.layout import Layout


def attention(side, box):
    """(heads, N, N) of the first layer, on a board of which nothing is known."""
    net = network(
        {
            "model_type": "megatron-bert", "hidden_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 4, "intermediate_size": 16, "vocab_size": side + 1,
            "max_position_embeddings": side**2, "type_vocab_size": 1, "initializer_range": 0.03,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        }
    )  # fmt: skip
    symbols = "123456789"[:side]
    know_the_layout(net, Layout.board(side, side, symbols, box=(box, box)), 0)
    tokens = torch.full((1, side**2), side)
    return net.bert(tokens, output_attentions=True).attentions[0][0].detach()


@pytest.mark.parametrize(("side", "box", "share"), [(4, 2, 0.5), (9, 3, 0.95)])
def test_three_heads_look_at_rows_columns_and_boxes(side, box, share):
    seen = attention(side, box)
    cell = torch.arange(side**2)
    row, column = cell // side, cell % side
    units = (row, column, row // box * box + column // box)
    for head, unit in enumerate(units):
        same = unit[:, None] == unit
        assert ((seen[head] * same).sum(1) > share).all()
        # Evenly: no cell of a unit matters more than twice as much as another.
        inside = seen[head][same].view(side**2, side)
        assert (inside.amax(1) < 2 * inside.amin(1)).all()
    assert (seen[3].amax(1) < 0.5).all()
