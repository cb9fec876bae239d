"""A 3**4 space with a network that knows the truth, and one that contradicts itself."""

import itertools
import math

import torch
from tests.reference.oracles import JointOracle, joint_3_4

import unmask

DATA, LENGTH, MASK = 3, 4, 3
SPACE = torch.tensor(list(itertools.product(range(DATA), repeat=LENGTH)))  # (81,4)
JOINT = torch.from_numpy(joint_3_4()).flatten()  # (81,), in the order of SPACE
ORACLE = JointOracle(joint_3_4())


def truth():
    return unmask.wrap(ORACLE, mask_id=MASK, vocab_size=DATA + 1)


def liar():
    """Conditionals of no joint law: those of the truth flattened, more so where less is known."""

    def net(tokens):
        known = (tokens != MASK).sum(1)
        return ORACLE(tokens) * (0.4 + 0.1 * known)[:, None, None]

    return unmask.wrap(net, mask_id=MASK, vocab_size=DATA + 1)


def logp(denoiser, shown):
    """(4,3) float64: log p of each data id at each position of one canvas, naively."""
    return denoiser.net(shown[None])[0, :, :DATA].double().log_softmax(-1)


def all_subsets(denoiser, tokens, asked):
    """The bound of one sequence by running over every subset of the asked positions."""
    places, total = [i for i in range(LENGTH) if asked[i]], 0.0
    for k in range(1, len(places) + 1):
        subsets = list(itertools.combinations(places, k))
        for subset in subsets:
            shown = tokens.clone()
            shown[list(subset)] = MASK
            p = logp(denoiser, shown)
            total -= sum(float(p[i, tokens[i]]) for i in subset) / k / len(subsets)
    return total


def leave_one_out(tokens, asked):
    """−log p(asked tokens | the others), by summing the joint."""
    agrees = ((tokens == SPACE) | asked).all(1)
    here = (tokens == SPACE).all(1)
    return -math.log(float(JOINT[here].sum() / JOINT[agrees].sum()))
