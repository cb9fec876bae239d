"""Small decoders, and their logits under a given attention mask."""

from functools import cache

import torch
from tests.adapters.architectures import build


@cache
def runs_small(kind):
    """A network of the kind, or None where none can be built small that runs on plain tokens."""
    try:
        net = build("causal", kind)
        with torch.no_grad():
            net(input_ids=torch.tensor([[5, 6, 7]]), use_cache=False)
    except Exception:
        return None
    return net


def whole(net, block):
    """A function of tokens (1,n) to the logits with attention in blocks, by the network itself."""

    def logits(tokens, _):
        place = torch.arange(tokens.shape[1])
        order = place // (block or len(place))
        seen = (order <= order.unsqueeze(1))[None, None]
        if net.config._attn_implementation == "eager":
            seen = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        given = {"position_ids": place[None], "attention_mask": seen, "use_cache": False}
        return net(input_ids=tokens, **given)[0]

    return logits
