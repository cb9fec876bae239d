"""A completion in a notebook: a slider that replays the steps."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_PAGE = """<div style="font-family:monospace;white-space:pre-wrap;line-height:1.5">
<input type="range" min="0" max="{last}" value="{last}" style="width:20em"
 oninput="(function(me){{const at=+me.value;
 me.nextElementSibling.textContent='step '+at+' of {last}';
 me.parentNode.querySelectorAll('[data-step]').forEach(function(s){{
 s.style.opacity=+s.dataset.step<=at?1:0.12;}});}})(this)"><span> step {last} of {last}</span>
<div><span style="color:#777">{given}</span>{pieces}<span style="color:#777">{suffix}</span></div>
</div>"""


def replay(completion: Any) -> str:
    """Return HTML in which each token appears at its step, the more coloured the less certain."""
    steps, logprobs = completion.commit_steps, completion.logprobs
    pieces = "".join(
        f'<span data-step="{step + 1}" title="{escape(json.dumps(piece))}, log p {logprob:.3f}" '
        f'style="background:rgba(255,150,0,{min(0.6, -logprob / 8):.2f})">{escape(piece)}</span>'
        for piece, step, logprob in zip(completion.pieces, steps, logprobs, strict=True)
    )
    return _PAGE.format(
        last=max(steps, default=-1) + 1,
        given=escape(completion.given),
        pieces=pieces,
        suffix=escape(completion.suffix),
    )
