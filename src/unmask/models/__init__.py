"""Networks as denoisers: wrapping, conditioning, packing, caches, critics, folders on disk."""

from unmask.core.calls import check_calls
from unmask.models.cached import BlockCache, ReusedCache
from unmask.models.caching import Tally
from unmask.models.captured import Captured
from unmask.models.compiled import Compiled
from unmask.models.conditioning import ClassConditioned
from unmask.models.critic import SelfCritic, TokenCritic
from unmask.models.decoder import Decoder
from unmask.models.diffusion_gemma import DiffusionGemma
from unmask.models.loading import load
from unmask.models.packing import Packed
from unmask.models.saving import save
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap

__all__ = [
    "BlockCache",
    "Captured",
    "ClassConditioned",
    "Compiled",
    "Decoder",
    "DiffusionGemma",
    "Packed",
    "ReusedCache",
    "SelfConditioning",
    "SelfCritic",
    "Tally",
    "TokenCritic",
    "load",
    "save",
    "wrap",
]

check_calls(__name__)
