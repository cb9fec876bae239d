"""x-transformers' `NonAutoregressiveWrapper`, without its defects: only the import changes."""

from unmask.compat.critics import SelfCritic
from unmask.compat.wrapper import Losses, NonAutoregressiveWrapper

__all__ = ["Losses", "NonAutoregressiveWrapper", "SelfCritic"]
