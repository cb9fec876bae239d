"""`unmask solve`: solve a file of puzzles and check the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from unmask.cli.io import outputs, presets
from unmask.cli.io.canvas_input import text_of
from unmask.cli.io.models import Model, open_model
from unmask.cli.options import Loading
from unmask.cli.ui.screen import counted, counting, note, print_json, say, waiting
from unmask.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.core.generation import Generation
    from unmask.decoding import Strategy

EXAMPLES = [
    ("Solve a file of puzzles", "unmask solve puzzles.txt --out solved.txt"),
    (
        "One cell a network pass instead of all confident ones",
        "unmask solve puzzles.txt --steps 81",
    ),
    ("4×4 puzzles", "echo 2....4....4..1.3 | unmask solve - shidoku"),
]
SURE: dict[str, Any] = {"threshold": 0.99, "block": None}  # 0.9 is faster, and wrong more often
BATCH = 100
OPTIONS = """
FILE: One puzzle a line, one character a cell, '.' or '0' where unknown; '#' begins a comment; '-'
    is standard input.
MODEL: sudoku, shidoku, or a folder of such a model.
--preset NAME: The decoding method. Default: threshold, which fills all cells of probability 0.99 or
    more at once; with --steps, confidence.
--out FILE: Write the solutions here, one a line.
"""


def command(
    file: str,
    model: str = "sudoku",
    preset: str | None = None,
    steps: int | None = None,
    set_: list[str] | None = None,
    seed: int = 0,
    out: Path | None = None,
    *,
    loading: Loading,
    json: bool = False,
) -> None:
    """Solve puzzles with a network, and check every answer.

    Answers are written to standard output or to --out, one line a puzzle, in the order of the
    file, right or wrong. A search by the rules of the puzzle checks them; it does not help the
    network. The exit code is 2 if a puzzle has no solution.
    """
    from unmask.core.files import write_file
    from unmask.core.random import check_seed

    check_seed(seed)
    outputs.checked([] if out is None else [out], inputs=[Path(file)])
    text = text_of(Path(file))
    opened = open_model(model, loading)
    strategy = choose_strategy(preset, steps, set_ or [], opened.card.grid)
    answers = _solve(opened, text, strategy, seed)
    if out is not None:
        write_file(out, answers.text.encode() + b"\n")
    if json:
        shown = {"model": model, "preset": strategy.name, "seed": seed, **answers.summary}
        print_json({**shown, "rows": answers.rows})
    else:
        if out is None:
            typer.echo(answers.text)
        _print_summary(answers.summary, f"{strategy.name}, seed {seed}", out)
    _check_solvable(answers.solutions)


def choose_strategy(
    preset: str | None,
    steps: int | None,
    pairs: Sequence[str],
    grid: tuple[int, int] | None = None,
) -> Strategy:
    """Return the strategy that the options name, at temperature 0 unless they set another.

    grid: height and width of the model's grid.
    """
    from unmask.presets import by_name

    asked = presets.merged({"steps": steps}, pairs)
    name = preset or ("threshold" if steps is None else "confidence")
    start = dict(SURE) if preset is None and steps is None else {}
    found = by_name.known().get(name)
    if found is not None and "temperature" in by_name.defaults(found):
        start["temperature"] = 0.0
    return presets.build_strategy(name, start | asked, grid)


@dataclass(frozen=True)
class Answers:
    """The answers to B puzzles, and whether they are right."""

    text: str
    """The answers, one line a puzzle."""
    solutions: list[int]
    """The number of solutions of each puzzle: 0, 1, or 2 for more."""
    summary: dict[str, Any]
    """Counts over all puzzles, the mean number of forwards, and the seconds."""
    rows: list[dict[str, Any]]
    """One entry a puzzle; exact is None unless one solution exists."""


def _solve(model: Model, text: str, strategy: Strategy, seed: int) -> Answers:
    rules = model.rules
    if rules is None:
        from unmask.tasks.task import RULES

        raise InputError(
            f"{model.name} is not a model of puzzles: pass {' or '.join(sorted(RULES))}, or a "
            "folder that unmask train wrote for one of them; for other models type unmask infill"
        )
    puzzles, known = rules.parse(text)
    rules.check_clues(puzzles)
    begun = time.perf_counter()
    result = _filled(model, puzzles, known, strategy, seed)
    tokens, seconds = result.tokens.cpu(), time.perf_counter() - begun
    with waiting("Checking"):
        solutions, solution = rules.solve(puzzles)
    valid, unique = rules.is_valid(tokens), solutions == 1
    exact = unique & (tokens == solution).all(1)
    forwards = result.forwards.cpu()
    counts = {"valid": valid, "unique": unique, "exact": exact, "unsolvable": solutions == 0}
    summary = {
        "puzzles": len(tokens),
        **{name: int(flags.sum()) for name, flags in counts.items()},
        "forwards": round(float(forwards.double().mean()), 3),
        "seconds": round(seconds, 3),
    }
    filled, judged = rules.format(tokens), zip(exact.tolist(), unique.tolist(), strict=True)
    columns = {
        "puzzle": rules.format(puzzles).splitlines(),
        "solution": filled.splitlines(),
        "valid": valid.tolist(),
        "exact": [right if one else None for right, one in judged],
        "forwards": forwards.tolist(),
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Answers(filled, solutions.tolist(), summary, rows)


def _filled(
    model: Model, puzzles: Tensor, known: Tensor, strategy: Strategy, seed: int
) -> Generation:
    from unmask.decoding import Canvas
    from unmask.engine import Engine, complete
    from unmask.engine.run import begin

    with counting() as progress:
        bar = progress.add_task(f"{model.name} · {strategy.name}", total=len(puzzles))
        state = begin(model.denoiser, Canvas.infill(puzzles, ~known), strategy, seed, None)
        engine = Engine(model.denoiser, max_rows=BATCH)
        return complete(
            engine, *state, lambda event: progress.update(bar, advance=len(event.finished))
        )


def _check_solvable(solutions: Sequence[int]) -> None:
    """Raise InputError if a puzzle has no solution; solutions: how many each has."""
    without = [str(number) for number, count in enumerate(solutions, 1) if not count]
    if without:
        named = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
        raise InputError(
            f"{counted(len(without), 'puzzle')} without a solution: number {named}; check the clues"
        )


def _print_summary(summary: dict[str, Any], how: str, out: Path | None) -> None:
    """Print the summary: on stdout if the solutions went to a file, else on stderr."""
    speak = note if out is None else say
    puzzles = counted(summary["puzzles"], "puzzle")
    unsolvable = ", {unsolvable} without a solution" if summary["unsolvable"] else ""
    told = ": {valid} valid, {exact} of {unique} with one solution exact" + unsolvable
    rest = f"  {summary['forwards']:.1f} forwards a puzzle, {how}, {summary['seconds']:.1f} s"
    speak((puzzles + told.format(**summary), "bold"), (rest, "dim"))
    if out is not None:
        say("wrote ", (str(out), "cyan"))
