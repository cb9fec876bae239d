"""Dropping the condition: each row's own coin, the same for all entries of a row."""

from __future__ import annotations

import pytest
import torch
from tests.reference.network import Network
from tests.reference.oracles import chi_square

from unmask import objectives
from unmask.core.random import derive
from unmask.errors import DataError, StrategyError
from unmask.objectives import drop_condition

ROWS = 20_000


def test_classes_are_dropped_in_their_share_and_nothing_else_changes():
    classes = torch.arange(ROWS) % 10
    dropped = drop_condition(classes, 3, 0.25)
    gone = dropped == -1
    assert torch.equal(dropped[~gone], classes[~gone])
    assert chi_square(torch.stack([gone.sum(), (~gone).sum()]), torch.tensor([0.25, 0.75])) > 1e-5
    assert chi_square(torch.stack([gone.sum(), (~gone).sum()]), torch.tensor([0.3, 0.7])) < 1e-5
    # Every class alike.
    assert chi_square(classes[gone].bincount(), torch.ones(10)) > 1e-5
    assert torch.equal(drop_condition(classes, 3, 0.0), classes)
    assert (drop_condition(classes, 3, 1.0, null=10) == 10).all()
    assert classes.min() == 0  # the argument is left as it was


def test_a_rows_coin_is_its_seeds():
    seeds, classes = derive(5, 100), torch.arange(100)
    whole = drop_condition(classes, seeds, 0.5)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drop_condition(classes[order], seeds[order], 0.5), whole[order])
    assert not torch.equal(drop_condition(classes, derive(6, 100), 0.5), whole)


def test_entries_of_a_dict_are_dropped_together_and_only_those_named():
    text = torch.randn(200, 4, 3, generator=torch.Generator().manual_seed(0))
    nothing = torch.full((4, 3), 7.0)
    condition = {"context": text, "kind": torch.arange(200) % 5, "context_mask": text[..., 0] > 0}
    out = drop_condition(condition, 1, 0.5, null={"context": nothing, "kind": -1})
    gone = out["kind"] == -1
    assert 60 < int(gone.sum()) < 140
    assert (out["context"][gone] == 7).all()
    assert torch.equal(out["context"][~gone], text[~gone])
    assert out["context_mask"] is condition["context_mask"]


def test_what_cannot_be_dropped_is_named():
    classes = torch.arange(4)
    with pytest.raises(StrategyError, match=r"share=1\.5"):
        drop_condition(classes, 0, 1.5)
    with pytest.raises(DataError, match="the condition is a dict"):
        drop_condition({"kind": classes}, 0, 0.5)
    with pytest.raises(DataError, match="pass a dict with the null of each entry"):
        drop_condition({"kind": classes}, 0, 0.5, null={"class": -1})
    with pytest.raises(DataError, match="null has shape"):
        drop_condition({"kind": classes}, 0, 0.5, null={"kind": torch.zeros(2)})
    with pytest.raises(DataError, match="condition is a NoneType"):
        drop_condition(None, 0, 0.5)


def test_the_network_sees_the_dropped_condition():
    seen = []

    class Net(Network):
        vocab_size, mask_id = 4, 3

        def hidden(self, tokens, *, valid, condition):
            seen.append(condition)
            return torch.zeros(*tokens.shape, 4)

    tokens = torch.zeros(50, 3, dtype=torch.int64)
    given = drop_condition(torch.arange(50), 2, 0.5)
    objectives.count(Net(), tokens, torch.ones_like(tokens).bool(), 0, condition=given)
    assert seen[0] is given


@pytest.mark.parametrize(
    ("classes", "null"),
    [
        (torch.arange(4), 0.5),
        (torch.arange(4) > 1, -1),
        (torch.arange(4, dtype=torch.uint8), -1),
    ],
)
def test_a_null_that_a_condition_cannot_hold_is_refused(classes, null):
    with pytest.raises(DataError, match=f"null={null} in a condition of"):
        drop_condition(classes, 3, 1.0, null=null)
