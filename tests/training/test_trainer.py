"""What Trainer hands on: every example with its class and its index."""

from __future__ import annotations

import torch

from unmask.tasks import task
from unmask.training.recipes import RECIPES
from unmask.training.run import train


def test_the_classes_reach_the_model(tmp_path, monkeypatch):
    """transformers' collator renames some keys; a class lost that way trains a model without."""
    from unmask.training import model

    kinds = []
    forward = model.MaskedModel.forward

    def recording(self, **batch):
        kinds.append(batch["condition"] + 1)
        return forward(self, **batch)

    monkeypatch.setattr(model.MaskedModel, "forward", recording)
    train("digits", tmp_path / "digits", steps=3)
    seen = torch.cat(kinds)
    assert len(seen) == 3 * RECIPES["digits"].batch_size
    own = seen[(seen > 0) & (seen != 1 + task("digits").classes)]
    assert len(own.unique()) > 5
