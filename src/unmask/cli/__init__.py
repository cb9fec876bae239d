"""The command line: one file for each command in `commands`, registered in `app`.

`io` reads and writes files, `ui` draws on the terminal, `runs` runs generations for commands.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

from unmask.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command that the arguments of this process name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal without Unicode shows a question mark, rather than ending the run.
            stream.reconfigure(errors="replace")
    app()
