"""Networks small enough to be held against the reference, and ones that do as they are told."""

from functools import wraps

import torch
from torch import Tensor, nn
from x_transformers import Encoder, TransformerWrapper
from x_transformers.nonautoregressive_wrapper import NonAutoregressiveWrapper as Reference

from unmask.compat import NonAutoregressiveWrapper

__all__ = ["Ours", "Recorder", "Reference", "Scripted", "critic", "encoder", "never_mask"]


def encoder(vocab: int = 12, length: int = 16, *, seed: int = 0, **options) -> TransformerWrapper:
    """A tiny x-transformers encoder, the same for the same seed."""
    torch.manual_seed(seed)
    layers = {"dim": 16, "depth": 1, "heads": 2, "attn_dim_head": 8}
    layers |= {k: options.pop(k) for k in list(options) if k in ("dim", "cross_attend", "depth")}
    return TransformerWrapper(
        num_tokens=vocab, max_seq_len=length, attn_layers=Encoder(**layers), **options
    )


def critic(length: int = 16, vocab: int = 12, **options) -> TransformerWrapper:
    """A separate network with one logit per position."""
    return encoder(vocab, length, seed=1, logits_dim=1, **options)


def never_mask(vocab: int, *, dim: int = 16, sharp: float = 1.0) -> nn.Linear:
    """A head that gives the last id, the mask, no chance: the reference does not suppress it."""
    torch.manual_seed(2)
    head = nn.Linear(dim, vocab)
    with torch.no_grad():
        head.weight.mul_(sharp)
        head.weight[-1] = 0.0
        head.bias[-1] = -1e4
    return head


class Scripted(TransformerWrapper):
    """Logits by a rule tokens (B,N) -> (B,N,V); what it was called with is kept in `calls`."""

    def __init__(self, rule, vocab: int, length: int, dtype: torch.dtype = torch.float32):
        layers = Encoder(dim=vocab, depth=1, heads=1, attn_dim_head=4)
        super().__init__(
            num_tokens=vocab, max_seq_len=length, attn_layers=layers, to_logits=nn.Identity()
        )
        self.rule, self.calls, self.as_type = rule, [], dtype

    def forward(self, x: Tensor, return_logits_and_embeddings: bool = False, **given):
        self.calls.append((x.clone(), given))
        # No gradient reaches a rule; this lets losses call backward().
        logits = self.rule(x).to(self.as_type) + 0 * self.token_emb.emb.weight.sum()
        return (logits, logits) if return_logits_and_embeddings else logits


class Ours(NonAutoregressiveWrapper):
    """The wrapper, which tries its network when it is made; `calls` begins behind the trial."""

    @wraps(NonAutoregressiveWrapper.__init__)
    def __init__(self, net, **options):
        super().__init__(net, **options)
        for tried in (net, options.get("token_critic")):
            if isinstance(tried, Scripted | Recorder):
                tried.calls.clear()


class Recorder(nn.Module):
    """A critic by a rule tokens (B,N) -> (B,N); it takes any argument and keeps all of them."""

    def __init__(self, rule):
        super().__init__()
        self.rule, self.calls = rule, []

    def forward(self, x: Tensor, **given) -> Tensor:
        self.calls.append((x.clone(), given))
        return self.rule(x).float().unsqueeze(-1)
