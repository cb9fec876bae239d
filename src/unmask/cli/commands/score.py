"""`unmask score`: how likely the rows of a file are under a model."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.cli.io import presets
from unmask.cli.io.corpus import canvas_of_examples, read_corpus
from unmask.cli.io.fasta import headers
from unmask.cli.io.models import open_model
from unmask.cli.options import Opened
from unmask.cli.ui.screen import counting, print_json, say
from unmask.core.checks import check_count
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.core.network import Denoiser
    from unmask.decoding import Canvas
    from unmask.scoring import Method, Score

EXAMPLES = [
    ("The likelihood bound of held-out rows", "unmask score digits held-out.npy"),
    (
        "The exact likelihood under a preset, as JSON",
        "unmask score my-model text.txt --order confidence --steps 64 --json",
    ),
    (
        "The pseudo-likelihood of each line of a text",
        "unmask score my-model lines.txt --documents --pseudo",
    ),
]
WHAT = {
    "bound": "an upper bound on −log p, in expectation",
    "exact": "−log p of the order, exactly",
    "pseudo": "each token given all others: not a likelihood, but comparable between rows",
}
OPTIONS = """
FILE: Ids or text: .npy, .npz, .safetensors, .jsonl, .parquet, .txt, .fasta or a folder of one
    kind.
--samples N: Pairs of masks for each row; default 16.
--order NAME: Compute the exact likelihood under this preset.
--steps N: Steps of the preset of --order.
--pseudo: Score each token given all others; this is not a likelihood.
--class C: Class given to the model; 'file' takes the class of each row from the file.
--length N: Positions of a window; default: the model's length.
--documents: Score each row, or line of text, on its own instead of windows of a stream.
--column NAME: Column of a table that has the ids or text.
--batch-size N: Rows of one network pass.
"""


def command(
    model: str,
    file: Path,
    samples: int | None = None,
    order: str | None = None,
    steps: int | None = None,
    pseudo: bool = False,
    class_: str | None = None,
    length: int | None = None,
    documents: bool = False,
    column: str | None = None,
    batch_size: int = 256,
    seed: int = 0,
    *,
    opened: Opened,
    json: bool = False,
) -> None:
    """Measure how likely the rows of a file are under a model.

    Prints nats per token, with the standard error over rows, or over masks for a single row: by
    default the masked-diffusion bound, with --order the exact likelihood under a preset, with
    --pseudo a cheap score for comparing rows.
    """
    from unmask.core.random import check_seed

    _check_ways(samples, order, steps, pseudo)
    check_seed(seed)
    check_count("batch_size", batch_size)
    known = open_model(model, opened, opened.tokenizer)
    by = _method(samples, order, steps, pseudo, known.card.grid)
    reading = {"column": column, "documents": documents or (length is None and known.documents)}
    corpus = read_corpus(known, file, length, reading)
    canvas, notes = canvas_of_examples(known, file, corpus, class_)
    denoiser, begun = known.denoiser, time.perf_counter()
    result = _score(denoiser, canvas, by, seed, batch_size)
    seconds = time.perf_counter() - begun
    if json:
        settings = {"model": model, "file": str(file), "seed": seed, "seconds": round(seconds, 3)}
        print_json({**settings, **_figures(result), **headers(file), "notes": notes})
        return
    _print_summary(result, f"{model} on {file}", f"seed {seed}, {seconds:.1f} s", notes)


def _check_ways(samples: int | None, order: str | None, steps: int | None, pseudo: bool) -> None:
    """Raise InputError for options that conflict."""
    ways = {"--samples": samples is not None, "--order": order is not None, "--pseudo": pseudo}
    asked = [name for name, given in ways.items() if given]
    if len(asked) > 1:
        raise InputError(
            f"{' and '.join(asked)} name different methods of scoring: pass one of them"
        )
    if steps is not None and order is None:
        raise InputError("--steps belongs to a preset: name it, such as --order confidence")


def _method(
    samples: int | None,
    order: str | None,
    steps: int | None,
    pseudo: bool,
    grid: tuple[int, int] | None,
) -> Method:
    """Return the scoring method that the options name. grid: of the model."""
    from unmask import scoring

    if order is not None:
        options = {} if steps is None else {"steps": steps}
        return scoring.Ordered(presets.build_strategy(order, options, grid))
    if pseudo:
        return scoring.PseudoLikelihood()
    return scoring.Bound() if samples is None else scoring.Bound(samples)


def _score(denoiser: Denoiser, canvas: Canvas, by: Method, seed: int, batch_size: int) -> Score:
    from unmask.scoring import score

    with counting() as progress:
        bar = progress.add_task("Scoring", total=None)
        return score(
            denoiser,
            canvas.tokens,
            canvas.editable,
            by=by,
            valid=canvas.valid,
            condition=canvas.condition,
            seed=seed,
            batch_size=batch_size,
            report=lambda done, total: progress.update(bar, completed=done, total=total),
        )


def _figures(result: Score) -> dict[str, Any]:
    """Return the score as JSON values, with null in place of infinity and NaN."""
    each = asdict(result)
    nats, counts = (each.pop(name).tolist() for name in ("per_example", "tokens_per_example"))
    each |= {"bits_per_token": result.bits_per_token, "perplexity": result.perplexity}
    finite = {name: _finite(value) for name, value in each.items()}
    return finite | {"nats_per_example": [*map(_finite, nats)], "tokens_per_example": counts}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_summary(result: Score, title: str, how: str, notes: Sequence[str]) -> None:
    error = "" if math.isnan(result.standard_error) else f" ± {result.standard_error:.4f}"
    say((title, "bold"), (f"  {how}", "dim"))
    say(
        (f"{result.nats_per_token:.4f}{error} nats per token", "bold"),
        f", {result.bits_per_token:.4f} bits, perplexity {result.perplexity:,.2f}",
    )
    say((f"{WHAT[result.kind]}; {result.tokens:,} tokens in {result.examples:,} rows", "dim"))
    for each in notes:
        say((each, "dim"))
