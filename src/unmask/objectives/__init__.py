"""Training objectives: pure functions (denoiser, tokens, maskable, seed) -> Loss.

`count` and `complementary` are unbiased estimates of the masked-diffusion bound on −log p(x);
`masked_mean` is MaskGIT's cross-entropy and no likelihood. `critic` trains a critic.
"""

from unmask.corruption import BertNoise
from unmask.objectives.critic import critic, critic_loss, fill
from unmask.objectives.evaluate import Corrupted, Reading, evaluate, read
from unmask.objectives.nelbo import complementary, corrupt_by_count, count, masked_mean

__all__ = [
    "BertNoise",
    "Corrupted",
    "Reading",
    "complementary",
    "corrupt_by_count",
    "count",
    "critic",
    "critic_loss",
    "evaluate",
    "fill",
    "masked_mean",
    "read",
]
