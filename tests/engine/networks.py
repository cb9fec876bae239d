"""Networks of every kind that the engine must keep rows apart on; answers by table look-up."""

import numpy as np
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy, critic, flat, table
from tests.models.decoders import decoder
from tests.reference.network import Network

import unmask
from unmask import presets
from unmask.constraints import Automaton, Constraint
from unmask.growth import EndConfidence, EndDensity
from unmask.guidance import Guidance, HidePrompt
from unmask.models import BlockCache
from unmask.noise import PreviousSample, UniformIds
from unmask.stopping import Budget, EndOfSequence, StableAndConfident

BLOCK = 4


class Padded(Network):
    """Told padding, which it does not look at; rows may be cut."""

    vocab_size, mask_id, forbidden, trims = VOCAB, MASK, (FORBIDDEN,), True

    def hidden(self, tokens, *, valid):
        return Toy().hidden(tokens, valid=valid)


class Told(Padded):
    """Told a class, or -1 for none."""

    def hidden(self, tokens, *, valid, condition):
        logits = super().hidden(tokens, valid=valid)
        told = table(6, 4, VOCAB)[condition] * (condition >= 0).unsqueeze(1)
        return logits + told.unsqueeze(1)


class Broken(Toy):
    """A cache that forgets which rows have begun: the control, which must not pass."""

    def forward(self, query, cache):
        hidden, after = super().forward(query, cache)
        return hidden, type(after)(after.sum.roll(1), np.ones(len(after.sum), bool))


def plain():
    return unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)


_CACHED = []


def cached():
    """A real decoder with its keys and values, made once."""
    if not _CACHED:
        _CACHED.append(BlockCache(decoder(block=BLOCK)))
    return _CACHED[0]


HOOKED = Constraint(feasible=Automaton.avoiding([[1, 1], [3, 4]], VOCAB))
ANY = [
    lambda: presets.annealed(3),
    lambda: presets.maskgit(4),
    lambda: presets.random_order(3),
    lambda: presets.confidence(5),
    lambda: presets.mdlm(4),
    lambda: presets.remdm(5, eta=0.3),
    lambda: presets.mask_predict(3),
    lambda: presets.dplm(3),
    lambda: presets.threshold(0.3, block=3),
    lambda: presets.entropy_bound(0.8),
    lambda: presets.klass(0.3, 0.3, 1, block=4),
    lambda: presets.llada(2, block=3),
    lambda: presets.llada21(0.3, 0.2, block=4),
    lambda: presets.wino(0.3, 0.4, block=5),
    lambda: presets.soundstorm(2, 3, 2),
    lambda: presets.confidence(6).but(stopping=[StableAndConfident(1.5)]),
    lambda: presets.threshold(0.4, block=3).but(stopping=[Budget(4)]),
    lambda: presets.random_order(5).but(stopping=[EndOfSequence(1)]),
    lambda: presets.daedal(0.4, 0.3, 2, 3, window=2, end_id=3, block=4, temperature=1.0),
    lambda: presets.daedal(0.4, 0.4, 1, 2, window=2, end_id=3, block=None).but(
        stopping=[EndOfSequence(3)]
    ),
    lambda: presets.rho_eos(0.4, 0.3, 0.5, 3, 1, end_id=3, temperature=1.0),
    lambda: presets.rho_eos(0.4, 0.2, 0.3, 2, 2, end_id=1, block=3).but(stopping=[Budget(4)]),
    lambda: presets.credit(0.6, block=3).but(growth=EndDensity(2, 1, 0.3, 0.4, end_id=1)),
    lambda: presets.klass(0.2, 50.0, 1).but(growth=EndConfidence(2, 2, 3, low=0.5, end_id=3)),
    lambda: presets.maskgit(4).but(noise=PreviousSample()),
    lambda: presets.mask_predict(3).but(noise=UniformIds()),
    lambda: presets.confidence(4).but(constraint=HOOKED),
    lambda: presets.threshold(0.5, block=None).but(constraint=HOOKED),
    lambda: presets.mask_predict(4).but(constraint=HOOKED),
]
GUIDED = [
    lambda: presets.muse(4, guidance=2.0),
    lambda: presets.daedal(0.4, 0.3, 2, 2, window=2, end_id=3).but(guidance=Guidance(1.5)),
    lambda: presets.rho_eos(0.4, 0.3, 0.5, 2, 1, end_id=3).but(guidance=Guidance(1.5)),
    lambda: presets.amused(3, guidance=3.0),
    lambda: presets.threshold(0.3, block=3).but(guidance=Guidance(1.5)),
    lambda: presets.random_order(3),
    lambda: presets.mask_predict(3).but(guidance=Guidance(2.0)),
    lambda: presets.wino(0.3, 0.5, block=None).but(guidance=Guidance(1.5)),
]
BY_BLOCKS = unmask.Groups.blocks(BLOCK)
CACHED = [
    lambda: presets.llada(2, block=BLOCK).but(groups=BY_BLOCKS),
    lambda: presets.threshold(0.3).but(groups=BY_BLOCKS),
    lambda: presets.klass(0.3, 0.3, 1).but(groups=BY_BLOCKS),
    lambda: presets.random_order(2).but(groups=BY_BLOCKS),
    lambda: presets.threshold(0.6).but(groups=BY_BLOCKS, stopping=[Budget(6)]),
    lambda: presets.llada(2).but(
        groups=BY_BLOCKS, guidance=Guidance(0.5, null=HidePrompt()), stopping=[Budget(12)]
    ),
]
CRITICAL = [
    lambda: presets.token_critic(critic, 4),
    lambda: presets.token_critic(critic, 3, remask=False),
    lambda: presets.self_critic(critic, 4),
]

# name -> (network, strategies, vocabulary of prompts, longest row, whether rows have classes)
KINDS = {
    "plain": (plain, ANY, VOCAB, 9, False),
    "padded": (Padded, ANY, VOCAB, 9, False),
    "self-conditioned": (Toy, ANY, VOCAB, 9, False),
    "guided": (Told, GUIDED, VOCAB, 9, True),
    "cached": (cached, CACHED, 16, 12, False),
    "critic-ranked": (Padded, CRITICAL, VOCAB, 9, False),
}
