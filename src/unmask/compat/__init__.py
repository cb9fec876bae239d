"""`NonAutoregressiveWrapper` of x-transformers: change the import and nothing else."""

from unmask.compat.critics import SelfCritic
from unmask.compat.wrapper import Losses, NonAutoregressiveWrapper

__all__ = ["Losses", "NonAutoregressiveWrapper", "SelfCritic"]
