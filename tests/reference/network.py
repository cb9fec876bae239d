"""A denoiser out of a few attributes and a function of tokens, for tests."""

from unmask.core.network import DenoiserSpec


class Network:
    """Derive from it, give `vocab_size` and `mask_id`, and a method `hidden`.

    hidden(tokens, *, valid, ...) -> (R,N,D) gets beside these whatever of `condition`, `progress`
    and `unknown_share` the query holds; `logits` is the identity unless it is given. More of the
    spec: `forbidden`, `length`, `forwards`, `inputs`, `trims`, `cached`. A network with a cache
    overrides `forward`.
    """

    vocab_size, mask_id = None, None
    forbidden, length, forwards, inputs = (), None, 1, frozenset()
    block_size, trims, cached = None, False, False
    device = None

    @property
    def spec(self):
        return DenoiserSpec(
            self.vocab_size,
            self.mask_id,
            self.forbidden,
            default_length=self.length,
            forwards_per_call=self.forwards,
            inputs=frozenset(self.inputs),
            block_size=self.block_size,
            supports_trimming=self.trims,
            cached=self.cached,
        )

    def forward(self, query, cache):
        names = ("condition", "progress", "unknown_share", "masked")
        told = {name: getattr(query, name) for name in names if getattr(query, name) is not None}
        return self.hidden(query.tokens, valid=query.valid, **told), None

    def logits(self, hidden):
        return hidden

    def projection(self, hidden):
        return None
