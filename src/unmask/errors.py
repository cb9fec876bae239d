"""The errors and warnings of the library.

UnmaskError
├── InputError (also ValueError)       an argument or a file cannot be used
│   ├── ArgumentError (also TypeError)  arguments that a function does not take, or needs
│   ├── CanvasError                    ids, shapes or dtypes of a canvas
│   ├── SeedError                      seeds out of range, repeated, or too few
│   ├── ScheduleError                  a schedule that does not fall from 1 to 0
│   ├── StrategyError                  options and parts of a strategy
│   ├── ModelError                     a network that cannot be wrapped
│   ├── LogitsError                    logits of a wrong shape, NaN or infinite
│   ├── DataError                      training or evaluation data
│   └── CheckpointError                missing, truncated or foreign files
├── DenoiserError (also RuntimeError)  the network itself raised an error
├── TrainingError (also RuntimeError)  a training run cannot continue
└── MissingExtraError (also ImportError)  an optional library is not installed

UnmaskWarning (a UserWarning)          a fallback was used; the result is the same
├── CompileWarning                     a trunk runs without compilation or capture
├── KernelWarning                      torch operations replace a kernel that could not run
└── SplitWarning                       memory ran out, and rows were generated in parts
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UnmaskError(Exception):
    """Base of every error this library raises on purpose.

    rows: the rows that an error within a step is about, by their ids in an engine, otherwise by
    their place in the canvas; none where it is about no rows.
    """

    rows: tuple[int, ...] = ()

    def __init__(self, *words: object, rows: tuple[int, ...] = ()):
        super().__init__(*words)
        self.rows = rows


class InputError(UnmaskError, ValueError):
    """An argument or a file cannot be used; the message says what to pass instead."""


class ArgumentError(InputError, TypeError):
    """A call has an argument that does not exist, or lacks one.

    argument: the one that does not exist, None where one is missing; optional: those that do, and
    may be left out.
    """

    argument: str | None = None
    optional: tuple[str, ...] = ()

    @classmethod
    def unknown(
        cls, function: str, argument: str, known: Iterable[str], optional: Iterable[str] = ()
    ) -> ArgumentError:
        """Return the error of an argument that does not exist, with the nearest one that does."""
        error = cls(f"{function}() takes no {argument}=: {nearest(argument, set(known))}")
        error.argument, error.optional = argument, tuple(optional)
        return error


class CanvasError(InputError):
    """The canvas has ids, shapes or dtypes that cannot be generated on."""


class SeedError(InputError):
    """Row seeds are out of range, repeated for equal rows, or not one per row."""


class ScheduleError(InputError):
    """A schedule does not start at 1, end at 0, or decrease."""


class StrategyError(InputError):
    """An option of a strategy is out of range, or two of its parts contradict each other."""


class ModelError(InputError):
    """A network cannot be used as a denoiser."""


class LogitsError(InputError):
    """The network returned logits of the wrong shape, or NaN, or +inf."""


class DataError(InputError):
    """Training or evaluation data cannot be used."""


class CheckpointError(InputError):
    """A saved file or folder is missing, truncated, or was not written by this library."""


class DenoiserError(UnmaskError, RuntimeError):
    """The network raised an error, which is the cause (`__cause__`) of this one."""


class TrainingError(UnmaskError, RuntimeError):
    """A training run cannot continue, because its loss is not finite."""


class MissingExtraError(UnmaskError, ImportError):
    """An optional library is not installed; the message names the extra to install."""


class UnmaskWarning(UserWarning):
    """A fallback was used; the result is the same."""


class CompileWarning(UnmaskWarning):
    """A trunk could not be compiled or captured and runs without; the message says why."""


class KernelWarning(UnmaskWarning):
    """A kernel could not run and torch operations replace it; the message says why."""


class SplitWarning(UnmaskWarning):
    """Memory ran out, and the rows were generated in smaller parts."""


TOKEN_DROPOUT = (
    "ESM with token_dropout=True gives NaN where no position of a row is known: leave one known, "
    "such as <cls>, or set net.esm.embeddings.token_dropout = False"
)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `did you mean 'cosine'? known: arccos, cosine` for a misspelt name."""
    names = sorted(known)
    if not names:
        return "none is known here"
    close = closest(name, names)
    hint = f"did you mean {close!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}"


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one resembles, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
