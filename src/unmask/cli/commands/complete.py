"""`unmask complete`: texts that go on, one by one or a file of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.cli.io import fasta, outputs
from unmask.cli.io.presets import Drawn
from unmask.cli.io.prompts import Ledger, Row, rows_of, write_rows
from unmask.cli.options import Opened
from unmask.cli.runs.form import Form
from unmask.cli.runs.text_job import MODEL, open_text_model, strategy_of
from unmask.cli.ui.screen import counted, counting, note, print_json, print_texts
from unmask.core.checks import check_count
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.text import Completion

EXAMPLES = [
    ("A text that goes on", "unmask complete GSAI-ML/LLaDA-8B-Base 'Once upon a time'"),
    (
        "One of two answers",
        "unmask complete MODEL 'Is the sky blue? ' --choice yes --choice no",
    ),
    (
        "A file of prompts; the same command goes on after Ctrl-C",
        "unmask complete MODEL --file prompts.jsonl --out answers.jsonl --max-tokens 16384",
    ),
    ("Sequences that go on", "unmask complete MODEL --file chains.fasta --out longer.fasta"),
]
OPTIONS = f"""
{MODEL}
PROMPTS: Texts to complete. Default: those of --file, else of standard input.
--file FILE: Prompts: lines of text, objects with a "prompt" in .jsonl, or FASTA.
--out FILE: Write results to this file as they come: sequences in .fasta, else one JSON object a
    line. The same command goes on where it stopped.
--max-new-tokens N: Tokens to generate for each prompt, or fewer if the text ends before.
--number, -n N: Completions of each prompt.
--stop TEXT: A text at which a completion ends, and which it leaves out; repeatable.
"""


def command(
    model: str,
    prompts: list[str] | None = None,
    *,
    file: Path | None = None,
    out: Path | None = None,
    max_new_tokens: int = 64,
    number: int = 1,
    stop: list[str] | None = None,
    form: Form,
    drawn: Drawn,
    max_rows: int | None = None,
    max_tokens: int | None = None,
    opened: Opened,
    json: bool = False,
) -> None:
    """Complete texts: generate what follows each prompt.

    Prints each prompt with its completion. With a seed, the completion of a prompt is the same
    whatever other prompts there are, and in whatever order.
    """
    rows = _rows(prompts, file, out, number, json)
    told, text = form.given(), open_text_model(model, opened)
    fasta.check_spelt([out] if out else [], model, text.encoding.letters)
    fasta.check_letters(rows, "prompt", text.encoding)
    strategy = strategy_of(text, drawn)
    asked = {"tokens": max_new_tokens, "stop": stop, "drawn": drawn, "opened": opened}
    asked |= {name: value for name, value in told.items() if value}
    ledger = None if out is None else Ledger.of(out, rows, model=model, **asked)
    found = {} if ledger is None else ledger.begin()
    before, begun = len(found), time.perf_counter()
    each = text.complete_each(
        [row["prompt"] for row in rows],
        max_new_tokens,
        done={*found},
        stop=stop or (),
        seed=drawn.seed,
        strategy=strategy,
        max_rows=max_rows,
        max_tokens=max_tokens,
        **told,
    )
    made = _collect(each, found, ledger, len(rows))
    whole = [{**row, **found[i]} for i, row in enumerate(rows)]
    seconds = time.perf_counter() - begun
    if ledger is not None and out is not None:
        ledger.finish(partial(_write, out, whole, number))
        earlier = f", {before} of them before" if before else ""
        note((f"{counted(len(rows), 'completion')} in {out}{earlier}", "bold"))
    elif json:
        print_json({"model": model, "rows": whole, "seconds": round(seconds, 3)})
    else:
        print_texts([row["prompt"] + row["completion"] for row in whole])
    note((f"{made:,} tokens in {seconds:.1f} s, {made / max(seconds, 1e-9):,.0f} a second", "dim"))


def _rows(
    prompts: list[str] | None, file: Path | None, out: Path | None, number: int, json: bool
) -> list[Row]:
    """Return a row for each completion, after checking the options about files."""
    if out is not None and json:
        raise InputError("--out writes results to a file, and --json to stdout: pass one of them")
    check_count("--number", number, InputError)
    outputs.checked_texts(out, file)
    return [row for row in rows_of(prompts, file, "prompt") for _ in range(number)]


def _collect(
    each: Iterable[tuple[int, Completion]],
    found: dict[int, Row],
    ledger: Ledger | None,
    total: int,
) -> int:
    """Put completions into `found`, and the ledger, as they come; return how many tokens."""
    begun, made = time.perf_counter(), 0
    with counting() as bar:
        task = bar.add_task("Completing", total=total, completed=len(found))
        for index, completion in each:
            found[index] = _entry(completion)
            made += len(completion.tokens)
            if ledger is not None:
                ledger.add(index, found[index])
            rate = made / (time.perf_counter() - begun)
            bar.update(task, completed=len(found), description=f"{rate:,.0f} tokens/s")
    return made


def _entry(completion: Completion) -> Row:
    return {
        "completion": completion.text,
        "finish_reason": completion.finish_reason,
        "tokens": len(completion.tokens),
        "forwards": completion.forwards,
        "logprob": sum(completion.logprobs),
    }


def _write(out: Path, rows: Sequence[Row], number: int) -> None:
    """Write rows, `number` neighbours of which are of one prompt."""
    if not fasta.is_named_so(out):
        write_rows(out, rows)
        return
    headers = [row.get("header", str(i // number + 1)) for i, row in enumerate(rows)]
    named = [fasta.numbered(header, i % number, number) for i, header in enumerate(headers)]
    whole = [row["prompt"] + row["completion"] for row in rows]
    fasta.write(out, zip(named, whole, strict=True))
