"""Networks that know the truth: small joint laws whose conditionals are computed, not learnt.

And `chi_square`, the test that samples are held against a computed law with.

Each oracle is a callable tokens (B,N) -> logits (B,N,V) for `unmask.wrap`, with `vocab_size` and
`mask_id` as attributes; `V - 1` ids are data and the last id is the mask. Three rules hold for all:

* a logit is log p(x_i | the *other* visible tokens), computed in float64 and returned in float32.
  At an unknown position that is its true conditional; at a visible one it says how likely the token
  there is given the rest, whatever it is;
* what the mask id shows at a position is "unknown", so the tokens are all the oracle needs;
* the mask id itself gets logit 0, above every log-probability: an engine that fails to suppress it
  draws it most of the time.

Shapes: B rows, N positions, K data ids (0..K-1; K is the mask id, so V = K + 1).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor
from torch.nn.functional import pad


class JointOracle:
    """True conditionals of an enumerated joint over K**N sequences (K = 3 and N = 4 by default).

    joint: float64 array with N axes of size K. All 4**4 canvases are worked out beforehand, so that
    a call is one lookup.
    """

    def __init__(self, joint: np.ndarray):
        self.joint = torch.from_numpy(joint / joint.sum())
        self.length, self.mask_id = joint.ndim, joint.shape[0]
        self.vocab_size = self.mask_id + 1
        every = torch.cartesian_prod(*[torch.arange(self.vocab_size)] * self.length)
        self._place = self.vocab_size ** torch.arange(self.length - 1, -1, -1)
        self.table = _with_mask(self._log_conditionals(every.view(-1, self.length)))

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B,N) ids -> (B,N,V) float32 logits."""
        return self.table[(tokens * self._place).sum(1)]

    def _log_conditionals(self, tokens: Tensor) -> Tensor:
        """(B,N,K) float64 by summing the joint over everything that agrees with what is visible."""
        full = torch.cartesian_prod(*[torch.arange(self.mask_id)] * self.length)  # (K**N,N)
        full = full.view(-1, self.length)
        agrees = (tokens[:, None] == self.mask_id) | (tokens[:, None] == full)  # (B,K**N,N)
        one_hot = torch.nn.functional.one_hot(full, self.mask_id).double()
        out = []
        for i in range(self.length):
            others = agrees[:, :, [j for j in range(self.length) if j != i]].all(2).double()
            out.append((others * self.joint.flatten()) @ one_hot[:, i])
        mass = torch.stack(out, 1)
        return (mass / mass.sum(2, keepdim=True)).log()


def joint_3_4(concentration: float = 0.2, seed: int = 0) -> np.ndarray:
    """(3,3,3,3) from a Dirichlet: strictly positive, strongly dependent, no two conditionals equal.

    The total variation between it and the product of its marginals is 0.605.
    """
    draw = np.random.default_rng(seed).dirichlet(np.full(81, concentration))
    floor = np.maximum(draw, 1e-5)  # no sequence impossible, so that every conditional exists
    return (floor / floor.sum()).reshape(3, 3, 3, 3)


