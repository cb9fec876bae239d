"""Errors of files that could not be written, whichever library tells of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unmask.errors import UnmaskError


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Raise an OSError about `target` if the block cannot write, as torch and safetensors do not.

    The message says how the run goes on.
    """
    try:
        yield
    except UnmaskError:
        raise
    except Exception as error:
        raise OSError(
            getattr(error, "errno", None) or errno.EIO,
            f"could not be written ({error}); earlier checkpoints are kept: make room, and "
            "continue with --resume",
            str(target),
        ) from error
