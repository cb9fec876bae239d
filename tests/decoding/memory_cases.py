"""Networks that need a known amount of memory, or run out of it, and budgets for them."""

from dataclasses import fields

import pytest
import torch
from tests.conformance.toys import Toy

import unmask
from unmask.core.state import Generation

WIDE = 5000  # numbers that a network holds for each position
CPU = torch.device("cpu")


def same(one, other):
    for field in fields(Generation):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


class Activations(Toy):
    """A network that holds (B,N,WIDE) float32 beside its logits, for as long as it runs."""

    def hidden(self, tokens, *, valid, memory):
        held = torch.ones(*tokens.shape, WIDE)
        hidden, memory = super().hidden(tokens, valid=valid, memory=memory)
        return hidden * held[..., :1], memory


def room_for(fit, make, canvas, strategy, slack=0.5):
    """A budget that holds `fit` rows and no more, by the library's own measure."""
    needed = {}

    def spy(budget, rows, measure, least=1):
        needed.update({rows: measure(rows) for rows in (least, least + 1)}, least=least)
        return 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unmask.decoding.splitting.fitting", spy)
        unmask.run(make(), canvas, strategy, seed=3, max_memory=1)
    least = needed["least"]
    each = needed[least + 1] - needed[least]
    return needed[least] + each * max(0, fit - least) + int(each * slack)


class Small(Toy):
    """Memory for `rows` rows; `runs_out` says how."""

    def __init__(self, rows, runs_out):
        super().__init__()
        self.most, self.runs_out = rows, runs_out

    def hidden(self, tokens, *, valid, memory):
        out = super().hidden(tokens, valid=valid, memory=memory)
        if len(tokens) > self.most:
            self.runs_out()
        return out


def raising(error):
    def runs_out():
        raise error

    return runs_out


WAYS = {
    "CUDA": raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
    "Linux": lambda: torch.empty(2**60, dtype=torch.uint8),
    "Windows": raising(RuntimeError("DefaultCPUAllocator: not enough memory: you tried ...")),
    "Python": raising(MemoryError()),
}
