"""A loaded network is a module: mypy, which reads this file with `src`, knows its methods."""

import unmask
from unmask.models.adapter import Adapter
from unmask.models.forwarding import Forwarding

loaded: Adapter | Forwarding = unmask.load("shidoku")
moved: Adapter | Forwarding = unmask.load("shidoku").to("cpu")
denoiser: unmask.Denoiser = moved
weights: int = sum(weight.numel() for weight in moved.parameters())
