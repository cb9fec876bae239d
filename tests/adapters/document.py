"""The tables of `docs/networks.md`, from small networks: `python -m tests.adapters.document`."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import defaultdict
from pathlib import Path

import transformers
from tests.adapters import architectures, causal

import unmask
from unmask.errors import UnmaskError
from unmask.models import Decoder
from unmask.models.adapter import Way

DOCUMENT = Path(__file__).parents[2] / "docs" / "networks.md"
BEGIN, END = "<!-- tables: python -m tests.adapters.document -->\n", "<!-- end of tables -->\n"


def described(way: Way, full_length: int | None) -> str:
    """The row of the table for a way."""
    if full_length is not None:
        return "only rows of the network's full length, which an error names"
    parts = [
        "rows of unequal length in passes of their own" if way.by_length else "",
        "a padding mask even without padding" if way.always_masks else "",
        "" if way.split or way.by_length else "the network whole",
    ]
    return "; ".join(filter(None, parts)) or "the head apart, at the positions asked for"


def reason(error: Exception) -> str:
    """An error's sentence, without its own example and what the network said."""
    return str(error).split(": ")[0]


def masked() -> dict[str, list[str]]:
    """How each `*ForMaskedLM` runs."""
    found = defaultdict(list)
    for kind in architectures.kinds("masked"):
        try:
            net = architectures.build("masked", kind)
            denoiser = unmask.wrap(net, mask_id=architectures.MASK)
            found[described(denoiser.way, denoiser.full_length)].append(kind)
        except architectures.TooLarge:
            found["not tried: no small one could be made"].append(kind)
        except UnmaskError as error:
            found[f"refused: {reason(error).split(' is ', 1)[-1]}"].append(kind)
    return found


def decoders() -> dict[str, list[str]]:
    """How each `*ForCausalLM` runs."""
    found = defaultdict(list)
    for kind in architectures.kinds("causal"):
        net = causal.runs_small(kind)
        if net is None:
            found["not tried: no small one could be made"].append(kind)
            continue
        try:
            decoder = Decoder(net, architectures.MASK)
            found[described(decoder.way, None)].append(kind)
        except UnmaskError as error:
            found[f"refused: {reason(error).split(', for')[0]}"].append(kind)
    return found


def tables() -> str:
    """Both tables, for the installed transformers."""
    transformers.logging.set_verbosity_error()
    text = f"As found with transformers {transformers.__version__}:\n"
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for title, found in (("`*ForMaskedLM`", masked()), ("`*ForCausalLM`", decoders())):
            text += f"\n| {title} | model types |\n|---|---|\n"
            for way, kinds in sorted(found.items(), key=lambda item: -len(item[1])):
                text += f"| {way} | {', '.join(kinds)} |\n"
    return text


if __name__ == "__main__":
    document = DOCUMENT.read_text(encoding="utf-8")
    before, rest = document.split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + tables() + END + rest.split(END)[1], encoding="utf-8")
