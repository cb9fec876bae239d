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
from unmask.cli.runs.generation_job import counted
from unmask.cli.ui.screen import counting, note, print_json, say, waiting
from unmask.errors import InputError, StrategyError

if TYPE_CHECKING:
    from torch import Tensor

    from unmask.decoding import Strategy
    from unmask.models.checkpoint import Card
    from unmask.tasks.rules import Rules

EXAMPLES = [
    ("Solve a file of puzzles", "unmask solve puzzles.txt --out solved.txt"),
    (
        "One cell a network pass instead of all confident ones",
        "unmask solve puzzles.txt --steps 81",
    ),
    ("4×4 puzzles", "echo 2....4....4..1.3 | unmask solve - shidoku"),
]
ADAPTIVE = "threshold"
SURE = {"threshold": 0.99, "block": None}  # 0.9 is faster, and wrong more often
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
    opened = open_model(model)
    strategy = choose_strategy(preset, steps, set_ or [], opened.card.grid)
    rules = rules_of(model, opened.card)
    tokens, known = rules.parse(text)
    rules.check_clues(tokens)
    answers = _solve(opened, rules, strategy, tokens, known, seed)
    if out is not None:
        write_file(out, rules.format(answers.tokens).encode() + b"\n")
    if json:
        print_json(
            {"model": model, "preset": strategy.name, "seed": seed, **answers.as_json(rules)}
        )
    else:
        if out is None:
            typer.echo(rules.format(answers.tokens))
        _print_summary(answers, strategy, seed, out)
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

    further: dict[str, Any] = presets.settings(pairs)
    if steps is not None:
        if "steps" in further:
            raise StrategyError("--steps and --set steps= are both given: type one of them")
        further["steps"] = steps
    name = preset or (ADAPTIVE if steps is None else "confidence")
    start: dict[str, Any] = dict(SURE) if preset is None and steps is None else {}
    found = by_name.known().get(name)
    if found is not None and "temperature" in by_name.defaults(found):
        start["temperature"] = 0.0
    return presets.build_strategy(name, start | further, grid)


def rules_of(name: str, card: Card) -> Rules:
    """Return the rules of a model's puzzles. Raises InputError for a model without puzzles."""
    from unmask.tasks.rules import RULES

    task = card.about.get("task")
    if task not in RULES:
        raise InputError(
            f"{name} is not a model of puzzles: pass {' or '.join(sorted(RULES))}, or a folder "
            "that unmask train wrote for one of them; for other models type unmask infill"
        )
    return RULES[task]


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to B puzzles of N cells, and whether they are right."""

    puzzles: Tensor  # (B,N) int64; unknown cells have the mask id
    tokens: Tensor  # (B,N) int64: the answers
    forwards: Tensor  # (B,) int64: network passes
    solutions: Tensor  # (B,) int64: number of solutions: 0, 1, or more
    valid: Tensor  # (B,) bool: whether the answer keeps the rules
    exact: Tensor  # (B,) bool: whether the answer is the only solution
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Return the counts over all puzzles, the mean number of forwards, and the seconds."""
        return {
            "puzzles": len(self.tokens),
            "valid": int(self.valid.sum()),
            "unique": int((self.solutions == 1).sum()),
            "exact": int(self.exact.sum()),
            "unsolvable": int((self.solutions == 0).sum()),
            "forwards": round(float(self.forwards.double().mean()), 3),
            "seconds": round(self.seconds, 3),
        }

    def as_json(self, rules: Rules) -> dict[str, Any]:
        """Return the summary and one entry a puzzle; exact is null unless one solution exists."""
        judged = zip(self.exact.tolist(), self.solutions.tolist(), strict=True)
        rows = zip(
            rules.format(self.puzzles).splitlines(),
            rules.format(self.tokens).splitlines(),
            self.valid.tolist(),
            [right if count == 1 else None for right, count in judged],
            self.forwards.tolist(),
            strict=True,
        )
        keys = ("puzzle", "solution", "valid", "exact", "forwards")
        return self.summary() | {"rows": [dict(zip(keys, row, strict=True)) for row in rows]}


def _solve(
    model: Model, rules: Rules, strategy: Strategy, tokens: Tensor, known: Tensor, seed: int
) -> Answers:
    from unmask.decoding import Canvas
    from unmask.engine import Engine, complete
    from unmask.engine.run import begin

    begun = time.perf_counter()
    with counting() as progress:
        bar = progress.add_task(f"{model.name} · {strategy.name}", total=len(tokens))
        state = begin(model.denoiser, Canvas.infill(tokens, ~known), strategy, seed, None)
        engine = Engine(model.denoiser, max_rows=BATCH)
        result = complete(
            engine, *state, lambda event: progress.update(bar, advance=len(event.finished))
        )
    filled, seconds = result.tokens.cpu(), time.perf_counter() - begun
    with waiting("Checking"):
        solutions, solution = rules.solve(tokens)
    return Answers(
        puzzles=tokens,
        tokens=filled,
        forwards=result.forwards.cpu(),
        solutions=solutions,
        valid=rules.is_valid(filled),
        exact=(solutions == 1) & (filled == solution).all(1),
        seconds=seconds,
    )


def _check_solvable(solutions: Tensor) -> None:
    """Raise InputError if a puzzle has no solution; solutions (B,): how many each has."""
    without = [str(number) for number, count in enumerate(solutions.tolist(), 1) if not count]
    if without:
        named = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
        raise InputError(
            f"{counted(len(without), 'puzzle')} without a solution: number {named}; check the clues"
        )


def _print_summary(answers: Answers, strategy: Strategy, seed: int, out: Path | None) -> None:
    """Print the summary: on stdout if the solutions went to a file, else on stderr."""
    summary = answers.summary()
    speak = note if out is None else say
    unsolvable = f", {summary['unsolvable']} without a solution" if summary["unsolvable"] else ""
    speak(
        (
            f"{counted(summary['puzzles'], 'puzzle')}: {summary['valid']} valid, "
            f"{summary['exact']} of {summary['unique']} with one solution exact{unsolvable}",
            "bold",
        ),
        (
            f"  {summary['forwards']:.1f} forwards a puzzle, {strategy.name}, seed {seed}, "
            f"{answers.seconds:.1f} s",
            "dim",
        ),
    )
    if out is not None:
        say("wrote ", (str(out), "cyan"))
