"""Networks as denoisers: wrapping, conditioning, packing, critics, folders on disk."""

from unmask.models.captured import Captured
from unmask.models.checkpoint import load, save
from unmask.models.compiled import Compiled
from unmask.models.conditioning import ClassConditioned
from unmask.models.critic import SelfCritic, TokenCritic
from unmask.models.packing import Packed
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap

__all__ = [
    "Captured",
    "ClassConditioned",
    "Compiled",
    "Packed",
    "SelfConditioning",
    "SelfCritic",
    "TokenCritic",
    "load",
    "save",
    "wrap",
]
