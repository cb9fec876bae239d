"""Published decoding methods, as functions that return a `Strategy`.

A preset binds one member of every axis and does nothing else. Its keyword arguments have the
published defaults; change a part with `Strategy.but`. `docs/methods.md` has a table of all presets;
`unmask.presets.by_name.build` returns one by its name.
"""

from unmask.core.calls import check_calls
from unmask.presets.adaptive import (
    adablock,
    credit,
    entropy_bound,
    factor,
    frechet_profile,
    hierarchy,
    klass,
    llada21,
    local_leap,
    threshold,
    token_to_mask,
    wino,
)
from unmask.presets.canvases import diffusion_gemma
from unmask.presets.growing import daedal, rho_eos
from unmask.presets.image import amused, halton, maskgit, muse
from unmask.presets.reference import annealed, confidence, first_hitting, random_order, top_margin
from unmask.presets.revising import dplm, p2, remdm, self_critic, token_critic
from unmask.presets.text import (
    dream,
    fast_dllm_v2,
    llada,
    llada2,
    mask_predict,
    mdlm,
    prophet,
    sdar,
)
from unmask.presets.tracks import esm3, magnet, soundstorm

__all__ = [
    "adablock",
    "amused",
    "annealed",
    "confidence",
    "credit",
    "daedal",
    "diffusion_gemma",
    "dplm",
    "dream",
    "entropy_bound",
    "esm3",
    "factor",
    "fast_dllm_v2",
    "first_hitting",
    "frechet_profile",
    "halton",
    "hierarchy",
    "klass",
    "llada",
    "llada2",
    "llada21",
    "local_leap",
    "magnet",
    "mask_predict",
    "maskgit",
    "mdlm",
    "muse",
    "p2",
    "prophet",
    "random_order",
    "remdm",
    "rho_eos",
    "sdar",
    "self_critic",
    "soundstorm",
    "threshold",
    "token_critic",
    "token_to_mask",
    "top_margin",
    "wino",
]

check_calls(__name__)
