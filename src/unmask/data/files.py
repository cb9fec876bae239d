"""The files of a path, and their kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unmask.data.fasta import FASTA
from unmask.errors import DataError

SUFFIXES = (".jsonl", ".npy", ".parquet", ".safetensors", ".txt", ".npz", *FASTA)
DATASETS = "datasets"
READABLE = f"{', '.join(SUFFIXES)}, a folder of one of them, or a folder that `datasets` wrote"


@dataclass(frozen=True)
class Files:
    """Files of one kind, in the order of their names."""

    kind: str  # one of SUFFIXES, or `datasets`
    paths: tuple[Path, ...]
    others: int = 0  # number of files in the folder that cannot be read


def files_at(path: str | Path) -> Files:
    """Return the file, or all files of a folder. Raises DataError if there are none to read."""
    where = Path(path)
    if not where.exists():
        raise DataError(f"{where}: no such file or folder; pass {READABLE}")
    if not where.is_dir():
        if where.suffix not in SUFFIXES:
            raise DataError(
                f"{where}: files ending in {where.suffix or 'nothing'!r} are not read; "
                f"pass {READABLE}"
            )
        return Files(where.suffix, (where,))
    if any((where / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return Files(DATASETS, (where,))
    every = [
        part
        for part in where.rglob("*")
        if part.is_file() and not any(n.startswith(".") for n in part.relative_to(where).parts)
    ]
    kinds = sorted({part.suffix for part in every} & set(SUFFIXES))
    if not kinds:
        raise DataError(f"{where} holds no file that can be read; pass {READABLE}")
    if len(kinds) > 1:
        raise DataError(
            f"{where} holds files of several kinds ({', '.join(kinds)}): pass one file, or a "
            "folder of one kind"
        )
    paths = tuple(sorted(part for part in every if part.suffix == kinds[0]))
    return Files(kinds[0], paths, len(every) - len(paths))
