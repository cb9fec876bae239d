"""What a network says of itself, and what a query carries."""

import torch

from unmask import Query
from unmask.core.network import DenoiserSpec


def test_inputs_may_be_any_set_and_a_spec_is_hashable():
    spec = DenoiserSpec(5, 4, inputs={"masked"})
    assert spec == DenoiserSpec(5, 4, inputs=frozenset({"masked"}))
    assert hash(spec) == hash(DenoiserSpec(5, 4, inputs=["masked"]))


def test_a_query_carries_what_is_asked_for_and_no_more():
    tokens, unknown = torch.zeros(2, 4, dtype=torch.int64), torch.tensor([[True] * 4, [False] * 4])
    editable = torch.ones(2, 4, dtype=torch.bool)
    query = Query.of(tokens)
    assert query.with_inputs(frozenset(), unknown, editable) is query
    masked = query.with_inputs(frozenset({"masked"}), unknown, editable)
    assert masked.masked is unknown
    assert masked.progress is None
    timed = query.with_inputs(frozenset({"progress"}), unknown, editable)
    assert timed.masked is None
    assert timed.progress.tolist() == [0.0, 1.0]
    assert timed.unknown_share.tolist() == [1.0, 0.0]
