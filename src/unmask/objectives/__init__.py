"""Training objectives: pure functions (denoiser, tokens, maskable, seed) -> Loss.

`count`, `complementary`, `bernoulli` and `bernoulli_by_count` are unbiased estimates of the
masked-diffusion bound on −log p(x), and so is `block_diffusion`, for networks with blocks.
`masked_mean` (MaskGIT) and `bert` estimate no likelihood, and their `nll` is None. `critic` trains
a critic; `drop_condition` prepares guidance.
"""

from unmask.core.calls import check_calls
from unmask.objectives.block_diffusion import block_diffusion
from unmask.objectives.condition import drop_condition
from unmask.objectives.corruption import BertNoise
from unmask.objectives.critic import critic, critic_loss, fill
from unmask.objectives.evaluate import Corrupted, Reading, evaluate, read_corrupted
from unmask.objectives.inclusion import bernoulli, bernoulli_by_count
from unmask.objectives.nelbo import complementary, corrupt_by_count, count
from unmask.objectives.surrogates import bert, masked_mean

__all__ = [
    "BertNoise",
    "Corrupted",
    "Reading",
    "bernoulli",
    "bernoulli_by_count",
    "bert",
    "block_diffusion",
    "complementary",
    "corrupt_by_count",
    "count",
    "critic",
    "critic_loss",
    "drop_condition",
    "evaluate",
    "fill",
    "masked_mean",
    "read_corrupted",
]

check_calls(__name__)
