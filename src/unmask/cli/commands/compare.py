"""`unmask compare`: the quality of each preset at several numbers of network passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.cli.io import outputs
from unmask.cli.io.models import Model, open_model
from unmask.cli.io.sweep import swept
from unmask.cli.options import Loading
from unmask.cli.ui import screen
from unmask.cli.ui.comparison import entries, picture, table_rows
from unmask.cli.ui.screen import note, print_json, say, waiting
from unmask.cli.ui.table import figures
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.evaluation.benches import Bench
    from unmask.evaluation.compare import LeftOut, Measurement
    from unmask.evaluation.figures import Setting, Terms

CSV, PNG = "compare.csv", "compare.png"

EXAMPLES = [
    ("All presets on the bundled model, as a table, a CSV and a picture", "unmask compare shidoku"),
    (
        "Two presets; after Ctrl-C, the same command continues",
        "unmask compare shidoku --preset confidence --preset threshold --out duel",
    ),
    (
        "Several values of one option",
        "unmask compare digits --preset threshold --set threshold.threshold=0.5,0.9 --samples 100",
    ),
]
OPTIONS = """
--preset NAME: Preset to compare; repeatable. Default: all presets that apply to the task.
--steps N: Steps of presets with that option; repeatable.
--set PRESET.OPTION=V,V: Values to measure for one option of a preset; repeatable.
--samples N: Rows for each figure; fewer are faster and less certain.
--out FOLDER: Folder for compare.csv and compare.png; default runs/compare-NAME.
"""


def command(
    model: str,
    preset: list[str] | None = None,
    steps: list[int] | None = None,
    set_: list[str] | None = None,
    samples: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    *,
    loading: Loading,
    json: bool = False,
) -> None:
    """Compare presets on the task of a model: quality against network passes.

    Each preset is measured at several numbers of steps, or, if it has no steps, at several
    thresholds. The Pareto front is marked: settings that no other setting beats in both quality and
    passes. Each figure is written to compare.csv when it is measured; figures already in that file
    are not measured again.

    Unless --set names a temperature, puzzles are solved at temperature 0, and samples are drawn at
    the preset's default temperature, or at 1 where that is 0. Compare figures of equal --samples
    only: the two-sample test of digits detects more with more images.
    """
    from unmask.evaluation.compare import compare
    from unmask.evaluation.ledger import Ledger
    from unmask.viz.frontier import check_drawable, save_frontier

    folder = out or Path("runs") / f"compare-{Path(model).resolve().name}"
    outputs.checked([folder / CSV, folder / PNG], folder=folder)
    check_drawable()
    opened = open_model(model, loading)
    bench, terms = _bench(opened, seed, samples, loading.dtype)
    length = opened.card.length or opened.layout.height * opened.layout.width
    settings, left_out = swept(
        preset or [], steps or bench.steps, set_ or [], opened.card.grid, length
    )
    if steps and not any("steps" in setting.options for setting in settings):
        raise InputError(
            "--steps: none of these presets takes steps; leave it out, or type "
            "--set PRESET.OPTION=V"
        )
    ledger = Ledger(folder / CSV, bench.qualities)
    results = compare(opened.denoiser, settings, terms, ledger, lenient=not preset)
    measured, refused = _measured(results, settings, folder)
    left_out |= refused
    save_frontier(picture(measured, bench, terms), folder / PNG)
    if left_out:
        names = ", ".join(f"{name} ({why})" for name, why in sorted(left_out.items()))
        note(("left out: ", "bold"), (names, "dim"))
    if json:
        files = {"files": [str(folder / CSV), str(folder / PNG)]}
        rows = {"rows": entries(measured, bench), "left_out": left_out}
        print_json(asdict(terms) | rows | files)
        return
    how = f"  {terms.samples:,} rows a figure, seed {seed}"
    say((f"{model} on {terms.task}", "bold"), (how, "dim"))
    for table in figures(table_rows(measured, bench)):
        screen.out().print(table)
    names = ", ".join(quality.key for quality in bench.qualities)
    what = f" ({names}): ● marks settings that no other beats in both quality and passes"
    say(("front", "bold"), what)
    say("wrote ", (str(folder / CSV), "cyan"), " and ", (str(folder / PNG), "cyan"))


def _bench(model: Model, seed: int, samples: int | None, dtype: str | None) -> tuple[Bench, Terms]:
    """Return the qualities of the model's task, and what the figures are measured with."""
    with waiting("Starting"):
        from unmask.core.random import check_seed
        from unmask.evaluation.benches import BENCHES
        from unmask.evaluation.compare import bench_of, model_fingerprint
        from unmask.evaluation.figures import Terms

    check_seed(seed)
    if model.task is None:
        tasks = ", ".join(sorted(BENCHES))
        raise InputError(
            f"{model.name}: its card names no task, so no measure of quality is known; pass "
            f"a model of a built-in task ({tasks}), such as one that unmask train shidoku wrote"
        )
    bench = bench_of(model.task)
    samples = bench.samples if samples is None else samples
    bench.check_samples(samples)
    fingerprint = "-".join(filter(None, (model_fingerprint(model.name), dtype)))
    return bench, Terms(model.task, fingerprint, seed, samples)


def _measured(
    results: Iterator[Measurement | LeftOut], settings: Sequence[Setting], folder: Path
) -> tuple[list[Measurement], dict[str, str]]:
    """Return the measurements, and for each preset that could not run the reason."""
    from unmask.evaluation.compare import LeftOut

    measured: list[Measurement] = []
    refused: dict[str, str] = {}
    with screen.counting() as bar:
        shown = bar.add_task("", total=len(settings))
        try:
            for done, setting in enumerate(settings):
                what = f"{setting.preset} {setting.label}"
                bar.update(shown, completed=done, description=what)
                result = next(results)
                if isinstance(result, LeftOut):
                    refused[setting.preset] = result.why
                else:
                    measured.append(result)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Interrupted: {len(measured)} of {len(settings)} settings are in "
                f"{folder / CSV}; the same command continues from there."
            ) from None
    if not measured:
        raise InputError("no preset can run on this task: " + "; ".join(refused.values()))
    return measured, refused
