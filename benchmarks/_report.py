"""What a benchmark tells: tables on the screen or as Markdown, all of it as JSON, and a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _timing import Times
from rich import box
from rich.console import Console
from rich.table import Table as Drawn

from unmask.core.files import replacing_file

Cell = str | int | float | Times | None
OUT = Path(__file__).parent / "out"
DPI = 140


class Rows:
    """One table: rows that have a cell for each of its columns, the first of them its name."""

    def __init__(self, title: str, columns: Sequence[str]):
        self.title, self.columns = title, list(columns)
        self.rows: list[dict[str, Cell]] = []

    def add(self, *cells: Cell) -> None:
        """A row. ValueError unless there is a cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(
                f"{len(cells)} cells for the columns {self.columns}: pass {len(self.columns)}"
            )
        self.rows.append(dict(zip(self.columns, cells, strict=True)))

    def drawn(self) -> Drawn:
        """For the screen: words to the left, numbers to the right."""
        table = Drawn(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in self.columns:
            words = all(isinstance(row[column], str) for row in self.rows)
            table.add_column(column, justify="left" if words else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(written, row.values()))
        return table

    def markdown(self) -> str:
        """For RESULTS.md."""
        lines = [self.columns, ["---"] * len(self.columns)]
        lines += [[written(cell) for cell in row.values()] for row in self.rows]
        return "\n".join([f"**{self.title}**", ""] + [f"| {' | '.join(line)} |" for line in lines])


class Report(Rows):
    """What one script has measured: a table, further ones, and notes, on the machine of `about`."""

    def __init__(self, name: str, about: str, columns: Sequence[str], title: str | None = None):
        super().__init__(title or name, columns)
        self.name, self.about, self.notes = name, about, list[str]()
        self.tables: list[Rows] = [self]
        print(about, flush=True)

    def table(self, title: str, columns: Sequence[str]) -> Rows:
        """A further table, to be filled."""
        self.tables.append(Rows(title, columns))
        return self.tables[-1]

    def note(self, text: str) -> None:
        """A line below the tables."""
        self.notes.append(text)

    def finish(
        self, options: argparse.Namespace, plot: Callable[[Any], None] | None = None
    ) -> None:
        """Print everything; write NAME.json and, where plot draws on a Figure, NAME.png."""
        filled = [table for table in self.tables if table.rows]
        if options.markdown:
            print("\n\n".join([*(t.markdown() for t in filled), *self.notes]))
        else:
            console = Console(width=250, highlight=False)  # a cell is never cut on a narrow screen
            for each in (*(table.drawn() for table in filled), *self.notes):
                console.print(each, markup=False) if isinstance(each, str) else console.print(each)
        with replacing_file(options.out / f"{self.name}.json") as temporary:
            temporary.write_text(json.dumps(self._everything(options), indent=2), encoding="utf-8")
        if plot is not None:
            _drawn(options.out / f"{self.name}.png", plot)

    def _everything(self, options: argparse.Namespace) -> dict[str, Any]:
        """Without the folder it goes to, which is nobody else's business."""
        given = {name: _plain(value) for name, value in vars(options).items() if name != "out"}
        tables = {
            table.title: [{name: _plain(cell) for name, cell in row.items()} for row in table.rows]
            for table in self.tables
            if table.rows
        }
        whole = {"name": self.name, "about": self.about, "options": given}
        return whole | {"tables": tables, "notes": self.notes}


def written(cell: Cell) -> str:
    """As people read it: three digits, a dash for None, and of Times the median (least–most)."""
    if isinstance(cell, Times):
        return f"{_number(cell.median)} ({_number(cell.low)}–{_number(cell.high)})"
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else _number(cell)


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value else "0"


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, Times):
        return {"median": value.median, "low": value.low, "high": value.high}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _drawn(path: Path, plot: Callable[[Any], None]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    plot(figure)
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")


def arguments(parser: argparse.ArgumentParser, repeats: int = 5) -> argparse.ArgumentParser:
    """Add what every benchmark takes: --threads --repeats --out --markdown --quick."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--threads", type=count, help="of torch; default: what it takes by itself")
    parser.add_argument("--repeats", type=count, default=repeats, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, help="folder; default: benchmarks/out")
    parser.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    return parser


def parsed(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """The options of the command line; with --quick those of `quick` where none is given."""
    options = parser.parse_args()
    if options.quick:
        parser.set_defaults(**quick)
        options = parser.parse_args()
    return options


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few: pass 1 or more")
    return value
