"""The same rows computed two ways: that these are of one network, and that counts add up."""

import torch

import unmask


def test_near_ties(tables):
    found = tables("near_ties", "--rows", 24, "--alone", 3, "--cached", 6)
    assert list(found) == [
        "each row alone",
        "matrices transposed",
        "without oneDNN",
        "terms in another order",
        "finished blocks from a cache",
    ]
    for (title, rows), compared in zip(found.items(), [3, 24, 24, 24, 6], strict=True):
        assert len(rows) == 7
        for row in rows:
            *_, first, second, third = row.values()
            assert row["rows"] == compared, title
            assert row["rows differing"] == first + second + third <= compared
            assert row["rows differing"] <= row["tokens differing"]


def test_other_ways_are_the_same_network(helper):
    ties = helper("near_ties")
    net = ties.Encoder(1e-3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tokens = torch.randint(ties.IDS, (4, ties.BLOCK))
    with torch.no_grad():
        for other in (ties.transposed(net), ties.reordered(net)):
            torch.testing.assert_close(other(tokens), net(tokens), atol=1e-4, rtol=1e-4)
            assert other.layers[0].up.weight.data_ptr() != net.layers[0].up.weight.data_ptr()
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())
    assert not ties.transposed(net).head.weight.is_contiguous()


def test_rows_that_differ_are_counted_with_their_tokens(helper):
    ties = helper("near_ties")
    found = ties.Differing("by hand")
    one, other = torch.tensor([[1, 2], [3, 4], [5, 6]]), torch.tensor([[1, 2], [4, 3]])
    found.add("maskgit", one, other)
    found.add("maskgit", one, one)
    assert found.rows == {"maskgit": [5, 1, 0]}
    assert found.tokens == {"maskgit": 2}


def test_given_rows_have_something_to_do(helper):
    ties = helper("near_ties")
    given = ties.Given.random(500, 2, seed=3)
    assert given.editable.any(1).all()
    assert not given.editable.all()
    assert given.seeds.unique().numel() == 500
    first = given.first(2)
    strategy = ties.strategies(ties.BLOCK)["confidence"]
    assert isinstance(strategy, unmask.Strategy)
    assert first.tokens.equal(given.tokens[:2])
