"""`unmask complete`: texts that go on, one by one or a file of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from unmask.cli.io import outputs
from unmask.cli.io.prompts import Ledger, read_prompts
from unmask.cli.runs.form import FORM, Form
from unmask.cli.runs.text_job import (
    MODEL,
    OPENING,
    Drawn,
    Opened,
    lines_of,
    open_text_model,
    strategy_of,
)
from unmask.cli.ui.screen import counted, counting, note, print_json, print_texts
from unmask.core.checks import check_count
from unmask.errors import InputError

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
]
OPTIONS = f"""
{MODEL}
PROMPTS: Texts to complete; without them, lines of standard input.
--file FILE: Prompts: lines of text, or of JSON with a "prompt" (.jsonl).
--out FILE: Write one JSON object a line to this file; the same command goes on where it stopped.
--max-new-tokens N: Tokens to generate for each prompt.
--number, -n N: Completions of each prompt.
--stop TEXT: A text at which a completion ends; repeatable.
{FORM.strip()}
{OPENING}"""


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
    """Complete texts.

    The result of a text depends on it and the seed alone, not on the texts beside it.
    """
    if file is not None and prompts:
        raise InputError("prompts and --file FILE are both given: pass one of them")
    if out is not None and json:
        raise InputError(
            "--out writes JSON lines to a file, and --json to stdout: pass one of them"
        )
    check_count("--number", number, InputError)
    outputs.checked([out] if out else [], inputs=[file] if file else [])
    rows = read_prompts(file) if file else [{"prompt": line} for line in lines_of(prompts)]
    rows = [row for row in rows for _ in range(number)]
    text = open_text_model(model, opened)
    told = form.given()
    options: dict[str, Any] = {"stop": stop or (), "seed": drawn.seed, **told}
    options |= {
        "strategy": strategy_of(text, drawn),
        "max_rows": max_rows,
        "max_tokens": max_tokens,
    }
    ledger, found = None, dict[int, dict[str, Any]]()
    if out is not None:
        asked = {"tokens": max_new_tokens, "stop": stop, "drawn": drawn, "opened": opened}
        asked |= {name: value for name, value in told.items() if value}
        ledger = Ledger.of(out, rows, model=model, **asked)
        found = ledger.begin()
    begun, made, kept = time.perf_counter(), 0, len(found)
    each = text.complete_each(
        [row["prompt"] for row in rows], max_new_tokens, done={*found}, **options
    )
    with counting() as bar:
        task = bar.add_task("Completing", total=len(rows), completed=len(found))
        for index, completion in each:
            found[index] = {
                "completion": completion.text,
                "finish_reason": completion.finish_reason,
                "tokens": len(completion.tokens),
                "forwards": completion.forwards,
                "logprob": sum(completion.logprobs),
            }
            made += len(completion.tokens)
            if ledger is not None:
                ledger.add(index, found[index])
            rate = made / (time.perf_counter() - begun)
            bar.update(task, completed=len(found), description=f"{rate:,.0f} tokens/s")
    whole = [{**row, **found[i]} for i, row in enumerate(rows)]
    seconds = time.perf_counter() - begun
    if ledger is not None and out is not None:
        ledger.finish(out, whole)
        before = f", {kept} of them before" if kept else ""
        note((f"{counted(len(rows), 'completion')} in {out}{before}", "bold"))
    elif json:
        print_json({"model": model, "rows": whole, "seconds": round(seconds, 3)})
    else:
        print_texts([row["prompt"] + row["completion"] for row in whole])
    note((f"{made:,} tokens in {seconds:.1f} s, {made / max(seconds, 1e-9):,.0f} a second", "dim"))
