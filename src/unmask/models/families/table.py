"""The table of `docs/language-models.md`: `python -m unmask.models.families.table`."""

from __future__ import annotations

from unmask.models.families.catalogue import CATALOGUE
from unmask.models.families.family import Family

HEAD = (
    "family=",
    "models",
    "found by `model_type`",
    "runs in",
    "attention",
    "logits",
    "by default",
)


def table() -> str:
    """Return the table, a row for each family."""
    rows = [HEAD, ["---"] * len(HEAD), *map(_cells, CATALOGUE)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(row: Family) -> list[str]:
    papers = [f"[{paper}](https://arxiv.org/abs/{paper})" for paper in row.papers]
    block = row.default_block
    preset = dict(row.recommended(block))
    name = preset.pop("name")
    marks = [f"{key} {value!r}" for key, value in row.marks.items()]
    options = ", ".join(f"{key}={value!r}" for key, value in preset.items())
    return [
        f"`{row.name}`",
        row.models + (f" ({', '.join(papers)})" if papers else ""),
        ", ".join([*(f"`{kind}`" for kind in row.model_types), *marks]) or "no: pass `family=`",
        "a network of `unmask`" if row.own else f"`{row.stock}`",
        _attention(row),
        "shifted by one" if row.logit_shift else "in place",
        f"`{name}({options})`",
    ]


def _attention(row: Family) -> str:
    if row.default_block is None:
        return "bidirectional"
    return f"{'canvases' if row.canvases else 'blocks'} of {row.default_block}"


if __name__ == "__main__":
    print(table(), end="")
