"""The command line: one file for each command in `commands`, registered in `app`.

`io` reads and writes files, `ui` draws on the terminal, `runs` runs generations for commands.
"""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper

from unmask.cli.app import app
from unmask.cli.command import FAILED, verdict
from unmask.cli.ui.screen import complain

__all__ = ["app", "main"]


def main() -> None:
    """Run the command that the arguments of this process name, and exit with its code."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, TextIOWrapper(BytesIO()))
        elif name != "stdin" and isinstance(stream, TextIOWrapper):
            # A terminal without Unicode shows a question mark, rather than ending the run.
            stream.reconfigure(errors="replace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        complain(verdict(error)[1], "Error: ")
        sys.stdout = TextIOWrapper(BytesIO())  # the end of the process would try once more
        sys.exit(FAILED)
