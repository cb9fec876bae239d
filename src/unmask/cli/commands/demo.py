"""`unmask demo`: iterative unmasking shown with the bundled models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.cli.io import outputs
from unmask.cli.io.models import Model, open_model
from unmask.cli.runs.demo_scenes import Stage
from unmask.cli.ui.screen import is_shown, print_json, say

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = [
    ("Everything, in less than a minute", "unmask demo"),
    ("Other digits and puzzles, without pauses", "unmask demo --seed 1 --fast"),
    ("The pictures alone, in a folder of your own", "unmask demo --no-live --out pictures"),
]
SCENES = DRAWN, COMPLETED, SOLVED, WRITTEN = "digits", "completion", "shidoku", "verse"
DIGITS, DIGIT_STEPS = 16, 64
HALVES, COMPLETIONS = 4, 2
CLUES, BOARDS = 5, 8
VERSE = """Shall I compare thee to a summer's day?
Thou art more [MASK:8]
Rough winds do shake the [MASK:8]
And summer's lease hath [MASK:8]
"""


OPTIONS = """
--out FOLDER: Folder for the pictures.
--fast: Do not pause between steps.
"""


def command(
    out: Path = Path("unmask-out"),
    seed: int = 0,
    fast: bool = False,
    live: bool | None = None,
    json: bool = False,
) -> None:
    """Watch the bundled models generate.

    Generates digits, completes half a digit, solves Shidoku puzzles and fills in a verse. Each is
    drawn in the terminal step by step, and written as a picture and an animation.
    """
    from unmask.core.random import check_seed

    files = [out / f"{scene}{suffix}" for scene in SCENES for suffix in outputs.PICTURES]
    outputs.checked(files, folder=out)
    check_seed(seed)
    begun = time.perf_counter()
    stage = Stage(out, seed, fast, is_shown(live, json), quiet=json)
    digits, shidoku = open_model("digits"), open_model("shidoku")
    held_out = _held_out(seed)
    draw_digits(stage, digits)
    complete_halves(stage, digits, held_out)
    solved, puzzle = solve_puzzles(stage, shidoku)
    fill_verse(stage, open_model("shakespeare"))
    seconds = round(time.perf_counter() - begun, 1)
    if json:
        print_json({"files": [str(f) for f in stage.files], "shidoku": solved, "seconds": seconds})
    else:
        _farewell(stage, puzzle, seconds)


def draw_digits(stage: Stage, model: Model) -> None:
    """Generate sixteen digits, one pixel a step, with the classes 0 to 9 in turn."""
    import torch

    from unmask import Canvas, presets
    from unmask.tasks import digits

    stage.play(
        DRAWN,
        ("1. Digits from nothing", "each step decides one more pixel of every digit"),
        model,
        Canvas.blank(DIGITS, digits.PIXELS, condition=torch.arange(DIGITS) % digits.CLASSES),
        presets.random_order(steps=DIGIT_STEPS),
        pause=0.06,
    )


def _held_out(seed: int) -> Tensor:
    """Return (HALVES,64) held-out images, chosen by the seed."""
    from unmask.tasks import digits

    images = digits.load().held_out_tokens
    return images.roll(-seed * HALVES, 0)[:HALVES]


def complete_halves(stage: Stage, model: Model, images: Tensor) -> None:
    """Complete the lower half of images; show the given half, two completions and the image."""
    import torch

    from unmask import Canvas, presets

    known = torch.zeros_like(images, dtype=torch.bool)
    known[:, : images.shape[1] // 2] = True
    given, true = images.masked_fill(~known, -1), torch.ones_like(known)

    def beside(frame: Tensor, first: Tensor = given, last: Tensor = images) -> Tensor:
        """(HALVES·COMPLETIONS, N) -> (HALVES·(COMPLETIONS + 2), N), a line for each image."""
        parts = [first[:, None], frame.unflatten(0, (HALVES, COMPLETIONS)), last[:, None]]
        return torch.cat([part.to(frame.dtype) for part in parts], 1).flatten(0, 1)

    rows, editable = (part.repeat_interleave(COMPLETIONS, 0) for part in (images, ~known))
    stage.play(
        COMPLETED,
        ("2. Half a digit completed", "given · one completion · another · the truth"),
        model,
        Canvas.infill(rows, editable),
        presets.random_order(steps=DIGIT_STEPS),
        pause=0.08,
        arrange=beside,
        given=beside(~editable, known, true),
    )


def solve_puzzles(stage: Stage, model: Model) -> tuple[dict[str, int], str]:
    """Solve puzzles of held-out grids; return the counts of solved ones, and one puzzle to try."""
    from unmask import Canvas, presets
    from unmask.tasks import shidoku

    _, solutions = shidoku.split()
    tokens, known = shidoku.puzzles(solutions, clues=CLUES, seed=stage.seed)
    below = f"{len(tokens)} unseen puzzles of {CLUES} clues, the surest cell first"
    emerged = stage.play(
        SOLVED,
        ("3. Shidoku solved", below),
        model,
        Canvas.infill(tokens, ~known),
        presets.confidence(steps=shidoku.CELLS, temperature=0.0),
        pause=0.25,
        arrange=lambda frame: frame[:BOARDS],
        given=known[:BOARDS],
    )
    solved = {
        "puzzles": len(tokens),
        "valid": int(shidoku.is_valid(emerged.tokens).sum()),
        "exact": int((emerged.tokens == solutions).all(1).sum()),
    }
    told = "{valid} of {puzzles} boards are valid, {exact} are the solution".format(**solved)
    stage.say((told, "bold green"))
    return solved, shidoku.format(tokens[:1])


def fill_verse(stage: Stage, model: Model) -> None:
    """Fill in the ends of lines, the surest token first."""
    import torch

    from unmask import Canvas, presets
    from unmask.text import masks

    assert model.encoding is not None
    assert model.card.mask_id is not None
    parts = masks.split(VERSE, None)
    ((ids, unknown),) = masks.encoded(model.encoding, [parts], model.card.mask_id)
    editable = torch.tensor([unknown])
    stage.play(
        WRITTEN,
        ("4. A verse filled in", "what the plays have learnt to go on with, the surest word first"),
        model,
        Canvas.infill(torch.tensor([ids]), editable),
        presets.confidence(steps=sum(unknown), temperature=0.5),
        pause=0.25,
        columns=1,
        given=~editable,
    )


def _farewell(stage: Stage, puzzle: str, seconds: float) -> None:
    say()
    say(("Pictures", "bold"), f" of all this, made in {seconds:.0f} s:")
    for path in stage.files:
        say("  ", (str(path), "cyan"))
    say(("Try next", "bold"), ":")
    for line in (
        "unmask generate digits --class 7 --out sevens.png",
        f"unmask infill shidoku --puzzle {puzzle}",
        "unmask fill shakespeare 'To be or [MASK:3], that is the question'",
        "unmask train shidoku",
    ):
        say("  ", (line, "cyan"))
