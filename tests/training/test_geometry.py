"""Starting weights that know a board: what the heads of the first layer look at."""

import pytest
import torch

from unmask.training.geometry import know_the_layout
from unmask.training.network import network
from unmask.viz.layout import Layout


def attention(side, box):
    """(heads, N, N) of the first layer, on a board of which nothing is known."""
    torch.manual_seed(0)
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


def looking(layout, positions, heads=4, layers=2, width=64):
    """(layers, heads, N, N), with every token hidden."""
    torch.manual_seed(0)
    net = network(
        {
            "model_type": "megatron-bert", "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": 16, "vocab_size": 5,
            "max_position_embeddings": positions, "type_vocab_size": 1,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        }
    )  # fmt: skip
    know_the_layout(net, layout, 0)
    tokens = torch.full((1, positions), 4)
    return torch.stack(net.bert(tokens, output_attentions=True).attentions)[:, 0].detach()


def test_heads_look_at_the_neighbours_of_an_image_that_is_no_square():
    seen = looking(Layout.image(3, 6, 4), 18).argmax(-1)[0]
    cells = torch.arange(18)
    inner = (cells // 6 == 1) & (cells % 6 > 0) & (cells % 6 < 5)
    for head, step in enumerate([1, -1, 6, -6]):
        assert seen[head][inner].tolist() == (cells + step)[inner].tolist()


def test_heads_look_at_the_neighbours_in_a_line():
    first, second = looking(Layout.text(), 12).argmax(-1)
    places = torch.arange(4, 8)
    for seen, steps in ((first, [1, -1, 2, -2]), (second, [3, -3, 4, -4])):
        for head, step in enumerate(steps):
            if seen is first or step in (3, -3):
                assert seen[head][places].tolist() == (places + step).tolist()


@pytest.mark.parametrize(("heads", "layers", "width"), [(2, 1, 16), (4, 2, 12), (1, 1, 8)])
def test_small_networks_know_what_fits(heads, layers, width):
    assert looking(Layout.image(2, 3, 4), 6, heads, layers, width).isfinite().all()