class MarkovOracle:
    """True conditionals of a stationary Markov chain: each position sees its visible neighbours.

    p(x_i = a | l, r) is proportional to P^(i-l)[x_l, a] · P^(r-i)[a, x_r], with l and r the nearest
    visible positions on either side; without l the stationary law stands in, without r nothing.
    transition: (K,K) float64 array with positive entries and rows that sum to 1 (K = 8 by default).
    """

    def __init__(self, transition: np.ndarray, length: int = 32):
        self.transition = torch.from_numpy(transition)
        self.length, self.mask_id = length, len(transition)
        self.vocab_size = self.mask_id + 1
        self.stationary = torch.linalg.matrix_power(self.transition, 4096)[0]
        powers = [torch.eye(self.mask_id, dtype=torch.float64)]
        for _ in range(length):
            powers.append(powers[-1] @ self.transition)
        self._log_powers = torch.stack(powers).clamp(min=1e-300).log()  # (N+1,K,K)

    @property
    def bigrams(self) -> Tensor:
        """(K,K) float64: the law of two neighbours."""
        return self.stationary[:, None] * self.transition

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B,N) ids -> (B,N,V) float32 logits."""
        length = tokens.shape[1]
        place = torch.arange(length).expand_as(tokens)
        seen = tokens != self.mask_id
        left = _before(place.where(seen, -1).cummax(1).values, none=-1)
        right = _before(place.where(seen, length).flip(1).cummin(1).values, none=length).flip(1)
        from_left = self._log_powers[
            (place - left).clamp(max=length), tokens.gather(1, left.clamp(min=0)) % self.mask_id
        ]
        ahead = tokens.gather(1, right.clamp(max=length - 1)) % self.mask_id
        to_right = self._log_powers.transpose(1, 2)[(right - place).clamp(max=length), ahead]
        prior = self.stationary.log()
        logp = from_left.where((left >= 0)[..., None], prior)
        logp = logp + to_right.where((right < length)[..., None], 0.0)
        return _with_mask(logp.log_softmax(-1))


def chain_8(spread: float = 1.5, seed: int = 0) -> np.ndarray:
    """(8,8) transition matrix, rows softmax(spread · normal): entropy rate 1.545 nats."""
    weight = np.exp(spread * np.random.default_rng(seed).standard_normal((8, 8)))
    return weight / weight.sum(1, keepdims=True)


class PermutationOracle:
    """Uniform over the permutations of 0..n-1: any id that no other position shows, equally."""

    def __init__(self, length: int):
        self.length, self.mask_id, self.vocab_size = length, length, length + 1

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B,N) ids -> (B,N,V) float32 logits; -inf at ids that are taken."""
        shows = torch.nn.functional.one_hot(tokens, self.vocab_size)[..., : self.mask_id]
        taken_elsewhere = shows.sum(1, keepdim=True) - shows > 0
        return _with_mask(torch.zeros(shows.shape).masked_fill(taken_elsewhere, float("-inf")))


class ParityOracle:
    """Uniform over the sequences whose sum is 0 modulo K: free until one position is unknown."""

    def __init__(self, vocab: int, length: int):
        self.length, self.mask_id, self.vocab_size = length, vocab, vocab + 1

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B,N) ids -> (B,N,V) float32 logits; -inf at ids that would break the parity."""
        unknown = tokens == self.mask_id
        others_known = unknown.sum(1, keepdim=True) - unknown.long() == 0
        value = tokens.masked_fill(unknown, 0)
        forced = (value - value.sum(1, keepdim=True)) % self.mask_id  # (B,N)
        wrong = torch.arange(self.mask_id) != forced[..., None]
        logits = torch.zeros(wrong.shape).masked_fill(wrong & others_known[..., None], -torch.inf)
        return _with_mask(logits)


def _with_mask(logp: Tensor) -> Tensor:
    """(...,K) log-probabilities -> (...,K+1) float32 logits, the mask id at 0."""
    return pad(logp.float(), (0, 1), value=0.0)


def _before(running: Tensor, none: int) -> Tensor:
    """(B,N) running extremum, shifted by one so that a position does not count itself."""
    return pad(running[:, :-1], (1, 0), value=none)


def chi_square(observed: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    """p-value of counts against a law of the same shape (expected is scaled to the same total).

    Cells expected fewer than five times are pooled into one. A count where the law has nothing at
    all gives 0.
    """
    seen, law = np.asarray(observed, np.float64).ravel(), np.asarray(expected, np.float64).ravel()
    if (seen[law <= 0] > 0).any():
        return 0.0
    law = law * (seen.sum() / law.sum())
    rare = law < 5
    seen = np.append(seen[~rare], seen[rare].sum())
    law = np.append(law[~rare], law[rare].sum())
    seen, law = seen[law > 0], law[law > 0]
    return float(chi2.sf(((seen - law) ** 2 / law).sum(), max(len(law) - 1, 1)))
