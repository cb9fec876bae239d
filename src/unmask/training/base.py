"""Classes of transformers to derive from, importable on a bare install; `train` names the extra."""

from __future__ import annotations

try:
    from transformers import Trainer, TrainerCallback
except ImportError:
    Trainer = TrainerCallback = object  # type: ignore[assignment,misc]

__all__ = ["Trainer", "TrainerCallback"]
