"""Networks as denoisers: wrapping, class conditioning, guidance, and folders on disk."""

from unmask.models.checkpoint import load, save
from unmask.models.conditioning import ClassConditioned
from unmask.models.guidance import Guided
from unmask.models.self_conditioning import SelfConditioning
from unmask.models.wrap import wrap

__all__ = ["ClassConditioned", "Guided", "SelfConditioning", "load", "save", "wrap"]
